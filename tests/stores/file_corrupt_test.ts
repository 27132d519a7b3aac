/** The file store: what is no record counts as no session, and what was never finished goes in time. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { failing, replacing, UPDATE } from "../support/failing.ts";
import { filesIn, MINUTE, pathOf, pause, READ_ONLY, same, sweepRound, test } from "./file_place.ts";

const good = JSON.stringify({
  version: 1,
  created: 0,
  idle: 9e12,
  expires: 9e12,
  deadline: 9e12,
  data: { user: "Mallory" },
});

const corrupt: Record<string, (path: string, target: string) => unknown> = {
  "an empty file": (path) => Deno.writeTextFile(path, ""),
  "a file cut short": (path) => Deno.writeTextFile(path, good.slice(0, -2)),
  "garbage": (path) => Deno.writeFile(path, new Uint8Array([0, 255, 128, 7])),
  "JSON of another shape": (path) => Deno.writeTextFile(path, "[]"),
  "data that are no object": (path) => Deno.writeTextFile(path, good.replace('{"user":"Mallory"}', "[]")),
  "an older version": (path) => Deno.writeTextFile(path, good.replace("1", "0")),
  "a file of 10 MB": (path) => Deno.writeTextFile(path, good + " ".repeat(10_000_000)),
  "a folder": (path) => Deno.mkdir(path),
  "a link to a file": (path, target) => Deno.symlink(target, path),
  "a link to nothing": (path, target) => Deno.symlink(`${target}.not`, path),
  "a pipe": (path) => new Deno.Command("mkfifo", { args: [path] }).output(),
};
for (const [what, make] of Object.entries(corrupt)) {
  test(`${what} in a record's place is no session`, async (place) => {
    const { dir, store, logged, clock, create } = place;
    const target = `${dir}.target`;
    await Deno.writeTextFile(target, good);
    for (const use of ["read", "update", "touch", "delete", "move"]) {
      const key = await create();
      const path = pathOf(dir, key);
      await Deno.remove(path);
      await make(path, target);
      if (use === "read") assertEquals(await store.read(key), undefined);
      if (use === "update") assertEquals(await store.update(key, same), undefined);
      if (use === "touch") assertEquals(await store.touch(key, clock.time + MINUTE), false);
      if (use === "delete") assertEquals(await store.delete(key), false);
      if (use === "move") assertEquals(await store.move(key, newId(), same), undefined);
      await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
      await Deno.lstat(`${path}.corrupt`);
      assertEquals(await store.read(key), undefined);
      assertEquals(logged.length, 1, use);
      assert(logged[0]!.startsWith("warn A corrupt") && !logged[0]!.includes(key.slice(3)), logged[0]);
      logged.length = 0;
    }
    assertEquals(await Deno.readTextFile(target), good);
    assert((await Deno.stat(target)).mtime!.getTime() <= Date.now(), "the touch went nowhere");
  });
}

test("a corrupt record that cannot be put aside is no session either", async (place) => {
  const { dir, store, logged, create } = place;
  const key = await create();
  await Deno.writeTextFile(pathOf(dir, key), "");
  await failing(UPDATE.at(-1)!, READ_ONLY, async () => {
    assertEquals(await store.read(key), undefined);
  });
  assertStringIncludes(logged.join(), "could not be put aside");
  assert(!logged.join().includes(key.slice(3)));
});

test("a corrupt record that disappears in between is not logged", async ({ dir, store, create, logged }) => {
  const key = await create();
  await Deno.writeTextFile(pathOf(dir, key), "");
  await replacing(Deno, "renameSync", (original) => (from, to) => {
    Deno.removeSync(from);
    original(from, to);
  }, async () => assertEquals(await store.read(key), undefined));
  assertEquals(logged, []);
});

test("a corrupt record that a good one replaces in between is not put aside", async ({ dir, store, create, logged }) => {
  const key = await create(1);
  const path = pathOf(dir, key);
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, "{");
  const replace = () => {
    Deno.writeTextFileSync(`${path}.other`, text);
    Deno.renameSync(`${path}.other`, path);
  };
  await replacing(Deno, "readTextFileSync", (original) => (path) => {
    const read = original(path);
    if (read === "{") replace();
    return read;
  }, async () => assertEquals(await store.read(key), undefined));
  assertEquals([(await store.read(key))?.data, logged], [{ n: 1 }, []]);
});

test("a half-made file is not listed or swept until a minute later", async (place) => {
  const { dir, store, open, clock, create, logged } = place;
  const key = await create(1, 60 * MINUTE);
  // By the file system's clock, which may keep whole seconds only.
  const made: number[] = [];
  for (const content of ["", '{"vers', good.slice(0, -1)]) {
    const path = `${dir}/${key.slice(0, 3)}/${newId().slice(3)}.json`;
    await Deno.writeTextFile(path, content);
    made.push(Deno.lstatSync(path).ctime!.getTime());
  }
  const listed = async () => (await Array.fromAsync(store.list())).map(([key]) => key);
  assertEquals(await listed(), [key]);
  const other = open();
  const [first = 0, , last = 0] = made;
  for (const time of [last, first + MINUTE - 1000]) {
    clock.time = time;
    await sweepRound(other);
    assertEquals([filesIn(dir).length, await listed(), logged], [4, [key], []]);
  }
  clock.time = last + MINUTE;
  await sweepRound(other);
  assertEquals([filesIn(dir).length, await listed()], [1, [key]]);
});

test("a temporary file that was made again in between is not swept", async ({ dir, store, create, clock }) => {
  const key = await create(1, 60 * MINUTE);
  const beside = `${pathOf(dir, key)}.tmp`;
  await Deno.writeTextFile(beside, "old");
  clock.time = Deno.lstatSync(beside).ctime!.getTime() + MINUTE;
  // Whole seconds later, so that any file system tells the two apart.
  await pause(1100);
  const lock = Deno.FsFile.prototype.tryLockSync;
  await replacing(Deno.FsFile.prototype, "tryLockSync", () =>
    function (this: Deno.FsFile, isExclusive: boolean) {
      Deno.removeSync(beside);
      Deno.writeTextFileSync(beside, "new");
      return lock.call(this, isExclusive);
    }, async () => assertEquals(await store.sweepAll(), 0));
  assertEquals(await Deno.readTextFile(beside), "new");
});

test("a file that a dead process left beside a record hinders no change", async ({ dir, store, create }) => {
  const key = await create(1);
  await Deno.writeTextFile(`${pathOf(dir, key)}.tmp`, '{"half');
  assertEquals((await store.update(key, (record) => ({ ...record, data: { n: 2 } })))?.data, { n: 2 });
  assertEquals(filesIn(dir).length, 1);
});

test("a link beside a record is not followed by a change", async ({ dir, store, create }) => {
  const key = await create(1);
  const target = await Deno.makeTempFile();
  try {
    await Deno.symlink(target, `${pathOf(dir, key)}.tmp`);
    assertEquals((await store.update(key, (record) => ({ ...record, data: { n: 2 } })))?.data, { n: 2 });
    assertEquals([await Deno.readTextFile(target), (await store.read(key))?.data], ["", { n: 2 }]);
  } finally {
    await Deno.remove(target);
  }
});

test("temporary files go with the sweep once they are left over", async (place) => {
  const { dir, store, clock, create } = place;
  const kept = await create(1, 60 * MINUTE);
  const shard = `${dir}/${kept.slice(0, 3)}`;
  const leftovers = [`${shard}/${newId().slice(3)}.json.tmp`, `${pathOf(dir, kept)}.tmp`, `${dir}/secret.key.1.tmp`];
  for (const path of [...leftovers, `${dir}/secret.key`]) await Deno.writeTextFile(path, "");
  await store.sweepAll();
  assertEquals(filesIn(dir).length, 5);
  clock.time += MINUTE + 1000;
  await store.sweepAll();
  assertEquals(filesIn(dir).sort(), [`${kept.slice(0, 3)}/${kept.slice(3)}.json`, "secret.key"].sort());
  assertEquals((await store.read(kept))?.data, { n: 1 });
});
