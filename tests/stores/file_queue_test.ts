/** The file store: the order in which changes of one session wait. */
import { assert, assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { failing, replacing } from "../support/failing.ts";
import { NO_SPACE, pathOf, pause, type Place, set, test } from "./file_place.ts";

/** Locks a session's file, as another process would. */
function lock({ dir }: Place, key: string): Deno.FsFile {
  const file = Deno.openSync(pathOf(dir, key));
  file.lockSync(true);
  return file;
}

/** The tickets for a session, in their order. */
function tickets({ dir }: Place, key: string): string[] {
  try {
    return Array.from(Deno.readDirSync(`${dir}/.waiting/${key}`), ({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    assert(i < 5000, "it never came");
    await pause(1);
  }
}

test("processes change a session in the order in which they began to wait", async (place) => {
  const { open, create } = place;
  const key = await create(0);
  const held = lock(place, key);
  const order: number[] = [];
  const changes: Promise<unknown>[] = [];
  for (let n = 1; n <= 6; n++) {
    changes.push(open().update(key, set({ n })).then(() => order.push(n)));
    await until(() => tickets(place, key).length === n);
  }
  held.close();
  await Promise.all(changes);
  assertEquals(order, [1, 2, 3, 4, 5, 6]);
  assertEquals([...Deno.readDirSync(`${place.dir}/.waiting`)], []);
});

test("a process that comes later waits behind those that wait", async (place) => {
  const { open, create, store } = place;
  const key = await create(0);
  await store.update(key, set({ n: 1 }));
  const held = lock(place, key);
  const order: string[] = [];
  const waiting = open().update(key, set({ n: 2 })).then(() => order.push("first"));
  await until(() => tickets(place, key).length === 1);
  held.close();
  // The lock is free now, and its next holder still asleep.
  await Promise.all([waiting, store.update(key, set({ n: 3 })).then(() => order.push("second"))]);
  assertEquals([order, (await store.read(key))?.data], [["first", "second"], { n: 3 }]);
});

test("in one process, changes of all kinds come in their order", async (place) => {
  const { open, create, clock } = place;
  const store = open({ sync: "full" });
  const [key, to] = [await create(0), newId()];
  let waiting = 0;
  const changes = () =>
    Promise.all([
      store.update(key, set({ n: 1 })),
      store.touch(key, clock.time + 60_001),
      store.move(key, to, set({ m: 1 })),
      store.delete(key),
    ]);
  let results: unknown[] = [];
  await replacing(Deno, "openSync", (original) => (path, options) => {
    if (`${path}`.includes(".waiting")) waiting++;
    return original(path, options);
  }, async () => void (results = await changes()));
  assertEquals(waiting, 0, "no ticket is needed");
  assertEquals(results.map((result) => (result as SessionRecord).data ?? result), [
    { n: 1 },
    true,
    { n: 1, m: 1 },
    false,
  ]);
});

test("tickets of dead processes hold no one up, and go", async (place) => {
  const { dir, store, open, create } = place;
  const key = await create(0);
  await Deno.mkdir(`${dir}/.waiting/${key}`, { recursive: true });
  for (const name of ["000000001.dead", "000000007.dead"]) {
    await Deno.writeTextFile(`${dir}/.waiting/${key}/${name}`, "");
  }
  assertEquals((await store.update(key, set({ n: 1 })))?.data, { n: 1 });
  await Deno.mkdir(`${dir}/.waiting/${newId()}`, { recursive: true });
  await open().ready();
  assertEquals([...Deno.readDirSync(`${dir}/.waiting`)], []);
});

test("a ticket that another process took for a dead one's is made again", async (place) => {
  const { open, create } = place;
  const key = await create(0);
  const held = lock(place, key);
  const opened: string[] = [];
  await replacing(Deno, "openSync", (original) => (path: string, options) => {
    const file = original(path, options);
    // Before the ticket is locked, another process removes it.
    if (path.includes(".waiting") && !options.createNew && opened.push(path) === 1) Deno.removeSync(path);
    return file;
  }, async () => {
    const changed = open().update(key, set({ n: 1 }));
    await until(() => tickets(place, key).length === 1);
    assert(!opened[0]!.endsWith(tickets(place, key)[0]!));
    held.close();
    assertEquals([(await changed)?.data, tickets(place, key)], [{ n: 1 }, []]);
  });
});

test("where no ticket can be made, changes are made all the same", async (place) => {
  const { store, open, create } = place;
  const key = await create(0);
  await store.ready();
  const held = lock(place, key);
  const ticket = {
    name: "ticket",
    target: Deno,
    method: "openSync",
    fails: ([path]: unknown[]) => `${path}`.includes(".waiting"),
  };
  await failing(ticket, NO_SPACE, async () => {
    const changes = Promise.all([store.update(key, set({ n: 1 })), open().update(key, set({ m: 1 }))]);
    await pause(20);
    held.close();
    await changes;
  });
  assertEquals((await store.read(key))?.data, { n: 1, m: 1 });
});

test("many that wait longer than a lock may be kept are all served", async (place) => {
  const { open, create } = place;
  const key = await create(0);
  const held = lock(place, key);
  // Every flush takes two seconds, so that eight processes take sixteen.
  let ahead = 0;
  const slow = (original: (this: Deno.FsFile) => Promise<void>) =>
    async function (this: Deno.FsFile) {
      await original.call(this);
      await pause(10);
      ahead += 2000;
    };
  await replacing(performance, "now", (original) => () => original.call(performance) + ahead, async () => {
    await replacing(Deno.FsFile.prototype, "sync", slow, async () => {
      const changes = Array.from({ length: 8 }, (_, n) => open({ sync: "full" }).update(key, set({ [n]: n })));
      await until(() => tickets(place, key).length === 8);
      held.close();
      await Promise.all(changes);
    });
  });
  assertEquals(Object.keys((await open().read(key))!.data).length, 9);
});

test("changes that wait in vain for the same lock fail together, and later ones succeed", async (place) => {
  const { store, create, clock } = place;
  const key = await create(0);
  await store.ready();
  const held = lock(place, key);
  const changes: Promise<unknown>[] = [];
  const start = performance.now();
  let time = start;
  // Each look at the clock takes a tenth of a second, so one change looks at it about fifty times before it fails.
  await replacing(performance, "now", () => () => time += 100, async () => {
    for (let n = 0; n < 20; n++) changes.push(store.touch(key, clock.time + 60_001));
    changes.push(store.delete(key));
    const outcomes = await Promise.allSettled(changes);
    assert(outcomes.every(({ status }) => status === "rejected"));
  });
  assert(time - start < 40_000, "each of them waited for five seconds");
  held.close();
  assertEquals(await store.delete(key), true);
});
