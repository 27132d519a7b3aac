/** The memcached store, on the server that TEST_MEMCACHED_URL names. */
import { memcachedMeans } from "./hooked_clients.ts";
import { testSharedStore } from "./shared.ts";

const url = Deno.env.get("TEST_MEMCACHED_URL");
// Memcached cannot list sessions, so they cannot be removed. Each run has a prefix of its own.
const prefix = `test-${crypto.randomUUID()}:`;
testSharedStore("memcached", { url, options: { prefix }, clear: () => {}, ...memcachedMeans(url, prefix) });
