/** The file store: several processes at one session, and what is read from memory in between. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { replacing } from "../support/failing.ts";
import { MINUTE, pathOf, pause, same, set, test } from "./file_place.ts";

function increment(record: SessionRecord): SessionRecord {
  return { ...record, data: { n: record.data["n"] as number + 1 } };
}

function locked(path: string): Deno.FsFile {
  const file = Deno.openSync(path);
  file.lockSync(true);
  return file;
}

test("every change waits for another process's lock, and sees what it did", async (place) => {
  const { dir, store, clock, create } = place;
  const keys = await Promise.all([1, 2, 3].map(create));
  const files = keys.map((key) => locked(pathOf(dir, key)));
  let answered = 0;
  const to = newId();
  const changes = Promise.all([
    store.update(keys[0]!, increment).finally(() => answered++),
    store.touch(keys[1]!, clock.time + MINUTE).finally(() => answered++),
    store.move(keys[2]!, to, increment).finally(() => answered++),
  ]);
  await pause(30);
  assertEquals(answered, 0);
  for (const key of keys) {
    const path = pathOf(dir, key);
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(`${path}.other`, text.replace(/"n":\d/, '"n":41'));
    await Deno.rename(`${path}.other`, path);
  }
  for (const file of files) file.close();
  const [updated, isTouched, moved] = await changes;
  assertEquals([updated?.data, isTouched, moved?.data], [{ n: 42 }, true, { n: 42 }]);
});

test("an update that locked a file just replaced takes the new one", async (place) => {
  const { dir, store, create } = place;
  const key = await create(1);
  const path = pathOf(dir, key);
  await store.update(key, same);
  const original = Deno.FsFile.prototype.tryLockSync;
  let held: Deno.FsFile | undefined;
  let isAnswered = false;
  await replacing(Deno.FsFile.prototype, "tryLockSync", () =>
    function (this: Deno.FsFile, exclusive: boolean) {
      if (held === undefined) {
        // Between the opening and the lock, another process replaces the file, and a third one locks the new one.
        const text = Deno.readTextFileSync(path);
        Deno.writeTextFileSync(`${path}.other`, text.replace('"n":1', '"n":41'));
        Deno.renameSync(`${path}.other`, path);
        held = locked(path);
      }
      return original.call(this, exclusive);
    }, async () => {
    const update = store.update(key, increment);
    update.finally(() => isAnswered = true);
    await pause(30);
    assert(!isAnswered);
    held!.close();
    assertEquals((await update)?.data, { n: 42 });
  });
});

test("a lock that is never let go is given up on", async ({ dir, store, create }) => {
  const key = await create(1);
  await store.update(key, same);
  using _file = locked(pathOf(dir, key));
  let ahead = 0;
  await replacing(performance, "now", (original) => () => original.call(performance) + (ahead += 2000), async () => {
    const error = await assertRejects(() => store.update(key, same), Error, "locked for 5 seconds");
    assert(!error.message.includes(key.slice(3)));
  });
  assertEquals((await store.read(key))?.data, { n: 1 });
});

test("on Windows, where a locked file cannot be read by its path, all goes well", async (place) => {
  const { dir, open, clock, create } = place;
  // Every process holds its locks by handles. A path of a file with a lock on it is unreadable.
  const locks = new Map<Deno.FsFile, number>();
  const lock = (original: (this: Deno.FsFile, isExclusive: boolean) => boolean) =>
    function (this: Deno.FsFile, isExclusive: boolean) {
      const isLocked = original.call(this, isExclusive);
      if (isLocked) locks.set(this, this.statSync().ino!);
      return isLocked;
    };
  const close = (original: (this: Deno.FsFile) => void) =>
    function (this: Deno.FsFile) {
      locks.delete(this);
      original.call(this);
    };
  const read = (original: (path: string) => string) => (path: string) => {
    if ([...locks.values()].includes(Deno.statSync(path).ino!)) {
      throw new Error(`The process cannot access the file (os error 33): readfile '${path}'`);
    }
    return original(path);
  };
  await replacing(
    Deno.FsFile.prototype,
    "tryLockSync",
    lock,
    () =>
      replacing(Deno.FsFile.prototype, "close", close, () =>
        replacing(Deno, "readTextFileSync", read, async () => {
          const store = open({ cacheBytes: 0 });
          const [key, over, corrupt] = [await create(1), await create(1), await create(1)];
          assertEquals((await store.update(key, increment))?.data, { n: 2 });
          assert(await store.touch(key, clock.time + 2 * MINUTE));
          const to = newId();
          assertEquals((await store.move(key, to, increment))?.data, { n: 3 });
          await Deno.writeTextFile(pathOf(dir, corrupt), "{");
          assertEquals([await store.update(corrupt, same), await store.read(corrupt)], [undefined, undefined]);
          clock.time += MINUTE;
          assertEquals([await store.sweepAll(), await store.read(over)], [1, undefined]);
          // A reader waits until another process lets go of the lock.
          const file = locked(pathOf(dir, to));
          locks.set(file, file.statSync().ino!);
          const reading = store.read(to);
          await pause(20);
          file.close();
          assertEquals((await reading)?.data, { n: 3 });
          assert(await store.delete(to));
        })),
  );
});

test("with sync full a lock is held until the disk has the change", async (place) => {
  const { open, create } = place;
  const key = await create(0);
  const store = open({ sync: "full" });
  await Promise.all(Array.from({ length: 10 }, () => store.update(key, increment)));
  await assertRejects(() =>
    store.update(key, () => {
      throw new Error("no");
    })
  );
  assertEquals((await store.update(key, increment))?.data, { n: 11 });
});

test("memory is never behind a file of the same number, size and time", async (place) => {
  const { store, open, create } = place;
  const writer = open();
  const keys = await Promise.all(Array.from({ length: 50 }, () => create(1)));
  // The second to join waits until the first no longer reads from memory.
  await store.ready();
  for (const settled of [false, true]) {
    // Long enough for records to be kept in memory, or not.
    if (settled) await pause(80);
    for (const key of keys) await store.read(key);
    for (const key of keys) {
      // A file system may give the number of the first file to the third.
      for (let n = 2; n <= 7; n++) {
        await writer.update(key, set({ n }));
        if (n % 2 === 1) assertEquals((await store.read(key))?.data, { n });
      }
    }
  }
});

test("a file just made is not kept in memory: the next may look the same", async (place) => {
  const { store, open, create } = place;
  const key = await create(1);
  const writer = open();
  // A coarse clock and a number that is used again: every look shows the same.
  // In the future, so that the file counts as just made however long the test takes.
  const birthtime = new Date(Date.now() + MINUTE);
  const readBlurred = async () => {
    let data: unknown;
    const blur = (original: (path: string) => Deno.FileInfo) => (path: string) => ({
      ...original(path),
      ino: 7,
      birthtime,
    });
    await replacing(Deno, "lstatSync", blur, async () => void (data = (await store.read(key))?.data));
    return data;
  };
  for (let n = 1; n < 5; n++) {
    assertEquals(await readBlurred(), { n });
    await writer.update(key, set({ n: n + 1 }));
  }
});

test("a record is read from memory until it changes", async (place) => {
  const { store, open, create } = place;
  const key = await create(1);
  await pause(80);
  let reads = 0;
  const count = (test: () => Promise<void>) =>
    replacing(Deno, "readTextFileSync", (original) => (path) => (reads++, original(path)), test);
  await count(async () => {
    for (let i = 0; i < 5; i++) assertEquals((await store.read(key))?.data, { n: 1 });
    assertEquals(reads, 1);
    await open().update(key, set({ n: 2 }));
    assertEquals((await store.read(key))?.data, { n: 2 });
    await open().delete(key);
    assertEquals(await store.read(key), undefined);
  });
});

test("a session that ends just before its file is opened is not there", async ({ dir, store, create }) => {
  const key = await create(1);
  const path = pathOf(dir, key);
  let removed = 0;
  const late = (original: typeof Deno.openSync) => (...args: Parameters<typeof Deno.openSync>) => {
    if (args[0] === path && removed++ === 0) Deno.removeSync(path);
    return original(...args);
  };
  await replacing(Deno, "openSync", late, async () => assertEquals(await store.update(key, increment), undefined));
  assertEquals(removed, 1);
});
