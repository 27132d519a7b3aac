/** The file store: the suite, and what its folder and its files are. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { RecordTooLargeError } from "../../lib/errors.ts";
import { newId } from "../../lib/id.ts";
import { encode, MAX_RECORD_BYTES } from "../../lib/record.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { testStore } from "../../lib/store_suite.ts";
import { replacing } from "../support/failing.ts";
import { filesIn, MINUTE, pathOf, record, same, set, test } from "./file_place.ts";

for (const sync of ["normal", "full"] as const) {
  let dir: string | undefined;
  testStore({
    name: sync === "full" ? "file store, full" : "file store",
    open: async (options) => new FileStore({ dir: dir ??= await Deno.makeTempDir(), sync, ...options }),
    clear: async () => {
      await Deno.remove(dir!, { recursive: true });
      dir = undefined;
    },
    counts: true,
  });
}

test("a session is one readable JSON file, folders 0700 and the file 0600", async ({ dir, create, clock }) => {
  const key = await create(7);
  assertEquals(filesIn(dir), [`${key.slice(0, 3)}/${key.slice(3)}.json`]);
  const { time } = clock;
  assertEquals(JSON.parse(await Deno.readTextFile(pathOf(dir, key))), {
    version: 1,
    created: time,
    idle: MINUTE,
    expires: time + MINUTE,
    deadline: time + 60 * MINUTE,
    data: { n: 7 },
  });
  const modes = [dir, `${dir}/${key.slice(0, 3)}`, pathOf(dir, key)].map((path) => Deno.statSync(path).mode! & 0o777);
  assertEquals(modes, [0o700, 0o700, 0o600]);
});

test("ready makes the folder, and says if others can reach into it", async (place) => {
  const { dir, store, logged } = place;
  await store.ready();
  assertEquals([filesIn(dir), Deno.statSync(dir).mode! & 0o777, logged], [[], 0o700, []]);
  await Deno.chmod(dir, 0o755);
  await store.ready();
  assertStringIncludes(logged.join(), "mode 0700");
});

test("simultaneous first sessions test the file system once", async (place) => {
  const { dir, create, logged } = place;
  await Deno.mkdir(dir, { mode: 0o755 });
  await Promise.all([create(), create(), create()]);
  assertEquals(logged.length, 1);
});

test("reading, and changing what is not there, makes nothing", async ({ dir, open, clock }) => {
  const store = open();
  assertEquals(await store.read(newId()), undefined);
  assertEquals(await Array.fromAsync(store.list()), []);
  await assertRejects(() => Deno.stat(dir), Deno.errors.NotFound);
  await store.ready();
  assertEquals(await store.update(newId(), same), undefined);
  assertEquals(await store.touch(newId(), clock.time + MINUTE), false);
  assertEquals(await store.move(newId(), newId(), same), undefined);
  assertEquals(await Array.fromAsync(store.sessionsOf("Ada")), []);
  assertEquals(filesIn(dir), []);
});

test("no key but 40 lower-case hex digits reaches a path", async ({ dir, store, clock, create }) => {
  const good = await create(1);
  for (
    const key of ["", "..", "../../etc/passwd", newId().toUpperCase(), `${newId()}\0`, newId().slice(1), "é".repeat(40)]
  ) {
    await assertRejects(() => store.read(key), TypeError);
    await assertRejects(() => store.create(key, record(clock)), TypeError);
    await assertRejects(() => store.update(key, same), TypeError);
    await assertRejects(() => store.touch(key, clock.time), TypeError);
    await assertRejects(() => store.delete(key), TypeError);
    await assertRejects(() => store.move(key, newId(), same), TypeError);
    await assertRejects(() => store.move(good, key, same), TypeError);
  }
  assertEquals([filesIn(dir).length, (await store.read(good))?.data], [1, { n: 1 }]);
});

test("a user's sessions lie in one folder, under names that begin alike", async ({ dir, store, clock }) => {
  const group = await store.groupOf("../Ada");
  const keys = Array.from({ length: 3 }, () => newId(group));
  for (const key of keys) await store.create(key, { ...record(clock), user: "../Ada" });
  const files = filesIn(dir);
  assertEquals(files.length, 3);
  for (const path of files) assert(path.startsWith(`${group.slice(0, 3)}/${group.slice(3)}`), path);
});

test("a user's session under a key that is not made for them is refused", async ({ dir, store, clock, create }) => {
  const key = await create(1);
  const user = "Ada";
  const bobs = newId(await store.groupOf("Bob"));
  const refused = [
    () => store.create(newId(), { ...record(clock), user }),
    () => store.create(bobs, { ...record(clock), user }),
    () => store.move(key, newId(), (record) => ({ ...record, user })),
  ];
  for (const verb of refused) await assertRejects(verb, TypeError, "groupOf()");
  assertEquals([filesIn(dir).length, (await store.read(key))?.data], [1, { n: 1 }]);
});

test("sessionsOf reads the files of the user's group, and no others", async ({ dir, store, clock, open }) => {
  const group = await store.groupOf("Ada");
  const shard = group.slice(0, 3);
  const mine = newId(group);
  await store.create(mine, { ...record(clock), user: "Ada" });
  // In the same group without being the user's, as a name that hashes alike would be, and in the same folder only.
  const [alike, beside] = [newId(group), shard + newId().slice(3)];
  for (const key of [alike, beside]) await store.create(key, record(clock));
  const other = newId();
  await store.create(other, record(clock));
  const read: string[] = [];
  await replacing(
    Deno,
    "readTextFileSync",
    (original) => (path) => (path.endsWith(".json") && read.push(path), original(path)),
    async () => {
      assertEquals((await Array.fromAsync(open().sessionsOf("Ada"))).map(([key]) => key), [mine]);
    },
  );
  assertEquals(read.sort(), [pathOf(dir, mine), pathOf(dir, alike)].sort());
});

test("a session of more than 1 MiB is refused, and the old value stays", async ({ dir, store, clock, create }) => {
  const key = await create(1);
  const big = "x".repeat(1024 * 1024);
  await assertRejects(() => store.update(key, set({ big })), RecordTooLargeError, "1048576 bytes");
  await assertRejects(
    () => store.create(newId(), { ...record(clock), data: { big } }),
    RecordTooLargeError,
    "1048576 bytes",
  );
  await assertRejects(() => store.move(key, newId(), set({ big })), RecordTooLargeError, "1048576 bytes");
  assertEquals((await store.read(key))?.data, { n: 1 });
  assertEquals(filesIn(dir).length, 1);
});

test("a session of exactly 1 MiB is kept", async ({ store, clock }) => {
  const key = newId();
  const empty = encode({ ...record(clock), data: { big: "" } }).length;
  const big = "x".repeat(MAX_RECORD_BYTES - empty);
  await store.create(key, { ...record(clock), data: { big } });
  assertEquals((await store.read(key))?.data, { big });
});

test("a newer program's record is no session, is left in place, and can be ended", async (place) => {
  const { dir, store, open, clock, logged } = place;
  const user = "Ada";
  const key = newId(await store.groupOf(user));
  await store.create(key, { ...record(clock, 1), user });
  const path = pathOf(dir, key);
  const newer = (await Deno.readTextFile(path)).replace('"version":1', '"version":2');
  await Deno.writeTextFile(path, newer);
  for (const one of [store, open()]) {
    assertEquals(await one.read(key), undefined);
    assertEquals(await one.update(key, same), undefined);
    assertEquals(await one.touch(key, clock.time + MINUTE), false);
    assertEquals(await one.move(key, newId(), same), undefined);
    assertEquals(await Array.fromAsync(one.list()), []);
    assertEquals(await Array.fromAsync(one.sessionsOf(user)), [[key, undefined]]);
    assertEquals(await Array.fromAsync(one.sessionsOf("Bob")), []);
  }
  clock.time += 100 * MINUTE;
  assertEquals(await store.sweepAll(), 0);
  assertEquals([await Deno.readTextFile(path), logged], [newer, []]);
  assertEquals([await store.delete(key), await store.delete(key), filesIn(dir)], [true, false, []]);
});

test("a whole sweep goes on after close, and the store can be used again", async ({ store, create, clock }) => {
  const keys = await Promise.all(Array.from({ length: 100 }, () => create()));
  clock.time += MINUTE;
  const sweeping = store.sweepAll();
  await store.close();
  assertEquals(await sweeping, 100);
  const key = await create(1);
  assert(await store.update(key, set({ n: 2 })));
  assertEquals([(await store.read(key))?.data, await store.read(keys[0]!)], [{ n: 2 }, undefined]);
});

test("without file locks no store is made, and the error names another one", ({ dir }) => {
  const { tryLockSync } = Deno.FsFile.prototype;
  Reflect.deleteProperty(Deno.FsFile.prototype, "tryLockSync");
  try {
    assertThrows(() => new FileStore({ dir }), TypeError, "use SqliteStore instead");
  } finally {
    Deno.FsFile.prototype.tryLockSync = tryLockSync;
  }
  return Promise.resolve();
});
