/** The file store: whatever lies in a folder, other requests have their turn, and nothing waits that need not. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { StoreFullError } from "../../lib/store.ts";
import { turn } from "../../lib/stores/_pause.ts";
import { replacing } from "../support/failing.ts";
import { filesIn, MINUTE, pathOf, pause, type Place, record, set, test } from "./file_place.ts";

/** How many sessions one user has. */
const MANY = 1000;

/** Runs some work, and returns how many file calls were made at most before others had their turn. */
async function mostCallsInATurn(work: () => Promise<unknown>): Promise<number> {
  let [calls, most, isOver] = [0, 0, false];
  const ticking = (async () => {
    while (!isOver) {
      await turn();
      most = Math.max(most, calls);
      calls = 0;
    }
  })();
  // Every call takes a tenth of a millisecond, and listing a folder as long as reading every twentieth of its files.
  let time = performance.now();
  const count = (calls_: number) => {
    calls += calls_;
    time += calls_ / 10;
  };
  let counted = async (): Promise<void> => void await work();
  for (const method of ["lstatSync", "openSync", "readTextFileSync", "removeSync"]) {
    const inner = counted;
    counted = () => replacing(Deno, method, (original) => (...args) => (count(1), original(...args)), inner);
  }
  const listed = (original: (path: string) => Iterable<unknown>) => (path: string) => {
    const names = [...original(path)];
    count(1 + names.length / 20);
    return names;
  };
  try {
    await replacing(performance, "now", () => () => time, () => replacing(Deno, "readDirSync", listed, counted));
  } finally {
    isOver = true;
  }
  await ticking;
  return Math.max(most, calls);
}

/** Makes many sessions of Ada's, and others whose keys have the same group. */
async function crowd({ dir, store, clock }: Place): Promise<string[]> {
  const group = await store.groupOf("Ada");
  const keys = Array.from({ length: MANY }, () => newId(group));
  for (const key of keys) await store.create(key, { ...record(clock), user: "Ada" });
  for (let i = 0; i < 500; i++) {
    await store.create(newId(group), record(clock));
    await Deno.writeTextFile(pathOf(dir, newId(group)), "{");
  }
  return keys;
}

test("however many sessions a user has, others have their turn", async (place) => {
  const { dir, open, clock } = place;
  const keys = await crowd(place);
  const found: string[] = [];
  const store = open();
  const full = open({ max: 100 });
  await full.ready();
  await pause(100); // until the sessions are counted
  await full.close(); // so that the other store is alone in the folder, and need not wait before a change
  const work: Record<string, () => Promise<unknown>> = {
    "a start": async () => {
      await store.ready();
      await store.create(newId(), record(clock));
      await store.close();
    },
    sessionsOf: async () => {
      for await (const [key] of store.sessionsOf("Ada")) found.push(key);
    },
    list: () => Array.fromAsync(store.list()),
    "a search for room": () => assertRejects(() => full.create(newId(), record(clock)), StoreFullError),
    deleteMany: async () => assertEquals(await store.deleteMany(keys.slice(0, 500)), keys.slice(0, 500)),
    sweepAll: async () => {
      clock.time += 2 * MINUTE;
      await store.sweepAll();
    },
  };
  for (const [name, verb] of Object.entries(work)) {
    const most = await mostCallsInATurn(verb);
    assert(most <= 150, `${name}: ${most} calls`);
  }
  assertEquals([found.sort(), filesIn(dir)], [keys.sort(), []]);
});

test("a step of the sweep in a crowded folder lets others have their turn", async (place) => {
  const { dir, open, clock } = place;
  await crowd(place);
  clock.time += 2 * MINUTE;
  const store = open();
  const most = await mostCallsInATurn(async () => {
    store.sweep();
    await store.close();
  });
  assert(most <= 150, `${most} calls`);
  assert(filesIn(dir).length < MANY + 1000);
});

test("sessions that get new keys while they are listed are found", async ({ store, open, clock }) => {
  const user = "Ada";
  const other = open();
  const group = await store.groupOf(user);
  for (let round = 0; round < 5; round++) {
    const keys = Array.from({ length: 5 }, () => newId(group));
    const numbers = keys.map((_, n) => n);
    for (const [n, key] of keys.entries()) await store.create(key, { ...record(clock, n), user });
    const found = new Map<number, string>();
    let isFirst = true;
    const given: string[] = [];
    for await (const [key, stored] of store.sessionsOf(user)) {
      found.set(stored!.data["n"] as number, key);
      given.push(key);
      if (!isFirst) continue;
      isFirst = false;
      for (const key of keys.slice(round)) {
        await (round % 2 ? store : other).move(key, newId(group), (record) => record);
      }
    }
    assertEquals([...found.keys()].sort(), numbers);
    assertEquals(new Set(given).size, given.length, "none is given twice");
    for await (const [key] of store.sessionsOf(user)) await store.delete(key);
  }
});

test("a user whose sessions get new keys all the time is told so", async ({ dir, store, clock }) => {
  const user = "Ada";
  const group = await store.groupOf(user);
  let key = newId(group);
  await store.create(key, { ...record(clock), user });
  const shard = `${dir}/${group.slice(0, 3)}`;
  let error: unknown;
  await replacing(Deno, "readDirSync", (original) => (path) => {
    const names = [...original(path)];
    if (path === shard) Deno.renameSync(pathOf(dir, key), pathOf(dir, key = newId(group)));
    return names;
  }, async () => void await Array.fromAsync(store.sessionsOf(user)).catch((reason) => error = reason));
  assert(String(error).includes("kept getting new keys"), String(error));
});

test("1,000 changes of one session at once take few writes", async ({ store, open, create }) => {
  const key = await create(0);
  const other = open();
  let writes = 0;
  const increment = (one: typeof store) =>
    one.update(key, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }));
  await replacing(Deno, "renameSync", (original) => (...args) => (writes++, original(...args)), async () => {
    const updated = await Promise.all(Array.from({ length: 1000 }, () => increment(store)));
    assertEquals(updated.map((record) => record?.data["n"]), Array.from({ length: 1000 }, (_, n) => n + 1));
    assert(writes < 10, `${writes} writes`);
    await Promise.all(Array.from({ length: 1000 }, (_, i) => increment(i % 2 ? store : other)));
  });
  assertEquals((await store.read(key))?.data, { n: 2000 });
});

/** Fills a folder with sessions made by hand, as many as the sample of a count needs and more. */
async function fill({ dir, store, clock }: Place, sessions: number): Promise<void> {
  const first = newId();
  await store.create(first, record(clock));
  await store.close();
  const text = await Deno.readTextFile(pathOf(dir, first));
  for (let n = 1; n < sessions; n++) {
    const shard = `${dir}/${(n % 256).toString(16).padStart(3, "0")}`;
    if (n < 257) await Deno.mkdir(shard, { recursive: true });
    Deno.writeTextFileSync(`${shard}/${newId().slice(3)}.json`, text);
  }
}

test("far from the maximum a new session does not wait for the count", async (place) => {
  await fill(place, 4000);
  for (const [max, isWaiting] of [[6000, false], [4002, true]] as const) {
    const store = place.open({ max });
    let listed = 0;
    let time = 0;
    // Every listing ends a slice.
    await replacing(performance, "now", () => () => time, async () => {
      await replacing(Deno, "readDirSync", (original) => (path) => {
        if (/[/][0-9a-f]{3}$/.test(path)) [listed, time] = [listed + 1, time + 10];
        return original(path);
      }, async () => {
        await store.ready();
        await store.create(newId(), record(place.clock));
        const atCreate = listed;
        await store.close();
        // The sample is 2,000 files, half of the folders; the rest is counted afterwards.
        if (isWaiting) assert(atCreate >= 250, `${atCreate} folders`);
        else assert(atCreate < 200 && listed >= 250, `${atCreate} of ${listed} folders`);
      });
    });
  }
});

test("of a thousand sessions that live, a whole sweep reads none", async ({ dir, store, create, clock }) => {
  const keys: string[] = [];
  for (let n = 0; n < 1000; n++) keys.push(await create(n, 60 * MINUTE));
  await store.touch(keys[0]!, clock.time + 50 * MINUTE);
  await store.update(keys[1]!, set({ n: 2 }));
  const read: string[] = [];
  const reading = (original: (path: string) => string) => (path: string) => (read.push(path), original(path));
  await replacing(Deno, "readTextFileSync", reading, async () => {
    assertEquals([await store.sweepAll(), read], [0, []]);
    // What was copied without its times, or has them from elsewhere, is read.
    await Deno.utime(pathOf(dir, keys[2]!), new Date(), new Date(clock.time + MINUTE));
    assertEquals([await store.sweepAll(), read], [0, [pathOf(dir, keys[2]!)]]);
  });
  await pause();
});
