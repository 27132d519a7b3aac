/** The MongoDB store, on a server that `TEST_MONGODB_SERVER` starts, or the one at `TEST_MONGODB_URL`. */
import { testSharedStore } from "./shared.ts";
import { hasServer, MongoServer } from "./mongodb_server.ts";

const server = hasServer ? await MongoServer.start() : undefined;
addEventListener("unload", () => void server?.kill());

testSharedStore("mongodb", {
  url: Deno.env.get("TEST_MONGODB_URL") ?? server?.url("app"),
  options: { collection: `test-${crypto.randomUUID()}` },
});
