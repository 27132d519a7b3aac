/** The memcached store, on the server that TEST_MEMCACHED_URL names. */
import { testSharedStore } from "./shared.ts";

testSharedStore("memcached", {
  url: Deno.env.get("TEST_MEMCACHED_URL"),
  lists: false,
  // There is nothing to list, and so to remove; but the client's timers outlive its connections by a quarter of a second.
  clear: () => new Promise((resolve) => setTimeout(resolve, 350)),
});
