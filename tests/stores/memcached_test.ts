/** The memcached store, on the server that TEST_MEMCACHED_URL names. */
import { testSharedStore } from "./shared.ts";

// There is nothing to list, and so to remove: each run has a prefix of its own.
const prefix = `test-${crypto.randomUUID()}:`;
testSharedStore("memcached", { url: Deno.env.get("TEST_MEMCACHED_URL"), options: { prefix }, clear: () => {} });
