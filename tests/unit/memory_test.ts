/** The memory store: the suite, and that it forgets what is over. */
import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock, newId } from "../support/server.ts";
import { testStore } from "../support/store_suite.ts";

let shared: MemoryStore | undefined;
testStore({
  name: "memory store",
  // One process is all that shares it.
  open: (options) => Promise.resolve(shared ??= new MemoryStore(options)),
  clear: () => {
    shared = undefined;
    return Promise.resolve();
  },
  counts: true,
  lists: false,
});

Deno.test("memory store: dead sessions stay under a seventh of the live ones", async () => {
  const clock = new Clock();
  const store = new MemoryStore(clock);
  const idle = 1000;
  for (let made = 0; made < 20_000; made++) {
    clock.time += 1;
    const created = clock.time;
    await store.create(newId(), { data: {}, created, ends: created + 2 * idle, expires: created + idle });
    if (made > 3 * idle) assert(store.size <= idle * (1 + 1 / 7) + 1, `${store.size} at ${made}`);
  }
  clock.time += 10 * idle;
  assertEquals(await store.read(newId()), undefined);
});
