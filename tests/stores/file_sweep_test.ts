/** The file store: the sweep and the count of sessions. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { StoreFullError } from "../../lib/store.ts";
import { isShard } from "../../lib/stores/file/names.ts";
import { failing, replacing } from "../support/failing.ts";
import { filesIn, MINUTE, NO_HANDLES, pathOf, pause, type Place, record, sweepRound, test } from "./file_place.ts";

test("the sweep removes what is over and nothing that is not", async ({ dir, store, clock, create, logged }) => {
  const over = await Promise.all(Array.from({ length: 100 }, () => create()));
  clock.time += MINUTE - 1;
  const live = await Promise.all(Array.from({ length: 100 }, () => create()));
  clock.time += 1;
  await sweepRound(store);
  assertEquals(filesIn(dir).length, 100);
  for (const key of live) assert(await store.read(key));
  for (const key of over) assertEquals(await store.read(key), undefined);
  assert(logged.every((line) => line.startsWith("info Expired sessions were swept")), logged.join());
});

test("empty folders go with the sweep, and come back when needed", async (place) => {
  const { dir, store, clock, create } = place;
  for (let i = 0; i < 50; i++) await create();
  clock.time += MINUTE;
  await store.sweepAll();
  assertEquals(Array.from(Deno.readDirSync(dir), ({ name }) => name).filter(isShard), []);
  const key = await create(1);
  assertEquals((await store.read(key))?.data, { n: 1 });
});

test("a session whose folder is removed as it is made is made all the same", async ({ dir, store, clock }) => {
  await store.ready();
  const key = newId();
  let removals = 0;
  await replacing(Deno, "mkdirSync", (original) => (path, options) => {
    original(path, options);
    if (removals++ < 3) Deno.removeSync(path);
  }, () => store.create(key, record(clock, 1)));
  assertEquals([(await store.read(key))?.data, removals, filesIn(dir).length], [{ n: 1 }, 4, 1]);
});

test("a step of the sweep looks at 64 names at most", async (place) => {
  const { dir, clock, create, open } = place;
  for (let i = 0; i < 300; i++) await create();
  clock.time += 2 * MINUTE;
  const store = open();
  let looked = 0;
  let removed = 0;
  await replacing(
    Deno,
    "lstatSync",
    (original) => (path) => (looked++, original(path)),
    () =>
      replacing(
        Deno,
        "removeSync",
        (original) => (path) => (path.endsWith(".json") && removed++, original(path)),
        async () => {
          for (let i = 0; i < 5; i++) store.sweep();
          await store.close();
        },
      ),
  );
  // Each is looked at once from outside, and twice for its lock.
  assert(removed > 0 && removed <= 64 && looked <= 3 * 64, `${removed} removed, ${looked} looks`);
  assertEquals(filesIn(dir).length, 300 - removed);
});

test("a sweep asked for while one is under way is that one", async ({ dir, store, clock, create, logged }) => {
  for (let i = 0; i < 200; i++) await create();
  clock.time += 2 * MINUTE;
  for (let i = 0; i < 5; i++) {
    store.sweep();
    await pause();
  }
  for (let i = 0; i < 500 && filesIn(dir).length > 0; i++) await pause(2);
  await store.close();
  assertEquals(logged, ["info Expired sessions were swept 200"]);
});

// On a small site nearly every session has a folder to itself; on a large one a folder holds many.
for (const [site, places] of [["small", 4096], ["large", 16]] as const) {
  test(`on a ${site} site dead files stay under a seventh of the live ones`, async ({ dir, store, clock }) => {
    const LIVE = 400;
    const IDLE = 6000;
    let most = 0;
    for (let made = 1; made <= 4 * LIVE; made++) {
      clock.time += IDLE / LIVE;
      const shard = Math.floor(Math.random() * places).toString(16).padStart(3, "0");
      await store.create(shard + newId().slice(3), record(clock, made, IDLE));
      // Six new sessions call for a step and a little more.
      if (made % 6 > 0) continue;
      store.sweep();
      await store.close();
      if (made > 2 * LIVE) most = Math.max(most, filesIn(dir).length - LIVE);
    }
    assert(most > 0 && most <= LIVE / 7, `${most} dead`);
  });
}

test("with many clients at a time, few dead files stay", async ({ dir, store, clock }) => {
  const LIVE = 400;
  const IDLE = 6000;
  let made = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 32 }, async () => {
    while (made < 4 * LIVE) {
      made++;
      clock.time += IDLE / LIVE;
      await store.create(newId(), record(clock, made, IDLE));
      if (made > 2 * LIVE && made % 8 === 0) most = Math.max(most, filesIn(dir).length - LIVE);
      store.sweep();
      await pause();
    }
  }));
  await store.close();
  // One step may be due.
  assert(most > 0 && most <= LIVE / 7 + 64, `${most} dead`);
});

test("a session that is locked or was used in between is not swept", async (place) => {
  const { dir, store, clock, create } = place;
  const key = await create(1);
  clock.time += MINUTE;
  const file = Deno.openSync(pathOf(dir, key));
  file.lockSync(true);
  await sweepRound(store);
  assertEquals(filesIn(dir).length, 1);
  file.close();

  // Used between the sweep's look and its lock, by another process.
  const original = Deno.FsFile.prototype.tryLockSync;
  await replacing(Deno.FsFile.prototype, "tryLockSync", () =>
    function (this: Deno.FsFile, exclusive: boolean) {
      Deno.utimeSync(pathOf(dir, key), 0, (clock.time + MINUTE) / 1000);
      return original.call(this, exclusive);
    }, async () => assertEquals(await store.sweepAll(), 0));
  assertEquals((await store.read(key))?.data, { n: 1 });
});

test("the end of a new session is remembered by those made after it", async (place) => {
  const { dir, store, clock, create } = place;
  for (let i = 0; i < 200; i++) await create(0, 60 * MINUTE);
  await sweepRound(store);
  await create();
  clock.time += MINUTE;
  for (let i = 0; i < 150; i++) {
    await create();
    store.sweep();
    await pause();
  }
  await store.close();
  assertEquals(filesIn(dir).length, 350);
});

const nearer: Record<string, (place: Place, key: string) => Promise<unknown>> = {
  update: ({ store, clock }, key) => store.update(key, (record) => ({ ...record, expires: clock.time + MINUTE })),
  touch: ({ store, clock }, key) => store.touch(key, clock.time + MINUTE),
  move: ({ store, clock }, key) =>
    store.move(key, newId(), (record) => ({ ...record, expires: clock.time + MINUTE, deadline: clock.time + MINUTE })),
};
for (const [verb, change] of Object.entries(nearer)) {
  test(`the sweep looks for an end that ${verb} brought nearer`, async (place) => {
    const { dir, store, clock, create } = place;
    const keys = await Promise.all(Array.from({ length: 100 }, () => create(0, 59 * MINUTE)));
    await sweepRound(store);
    for (const key of keys) await change(place, key);
    clock.time += MINUTE;
    for (let i = 0; i < 150; i++) {
      await create(0, 59 * MINUTE);
      store.sweep();
      await pause();
    }
    await store.close();
    assertEquals(filesIn(dir).length, 150);
  });
}

test("while nothing can have ended, new sessions call for no sweep", async (place) => {
  const { store, clock, create } = place;
  const createSome = async () => {
    for (let i = 0; i < 100; i++) {
      await create();
      store.sweep();
      await pause();
    }
  };
  let looks = 0;
  const count = (test: () => Promise<void>) =>
    replacing(Deno, "lstatSync", (original) => (path) => (path.endsWith(".json") && looks++, original(path)), test);
  await createSome();
  await sweepRound(store);
  await count(createSome);
  assertEquals(looks, 0);
  clock.time += MINUTE;
  await count(createSome);
  assert(looks > 300, `${looks} looks`);
});

test("expired sessions of another process are found, then looked for", async (place) => {
  const { dir, open, store, clock, create } = place;
  await create(0, 60 * MINUTE);
  await sweepRound(store);
  const other = open();
  for (let i = 0; i < 300; i++) await other.create(newId(), record(clock));
  clock.time += MINUTE + 1000;
  await sweepRound(store, 1);
  for (let i = 0; i < 100; i++) {
    await create();
    store.sweep();
    await pause();
  }
  await store.close();
  assert(filesIn(dir).length < 301, `${filesIn(dir).length} files`);
});

test("sessions of an earlier process count towards the maximum", async ({ create, open, clock }) => {
  for (let i = 0; i < 3; i++) await create();
  const store = open({ max: 4 });
  await store.create(newId(), record(clock));
  await assertRejects(() => store.create(newId(), record(clock)), StoreFullError, "may hold 4 live sessions");
});

test("sessions made at once come to the maximum exactly", async (place) => {
  const { dir, open, clock } = place;
  for (let round = 0; round < 5; round++) {
    const store = open({ max: 20 * (round + 1) });
    const answers = await Promise.allSettled(Array.from({ length: 30 }, async (_, i) => {
      if (i % 5 === 0) await pause();
      store.sweep();
      await store.create(newId(), record(clock));
    }));
    await store.close();
    assertEquals(answers.filter(({ status }) => status === "fulfilled").length, 20);
    assertEquals(filesIn(dir).length, 20 * (round + 1));
  }
});

test("a full store without room does not look again for a while", async ({ open, clock }) => {
  const store = open({ max: 20 });
  for (let i = 0; i < 20; i++) await store.create(newId(), record(clock));
  const refused = async () => {
    let looks = 0;
    const count = (path: string) => path.endsWith(".json") && looks++;
    await replacing(Deno, "lstatSync", (original) => (path) => (count(path), original(path)), async () => {
      await assertRejects(() => store.create(newId(), record(clock)), StoreFullError);
    });
    return looks;
  };
  assert(await refused() >= 20);
  assertEquals(await refused(), 0);
  clock.time += MINUTE;
  // Of more than there is room for at once, each finds the room that there is.
  const answers = await Promise.allSettled(Array.from({ length: 30 }, () => store.create(newId(), record(clock))));
  assertEquals(answers.filter(({ status }) => status === "fulfilled").length, 20);
});

test("a count that was estimated is right before the maximum is reached", async ({ dir, open, clock, create }) => {
  // Enough files for the store to stop counting them one by one, and unlike what random keys make of them: the folders
  // that are counted last hold more than their share.
  await create();
  const good = JSON.stringify({ version: 1, ...record(clock) });
  let before = 1;
  for (let n = 0; n < 256; n++) {
    const shard = `${dir}/${n.toString(16).padStart(3, "0")}`;
    Deno.mkdirSync(shard, { recursive: true });
    for (let i = n < 244 ? 8.2 + n % 2 : 40; i >= 1; i--, before++) {
      Deno.writeTextFileSync(`${shard}/${newId().slice(3)}.json`, good);
    }
  }
  const max = 4_400;
  const store = open({ max });
  let made = 0;
  const sorted = (original: (path: string) => Iterable<Deno.DirEntry>) => (path: string) =>
    [...original(path)].sort((a, b) => a.name < b.name ? -1 : 1);
  try {
    await replacing(Deno, "readDirSync", sorted, () => store.create(newId(), record(clock)));
    for (made = 1; made <= max; made++) {
      await store.create(newId(), record(clock, made));
      if (made % 100 === 0) await pause(1);
    }
  } catch (error) {
    assert(error instanceof StoreFullError, String(error));
  }
  await store.close();
  assertEquals(before + made, max);
});

test("after a step that failed, the next one begins again", async ({ dir, store, clock, create, logged }) => {
  await create();
  clock.time += MINUTE;
  const call = { name: "list the folder", target: Deno, method: "readDir" };
  await failing(call, NO_HANDLES, () => sweepRound(store, 1));
  assertEquals([filesIn(dir).length, logged.length], [1, 1]);
  await sweepRound(store, 1);
  assertEquals(filesIn(dir), []);
});
