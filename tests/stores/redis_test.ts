/** The Redis store on the server, the Sentinel or the Cluster that TEST_REDIS_URL names. */
import { testSharedStore } from "./shared.ts";

testSharedStore("redis", {
  url: Deno.env.get("TEST_REDIS_URL"),
  options: { prefix: `test-${crypto.randomUUID()}:` },
  ownClock: true,
  counts: true,
});
