/** The base of stores with compare-and-set, on an engine in memory. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RecordTooLargeError, StoreFullError } from "../../lib/errors.ts";
import { newId } from "../../lib/id.ts";
import { silent } from "../../lib/log.ts";
import { storeTests } from "../../lib/store_suite.ts";
import type { Entries, NewEntry } from "../../lib/stores/entries.ts";
import { EntryStore } from "../../lib/stores/entry_store.ts";
import { MapEntries, rewriteText } from "../support/map_entries.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { clock, fresh, increment, loseNext, place } from "./entry_place.ts";

let entries = new Map<string, NewEntry>();
const suite = storeTests({
  name: "entry store",
  open: ({ now, max = 1000 }) => new EntryStore(new MapEntries(entries), { name: "a map", log: silent, now, max }),
  openHooked({ now }, { before, after }) {
    const engine = new MapEntries(entries);
    engine.around = async (write) => {
      await before();
      const isDone = write();
      await after();
      return isDone;
    };
    return new EntryStore(engine, { name: "a map", log: silent, now, max: 1000 });
  },
  rewrite: (key, edit) => rewriteText(entries, key, edit),
  clear: () => void (entries = new Map()),
  counts: true,
});
for (const { name, run } of suite) Deno.test(name, () => inSimulatedTime(run));

Deno.test("entry store: a write that throws is tried twice, then its error is thrown", async () => {
  const { engine, store } = place();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  let tries = 0;
  engine.around = () => {
    tries++;
    return Promise.reject(new Error("disk full"));
  };
  const verbs: (() => Promise<unknown>)[] = [
    () => store.create(newId(), fresh()),
    () => store.update(key, increment),
    () => store.touch(key, clock.time + 60_000),
    () => store.delete(key),
    () => store.move(key, newId(), increment),
  ];
  for (const verb of verbs) {
    tries = 0;
    await assertRejects(verb, Error, "a map: disk full");
    assertEquals(tries, 2);
  }
  engine.around = () => Promise.reject(new RecordTooLargeError("the engine says so"));
  tries = 0;
  const { around } = engine;
  engine.around = (write, writes) => {
    tries++;
    return around(write, writes);
  };
  await assertRejects(() => store.update(key, increment), RecordTooLargeError);
  assertEquals(tries, 1);
  await assertRejects(() => store.ready(), RecordTooLargeError);
});

Deno.test("entry store: the bytes that it adds count to the size of a record", async () => {
  const { engine, store, other } = place({ maxBytes: 1000 });
  const key = newId();
  await store.create(key, fresh({ n: 0, text: "" }));
  const { length } = (await Array.fromAsync(engine.list()))[0]!.content;
  await assertRejects(
    () => store.update(key, (record) => ({ ...record, data: { text: "x".repeat(900) } })),
    RecordTooLargeError,
  );
  for (let n = 0; n < 9; n++) await other().update(key, (record) => record);
  await store.update(key, (record) => ({ ...record, data: { n: 0, text: "x".repeat(1000 - 209 - length + 11) } }));
  assert((await engine.get(key))!.content.length <= 1000);
});

Deno.test("entry store: ready waits longer for a connection than a verb does", async () => {
  for (const [seconds, starts, reads] of [[2, true, true], [9, true, false], [11, false, false]] as const) {
    const connecting = (): MapEntries => {
      let opening: Promise<void> | undefined;
      const wait = () => new Promise<void>((resolve) => setTimeout(resolve, 1000 * seconds));
      return Object.assign(new MapEntries(), { open: () => opening ??= wait() });
    };
    const options = { name: "a map", log: silent, now: clock.now, max: 1000 };
    const succeeds = (work: Promise<unknown>) => work.then(() => true, () => false);
    await inSimulatedTime(async () => {
      assertEquals(await succeeds(new EntryStore(connecting(), options).ready()), starts, `${seconds} s`);
      assertEquals(await succeeds(new EntryStore(connecting(), options).read(newId())), reads, `${seconds} s`);
    });
  }
});

Deno.test("entry store: it opens the engine before it counts or sweeps", async () => {
  const calls: string[] = [];
  const noted = <T>(name: string, result: T) => () => (calls.push(name), result);
  const zero = Promise.resolve(0);
  const methods = { open: noted("open", undefined), count: noted("count", zero), sweep: noted("sweep", zero) };
  const options = { name: "a map", log: silent, now: clock.now, max: 1000 };
  const store = new EntryStore(Object.assign(new MapEntries(), methods), options);
  await store.sweepAll!();
  await store.create(newId(), fresh());
  assertEquals(calls, ["open", "sweep", "open", "count", "open"]);
});

Deno.test("entry store: a new session is stored without a read before it", async () => {
  const { engine, store } = place();
  const { get } = engine;
  let looks = 0;
  engine.get = (key) => (looks++, get.call(engine, key));
  await store.create(newId(), fresh());
  assertEquals(looks, 0);
});

Deno.test("entry store: after the close, a verb tries nothing again", async () => {
  const { engine, store } = place({ max: Infinity });
  let calls = 0;
  const refuse = () => {
    calls++;
    return Promise.reject(new Error("it is closed"));
  };
  Object.assign(engine, { get: refuse, put: refuse });
  await store.close();
  for (const verb of [() => store.create(newId(), fresh()), () => store.read(newId()), () => store.delete(newId())]) {
    await assertRejects(verb, Error, "it is closed");
  }
  assertEquals(calls, 3);
});

Deno.test("entry store: the maximum is exact in one process, also after a failure", async () => {
  const { engine, store } = place({ max: 20 });
  engine.around = () => Promise.reject(new RecordTooLargeError("no"));
  await assertRejects(() => store.create(newId(), fresh()), RecordTooLargeError);
  engine.around = (write) => Promise.resolve(write());
  const all = await Promise.allSettled(Array.from({ length: 50 }, () => store.create(newId(), fresh())));
  assertEquals(all.filter(({ status }) => status === "fulfilled").length, 20);
  for (const outcome of all) if (outcome.status === "rejected") assert(outcome.reason instanceof StoreFullError);
});

Deno.test("entry store: if a count is slow, an ended session makes room for one", async () => {
  const count = () => new Promise<number>((resolve) => setTimeout(() => resolve(20_000), 500));
  const engine = Object.assign(new MapEntries(), { count });
  const store = new EntryStore(engine, { name: "a map", log: silent, now: clock.now, max: 20_001 });
  const key = newId();
  await inSimulatedTime(async () => {
    await store.create(key, fresh());
    await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
    await store.delete(key);
    await store.create(newId(), fresh());
    await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
  });
});

Deno.test("entry store: after a count that never ends, a full store counts again", async () => {
  const counts = [() => Promise.resolve(1), () => new Promise<number>(() => {}), () => Promise.resolve(0)];
  const engine = Object.assign(new MapEntries(), { count: () => counts.shift()!() });
  const store = new EntryStore(engine, { name: "a map", log: silent, now: clock.now, max: 2 });
  await inSimulatedTime(async () => {
    await store.create(newId(), fresh());
    await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
    await new Promise((resolve) => setTimeout(resolve, 3_600_000));
    await store.create(newId(), fresh());
  });
  assertEquals(counts, []);
});

Deno.test("entry store: each of several processes exceeds the maximum by one at most", async () => {
  const { other, engine } = place({ max: 200 });
  engine.around = async (write) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
    return write();
  };
  const stores = Array.from({ length: 4 }, other);
  const all = await Promise.allSettled(Array.from({ length: 640 }, (_, n) => stores[n % 4]!.create(newId(), fresh())));
  const made = all.filter(({ status }) => status === "fulfilled").length;
  assert(made >= 200 && made <= 204, `${made}`);
});

Deno.test("entry store: many sessions end in one write, changed ones one by one", async () => {
  const { engine, store, other } = place();
  const keys = Array.from({ length: 10 }, () => newId());
  for (const key of keys) await store.create(key, fresh({ n: 0 }, "Ada"));
  await store.delete(keys[0]!);
  const { around } = engine;
  let writes = 0;
  engine.around = async (write, all) => {
    if (writes++ === 0) {
      await other().update(keys[1]!, increment);
      await other().delete(keys[2]!);
    }
    return await around(write, all);
  };
  const ended = await store.deleteMany!([...keys, newId()]);
  assertEquals([...ended].sort(), keys.toSpliced(2, 1).slice(1).sort());
  assertEquals(writes, 2);
  assertEquals(await Array.fromAsync(store.list!()), []);
  assertEquals(await store.deleteMany!(keys), []);
});

Deno.test("entry store: after a lost answer, deleteMany finds what it ended", async () => {
  const { engine, store, other } = place();
  const keys = Array.from({ length: 10 }, () => newId());
  for (const key of keys) await store.create(key, fresh());
  loseNext(engine, async () => assertEquals(await other().deleteMany!(keys), []));
  assertEquals((await store.deleteMany!(keys)).length, 10);
});

Deno.test("entry store: deleteMany also finds what a late write ended", async () => {
  const { engine, store } = place();
  const keys = Array.from({ length: 10 }, () => newId());
  for (const key of keys) await store.create(key, fresh());
  const { around } = engine;
  let late: (() => boolean) | undefined;
  engine.around = (write) => {
    engine.around = around;
    late = write;
    return Promise.reject(new Error("no answer"));
  };
  const getMany = engine.getMany.bind(engine);
  engine.getMany = async (keys) => {
    const entries = await getMany(keys);
    late?.();
    return entries;
  };
  assertEquals((await store.deleteMany!(keys)).length, 10);
});

Deno.test("entry store: the store has only the methods that its engine allows", async () => {
  const { entries, ...rest } = new MapEntries();
  const bare: Entries = {
    ...rest,
    get: (key) => Promise.resolve(entries.get(key)),
    put: ({ entry }) => Promise.resolve(Boolean(entries.set(entry.key, entry))),
    putBoth: () => Promise.resolve(false),
  };
  const store = new EntryStore(bare, { name: "a map", log: silent, now: clock.now, max: 0 });
  assertEquals([store.list, store.sessionsOf, store.sweepAll, store.deleteMany], Array(4).fill(undefined));
  await store.create(newId(), fresh());
});

Deno.test("entry store: a verb gives up after five seconds of contention", async () => {
  const { engine, store } = place();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  let tries = 0;
  engine.around = () => {
    tries++;
    return Promise.resolve(false);
  };
  const { now } = performance;
  const { random } = Math;
  let time = 0;
  performance.now = () => time += 100;
  Math.random = () => 0; // no pauses
  try {
    await assertRejects(() => store.update(key, increment), Error, "a map: too many processes change a session");
  } finally {
    performance.now = now;
    Math.random = random;
  }
  assert(tries > 3, `${tries}`);
});
