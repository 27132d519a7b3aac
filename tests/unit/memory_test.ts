/** The memory store: beside the suite, that it forgets what is over, and what a user's index holds. */
import { assert, assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";

const IDLE = 1000;

/** A session's record that is made now. */
function record(now: number, user?: string) {
  return { data: {}, created: now, idle: IDLE, expires: now + IDLE, deadline: now + 2 * IDLE, user };
}

Deno.test("memory store: dead sessions stay under a seventh of the live ones", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  for (let made = 0; made < 20_000; made++) {
    clock.time += 1;
    await store.create(newId(), record(clock.time));
    if (made > 3 * IDLE) assert(store.size <= IDLE * (1 + 1 / 7) + 1, `${store.size} at ${made}`);
  }
});

Deno.test("memory store: sweepAll removes what is over, and counts it", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  for (let i = 0; i < 10; i++) await store.create(newId(), record(clock.time, "ada"));
  assertEquals((await Array.fromAsync(store.sessionsOf("ada"))).length, 10);
  clock.pass(1);
  assertEquals([await store.sweepAll(), store.size], [10, 0]);
  assertEquals(await Array.fromAsync(store.sessionsOf("ada")), []);
});

Deno.test("memory store: a full one finds the one session that is over, wherever it is", async () => {
  const { now, pass, time } = new Clock();
  const MAX = 200;
  const store = new MemoryStore({ now, max: MAX });
  const make = (idle: number, at = time) =>
    store.create(newId(), { data: {}, created: at, idle, expires: at + idle, deadline: at + 600_000 });
  for (let n = 0; n < MAX; n++) await make(n === 120 ? 1000 : 300_000);
  pass(1);
  await make(300_000, now());
  assertEquals(store.size, MAX);
});
