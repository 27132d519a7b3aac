/** The Redis store, on the database that TEST_REDIS_URL names, which must be empty. */
import { testSharedStore } from "./shared.ts";

testSharedStore("redis", { url: Deno.env.get("TEST_REDIS_URL"), ownClock: true, counts: true });
