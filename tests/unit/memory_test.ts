/** The memory store, besides the suite: it removes expired sessions, and keeps the index of users up to date. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RecordTooLargeError, StoreFullError } from "../../lib/errors.ts";
import { newId } from "../../lib/id.ts";
import { KeyTakenError } from "../../lib/store.ts";
import { turn } from "../../lib/stores/_pause.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { NullStore } from "../../lib/stores/null.ts";
import { Clock } from "../../lib/testing.ts";
import { replacing } from "../support/failing.ts";

const IDLE = 1000;

/** The record of a session that is made now. */
function record(now: number, user?: string) {
  return { data: {}, created: now, idle: IDLE, expires: now + IDLE, deadline: now + 2 * IDLE, user };
}

Deno.test("memory store: expired sessions are under a seventh of the live ones", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  for (let made = 0; made < 20_000; made++) {
    clock.time += 1;
    await store.create(newId(), record(clock.time));
    if (made > 3 * IDLE) assert(store.size <= IDLE * (1 + 1 / 7) + 1, `${store.size} at ${made}`);
  }
});

Deno.test("memory store: sweepAll removes the expired sessions, and returns how many", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  for (let i = 0; i < 10; i++) await store.create(newId(), record(clock.time, "ada"));
  assertEquals((await Array.fromAsync(store.sessionsOf("ada"))).length, 10);
  clock.pass(1);
  assertEquals([await store.sweepAll(), store.size], [10, 0]);
  assertEquals(await Array.fromAsync(store.sessionsOf("ada")), []);
});

Deno.test("memory store: a full store finds the only expired session anywhere", async () => {
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

Deno.test("memory store: a full store checks a bounded number for each new session", async () => {
  const clock = new Clock();
  const max = 30_000;
  let looks = 0;
  // Each check of a session reads the clock once.
  const counting = new MemoryStore({ now: () => (looks++, clock.time), max });
  for (let made = 0; made < max; made++) await counting.create(newId(), record(clock.time));
  looks = 0;
  await assertRejects(() => counting.create(newId(), record(clock.time)), StoreFullError);
  assert(looks > 8 && looks <= 10_010, `${looks} looks`);
  clock.pass(1);
  await counting.create(newId(), record(clock.time));
});

Deno.test("memory store: with many sessions, other requests have their turn", async () => {
  const clock = new Clock();
  let looks = 0;
  // Each check takes a hundredth of a millisecond.
  const store = new MemoryStore({ now: () => (looks++, clock.time) });
  for (let made = 0; made < 20_000; made++) await store.create(newId(), record(clock.time, "ada"));
  const verbs: (() => Promise<unknown>)[] = [
    () => Array.fromAsync(store.sessionsOf("ada")),
    () => Array.fromAsync(store.list()),
    () => {
      clock.pass(1);
      return store.sweepAll();
    },
  ];
  for (const [n, verb] of verbs.entries()) {
    let [most, before, isOver] = [0, looks, false];
    const ticking = (async () => {
      while (!isOver) {
        await turn();
        most = Math.max(most, looks - before);
        before = looks;
      }
    })();
    await replacing(performance, "now", () => () => looks / 100, async () => void await verb());
    isOver = true;
    await ticking;
    assert(most <= 1500, `verb ${n}: ${most} looks in a turn`);
  }
  assertEquals(store.size, 0);
});

Deno.test("memory store: sessions that get new keys during a listing are found", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  const keys = Array.from({ length: 5 }, () => newId());
  for (const [n, key] of keys.entries()) await store.create(key, { ...record(clock.time, "ada"), data: { n } });
  const found = new Set<unknown>();
  for await (const [, { data }] of store.sessionsOf("ada")) {
    if (found.size === 0) { for (const key of keys) await store.move(key, newId(), (record) => record); }
    found.add(data["n"]);
  }
  assertEquals([...found].sort(), [0, 1, 2, 3, 4]);
  let listed = 0;
  for await (const [key] of store.list()) {
    listed++;
    await store.move(key, newId(), (record) => record);
  }
  assertEquals(listed, 5);
});

Deno.test("memory store: it refuses the records that every store refuses", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  const key = newId();
  const big = { ...record(clock.time), data: { big: "x".repeat(1024 * 1024) } };
  await assertRejects(() => store.create(key, big), RecordTooLargeError, "1048576 bytes");
  await store.create(key, record(clock.time));
  const { name } = await assertRejects(() => store.create(key, record(clock.time)), KeyTakenError);
  assertEquals(name, "KeyTakenError");
  await assertRejects(() => store.update(key, () => big), RecordTooLargeError);
  await assertRejects(() => store.move(key, newId(), () => big), RecordTooLargeError);
  await assertRejects(() => store.create(newId(), { ...record(clock.time), deadline: NaN }), TypeError);
  assertEquals((await store.read(key))?.data, {});
});

Deno.test("stores: an option that is unknown or invalid is refused by name", () => {
  // deno-lint-ignore no-explicit-any -- what a program without types may give
  const file = (options: any) => () => new FileStore(options);
  // deno-lint-ignore no-explicit-any
  const memory = (options: any) => () => new MemoryStore(options);
  // deno-lint-ignore no-explicit-any
  const none = (options: any) => () => new NullStore(options);
  const dir = "sessions";
  const refused: [() => unknown, new (message: string) => Error, string][] = [
    [file({}), TypeError, '"dir"'],
    [file(undefined), TypeError, "an object"],
    [file({ dir: "" }), TypeError, '"dir"'],
    [file({ dir: 7 }), TypeError, '"dir"'],
    [file({ dir, sync: "FULL" }), TypeError, '"sync" must be "normal" or "full"'],
    [file({ dir, max: NaN }), RangeError, '"max"'],
    [file({ dir, max: "5" }), TypeError, '"max"'],
    [file({ dir, cacheBytes: -1 }), RangeError, '"cacheBytes"'],
    [file({ dir, log: console }), TypeError, '"log"'],
    [file({ dir, maximum: 5 }), TypeError, '"maximum"'],
    [memory({ max: -1 }), RangeError, '"max"'],
    [memory({ now: 5 }), TypeError, '"now"'],
    [memory({ dir }), TypeError, '"dir"'],
    [none({ max: 0.5 }), RangeError, '"max"'],
    [none({ url: "x" }), TypeError, '"url"'],
  ];
  for (const [make, kind, what] of refused) assertThrows(make, kind, what);
  for (const make of [file({ dir, max: undefined }), memory({}), memory(undefined), none({})]) make();
});
