/** The memcached store, on the server that TEST_MEMCACHED_URL names. */
import { memcachedMeans } from "./hooked_clients.ts";
import { testSharedStore } from "./shared.ts";

const url = Deno.env.get("TEST_MEMCACHED_URL");
// There is nothing to list, and so to remove: each run has a prefix of its own.
const prefix = `test-${crypto.randomUUID()}:`;
testSharedStore("memcached", { url, options: { prefix }, clear: () => {}, ...memcachedMeans(url, prefix) });
