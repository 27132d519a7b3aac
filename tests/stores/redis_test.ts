/** The Redis store on the server, the Sentinel or the Cluster that TEST_REDIS_URL names. */
import { redisMeans } from "./hooked_clients.ts";
import { testSharedStore } from "./shared.ts";

const url = Deno.env.get("TEST_REDIS_URL");
const prefix = `test-${crypto.randomUUID()}:`;
// The hooked client is a client of one server.
const isOneServer = url !== undefined && !/[?&](sentinel|cluster)\b/.test(url);
testSharedStore("redis", {
  url,
  options: { prefix },
  counts: true,
  ...(isOneServer ? redisMeans(url, prefix) : {}),
});
