/** The Redis store, on the database that TEST_REDIS_URL names, which must be empty. */
import { testSharedStore } from "./shared.ts";

const url = Deno.env.get("TEST_REDIS_URL");
// In a Cluster each master counts for itself.
testSharedStore("redis", { url, ownClock: true, counts: !url?.includes("cluster") });
