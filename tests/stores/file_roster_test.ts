/** The file store's roster: a process that is alone needs no system calls, and no process ever serves stale records. */
import { assert, assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { FileStore } from "../../lib/stores/file/store.ts";
import { failing, replacing } from "../support/failing.ts";
import { NO_SPACE, pathOf, pause, type Place, record, set, test } from "./file_place.ts";

/** The milliseconds that the monotonic clock shows in these tests. */
let time = 0;

/** A folder with one process in it, which looked at a session long enough ago to keep it in memory. */
interface Alone extends Place {
  readonly key: string;
}

function alone(behaviour: string, fn: (place: Alone) => Promise<void>): void {
  test(behaviour, (place) => {
    time = 1_000_000;
    return replacing(performance, "now", () => () => time, async () => {
      const { store } = place;
      await store.ready();
      const key = await place.create(1);
      // The rounded ages of files are looked at by the other clock.
      await pause(80);
      assertEquals(await read(store, key), 1);
      await fn({ ...place, key });
    });
  });
}

async function read(store: FileStore, key: string): Promise<number | undefined> {
  return (await store.read(key))?.data["n"] as number | undefined;
}

/** Counts the calls of the file system during some work. */
async function calls(work: () => Promise<void>): Promise<number> {
  let count = 0;
  let counted = work;
  for (const method of ["lstatSync", "statSync", "openSync", "readTextFileSync", "readDirSync", "utimeSync"]) {
    const inner = counted;
    counted = () => replacing(Deno, method, (original) => (...args) => (count++, original(...args)), inner);
  }
  await counted();
  return count;
}

/**
 * Reads a session while the process is stopped in the middle: once, when it has made one of its calls or is about to,
 * another process joins, waits and ends the session, all in one go.
 */
async function readStopped({ store, key, open }: Alone, stop: Stop): Promise<number | undefined> {
  const other = open();
  let ended: Promise<boolean> | undefined;
  let isStopped = false;
  const between = (path: unknown) => {
    if (isStopped || (stop.path !== undefined && stop.path !== path)) return;
    isStopped = true;
    void other.ready();
    time += 500;
    if (stop.change === "in between") ended = other.delete(key);
  };
  let seen: number | undefined;
  await replacing(stop.target, stop.method, (original) => (...args) => {
    if (stop.when === "before") between(args[0]);
    const result = original.apply(stop.target, args);
    if (stop.when === "after") between(args[0]);
    return result;
  }, async () => void (seen = await read(store, key)));
  if (stop.change === "later") ended = other.delete(key);
  assertEquals([await ended, await read(store, key)], [true, undefined]);
  return seen;
}

/** Where a process is stopped: before or after a call. */
interface Stop {
  readonly when: "before" | "after";
  readonly target: object;
  readonly method: string;
  readonly path?: string;
  /** Whether the other process changes the session while this one is stopped, or right after it went on and read it. */
  readonly change: "in between" | "later";
}

alone("a process that is alone reads without system calls for 250 ms", async ({ store, key }) => {
  assert(
    await calls(async () => {
      for (let i = 0; i < 1000; i++) assertEquals(await read(store, key), 1);
      time += 249;
      assertEquals(await read(store, key), 1);
    }) === 0,
  );
  time += 1;
  assert(await calls(async () => assertEquals(await read(store, key), 1)) > 0);
  assertEquals(await calls(async () => assertEquals(await read(store, key), 1)), 0);
});

alone("a process that is not alone looks at the file at every read", async ({ store, key, open }) => {
  const other = open();
  await other.ready();
  time += 250;
  for (const one of [store, other]) {
    await read(one, key);
    for (let i = 0; i < 5; i++) assertEquals(await calls(async () => assertEquals(await read(one, key), 1)), 1);
  }
  await other.close();
  time += 250;
  await read(store, key);
  assertEquals(await calls(async () => assertEquals(await read(store, key), 1)), 0);
});

alone("before its first session or ready() a store reads the file at every read", async ({ key, open }) => {
  const reader = open();
  await read(reader, key);
  // Two looks at the state of the file, and the reading itself.
  for (let i = 0; i < 3; i++) assertEquals(await calls(async () => assertEquals(await read(reader, key), 1)), 3);
});

alone("a process that never joined looks at the file at every read", async ({ key, open, clock }) => {
  const reader = open();
  await reader.create(newId(), record(clock, 2));
  await read(reader, key);
  for (let i = 0; i < 3; i++) assertEquals(await calls(async () => assertEquals(await read(reader, key), 1)), 1);
});

alone("a newcomer changes nothing until the others look at every file", async ({ store, key, open, create }) => {
  const keys = [key, await create(1), await create(1), await create(1)];
  await pause(80);
  for (const each of keys) await read(store, each);
  const other = open();
  const changes = [
    other.update(keys[0]!, set({ n: 2 })),
    other.delete(keys[1]!),
    other.move(keys[2]!, newId(), set({ n: 2 })),
    other.touch(keys[3]!, Date.now() + 61_000),
  ];
  let done = 0;
  for (const change of changes) void change.finally(() => done++);
  time += 499;
  await pause(550);
  assertEquals(done, 0);
  // Long before that, the first one sees that it is not alone.
  time -= 249;
  assertEquals(await calls(async () => assertEquals(await read(store, key), 1)) > 0, true);
  time += 250;
  await Promise.all(changes);
  const seen = await Promise.all(keys.map((key) => read(store, key)));
  assertEquals(seen, [2, undefined, undefined, 1]);
});

alone("a newcomer that finds no other process does not wait", async ({ store, key, open }) => {
  await store.close();
  const briefly = (original: (ring: () => void, ms: number) => number) => (ring: () => void, ms = 0) => {
    assert(ms < 100, `it waits for ${ms} ms`);
    return original(ring, ms);
  };
  await replacing(globalThis, "setTimeout", briefly, async () => assertEquals(await open().delete(key), true));
});

alone("a process that is alone sees its own changes immediately", async ({ store, key, clock }) => {
  const expires = async () => (await store.read(key))?.expires;
  await store.update(key, set({ n: 2 }));
  assertEquals(await read(store, key), 2);
  await pause(80);
  assertEquals(await read(store, key), 2);
  await store.touch(key, clock.time + 60_500);
  assertEquals(await expires(), clock.time + 60_500);
  await store.touch(key, clock.time + 60_400);
  assertEquals(await expires(), clock.time + 60_400);
  await pause(80);
  assertEquals(await read(store, key), 2);
  const to = newId();
  await store.move(key, to, set({ n: 3 }));
  assertEquals([await read(store, key), await read(store, to)], [undefined, 3]);
  await pause(80);
  assertEquals(await read(store, to), 3);
  await store.delete(to);
  assertEquals(await read(store, to), undefined);
});

alone("a session removed by hand is noticed within 250 ms", async ({ dir, store, key }) => {
  await Deno.remove(pathOf(dir, key));
  time += 250;
  assertEquals(await read(store, key), undefined);
});

for (
  const [when, change] of [["before", "in between"], ["before", "later"], ["after", "in between"], [
    "after",
    "later",
  ]] as const
) {
  const isSeen = change === "later" ? 1 : undefined;

  alone(`stopped ${when} listing the roster it serves nothing stale, change ${change}`, async (place) => {
    time += 250;
    assertEquals(await readStopped(place, { when, change, target: Deno, method: "readDirSync" }), isSeen);
  });

  alone(`stopped ${when} a look at the file it serves nothing stale, change ${change}`, async (place) => {
    const path = pathOf(place.dir, place.key);
    time += 250;
    const seen = await readStopped(place, { when, change, target: Deno, method: "lstatSync", path });
    assertEquals(seen, when === "before" ? isSeen : 1);
  });

  alone(`stopped ${when} a look at the clock it serves nothing stale, change ${change}`, async (place) => {
    const seen = await readStopped(place, { when, change, target: performance, method: "now" });
    assertEquals(seen, when === "before" ? isSeen : 1);
  });
}

alone("stopped before its own lock, a newcomer joins again and waits", async ({ store, key, open }) => {
  const other = open();
  const original = Deno.FsFile.prototype.tryLockSync;
  let isStopped = false;
  await replacing(Deno.FsFile.prototype, "tryLockSync", () =>
    function (this: Deno.FsFile, exclusive: boolean) {
      if (!isStopped) {
        isStopped = true;
        time += 250;
        // Takes the file that no one holds for one of the dead, and finds itself alone.
        void store.read(key);
      }
      return original.call(this, exclusive);
    }, () => other.ready());
  assertEquals(await calls(async () => assertEquals(await read(store, key), 1)), 0);
  let isEnded = false;
  const ended = other.delete(key).finally(() => isEnded = true);
  await pause(550);
  assertEquals(isEnded, false);
  time += 250;
  assertEquals(await read(store, key), 1);
  time += 250;
  assertEquals([await ended, await read(store, key)], [true, undefined]);
});

alone("a change by a process that left since is seen", async ({ store, key, open }) => {
  const other = open();
  await other.ready();
  time += 500;
  assertEquals(await read(store, key), 1);
  await other.update(key, set({ n: 2 }));
  await other.close();
  time += 250;
  assertEquals(await read(store, key), 2);
});

alone("a file that a dead process left in the roster counts for no one, and goes", async (place) => {
  const { dir, store, key } = place;
  await Deno.writeTextFile(`${dir}/.processes/dead`, "");
  time += 250;
  await read(store, key);
  assertEquals(await calls(async () => assertEquals(await read(store, key), 1)), 0);
  assertEquals([...Deno.readDirSync(`${dir}/.processes`)].length, 1);
});

for (const how of ["removed", "replaced by a copy"]) {
  alone(`a process whose file in the roster is ${how} takes another`, async ({ dir, store, key, open }) => {
    await Deno.rename(`${dir}/.processes`, `${dir}/.away`);
    if (how !== "removed") {
      await Deno.mkdir(`${dir}/.processes`);
      for (const { name } of Deno.readDirSync(`${dir}/.away`)) {
        await Deno.copyFile(`${dir}/.away/${name}`, `${dir}/.processes/${name}`);
      }
    }
    time += 250;
    assert(await calls(async () => assertEquals(await read(store, key), 1)) > 0);
    await store.update(key, set({ n: 2 }));
    await pause(80);
    assertEquals(await read(store, key), 2);
    let isDone = false;
    const updated = open().update(key, set({ n: 3 })).finally(() => isDone = true);
    await pause(30);
    assertEquals([isDone, await read(store, key)], [false, 2]);
    time += 500;
    await updated;
    assertEquals(await read(store, key), 3);
  });
}

const changes: Record<string, (store: FileStore, key: string) => Promise<unknown>> = {
  delete: (store, key) => store.delete(key),
  update: (store, key) => store.update(key, set({ n: 2 })),
  touch: (store, key) => store.touch(key, Date.now() + 70_000),
  move: (store, key) => store.move(key, newId(), set({ n: 2 })),
};
for (const [verb, change] of Object.entries(changes)) {
  alone(`a process that cannot join acknowledges ${verb} when all others see it`, async ({ store, key, open }) => {
    const other = open();
    const join = {
      name: "join",
      target: Deno,
      method: "openSync",
      fails: ([path]: unknown[]) => /processes/.test(`${path}`),
    };
    await failing(join, NO_SPACE, async () => {
      let isDone = false;
      const done = change(other, key).finally(() => isDone = true);
      await pause(300);
      assertEquals(isDone, false);
      await done;
    });
    time += 250;
    const seen = { delete: undefined, update: 2, touch: 1, move: undefined };
    assertEquals(await read(store, key), seen[verb as keyof typeof seen]);
  });
}

alone("a list, a sweep and a new session need no place in the roster", async ({ dir, open, clock, store }) => {
  const other = open();
  await other.create(newId(), record(clock));
  assertEquals((await Array.fromAsync(other.list())).length, 2);
  assertEquals(await other.sweepAll(), 0);
  assertEquals([...Deno.readDirSync(`${dir}/.processes`)].length, 1);
  await store.close();
  assertEquals([...Deno.readDirSync(`${dir}/.processes`)].length, 0);
});

alone("a change in which its process left and joined again waits like one of a newcomer", async (place) => {
  const { store, key, open } = place;
  const other = open({ sync: "full" });
  await other.ready();
  time += 500;
  assertEquals(await read(store, key), 1);
  const { promise: written, resolve: write } = Promise.withResolvers<void>();
  let isDone = false;
  let updated: Promise<unknown> | undefined;
  await replacing(Deno.FsFile.prototype, "sync", () => () => written, async () => {
    updated = other.update(key, set({ n: 2 })).finally(() => isDone = true);
    await pause(10);
    await other.close();
    await other.ready();
    write();
    await pause(300);
  });
  assertEquals(isDone, false);
  await updated;
  time += 250;
  assertEquals(await read(store, key), 2);
});
