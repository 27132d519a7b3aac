/** The file store's folder: how it is known, and what is refused while another one, or none, is in its place. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { SECRET } from "../../lib/stores/file/names.ts";
import type { FileStore } from "../../lib/stores/file/store.ts";
import { replacing } from "../support/failing.ts";
import { inPlace, MINUTE, NO_SPACE, pathOf, pause, type Place, record, same, set, test } from "./file_place.ts";

function namesIn(dir: string): string[] {
  return Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();
}

/** Every verb, with what it says of sessions that are not there. */
function verbsOf({ clock }: Place, store: FileStore, key: string): Record<string, () => Promise<unknown>> {
  return {
    create: () => store.create(newId(), record(clock)),
    read: () => store.read(key),
    update: () => store.update(key, same),
    touch: () => store.touch(key, clock.time + MINUTE),
    delete: () => store.delete(key),
    move: () => store.move(key, newId(), same),
    sessionsOf: () => Array.fromAsync(store.sessionsOf("Ada")),
    list: () => Array.fromAsync(store.list()),
    sweepAll: () => store.sweepAll(),
  };
}

async function refusesAll(verbs: Record<string, () => Promise<unknown>>, reason: string): Promise<void> {
  for (const [name, verb] of Object.entries(verbs)) {
    const error = await assertRejects(verb, Error, undefined, name);
    assertStringIncludes((error as Error).message, reason, name);
  }
}

test("the folder's secret is made with its first session, and stays", async (place) => {
  const { dir, store, open, create } = place;
  await store.ready();
  await store.read(newId());
  await Array.fromAsync(store.sessionsOf("Ada"));
  assertEquals(namesIn(dir), [".processes"]);
  await create();
  const path = `${dir}/${SECRET}`;
  const [text, { mode, ino }] = [Deno.readTextFileSync(path), Deno.statSync(path)];
  assertMatch(text, /^[0-9a-f]{64}\n$/);
  assertEquals(mode! & 0o777, 0o600);
  assert(!namesIn(dir).some((name) => name.endsWith(".tmp")));
  await open().create(newId(), record(place.clock));
  assertEquals([Deno.readTextFileSync(path), Deno.statSync(path).ino], [text, ino]);
});

test("a user's group depends on the folder's secret", async ({ store, open }) => {
  const group = await store.groupOf("Ada");
  assertEquals([await open().groupOf("Ada"), await store.groupOf("Ada")], [group, group]);
  assertNotEquals(await store.groupOf("Bob"), group);
  await inPlace(async (other) => assertNotEquals(await other.store.groupOf("Ada"), group));
});

test("of two first starts at the same time, one makes the secret for both", async ({ store, open, clock }) => {
  const other = open();
  const [first, second] = [newId(), newId()];
  let group: string | undefined;
  let made: Promise<void> | undefined;
  await replacing(Deno, "linkSync", (original) => (from, to) => {
    // Just before the first one puts its secret there, the second one does.
    if (made !== undefined) return original(from, to);
    made = other.create(second, record(clock, 2)).then(async () => void (group = await other.groupOf("Ada")));
    original(from, to);
  }, async () => {
    await store.create(first, record(clock, 1));
    await made;
  });
  assertEquals(await store.groupOf("Ada"), group);
  for (const one of [store, other, open()]) {
    assertEquals([(await one.read(first))?.data, (await one.read(second))?.data], [{ n: 1 }, { n: 2 }]);
  }
});

test("a secret that another process puts there in between is taken", async ({ dir, store, open, clock }) => {
  await store.ready();
  const other = open();
  await inPlace(async (elsewhere) => {
    await elsewhere.create();
    await replacing(Deno, "linkSync", (original) => (from, to) => {
      Deno.copyFileSync(`${elsewhere.dir}/${SECRET}`, `${dir}/${SECRET}`);
      return original(from, to);
    }, () => store.create(newId(), record(clock)));
    assertEquals(Deno.readTextFileSync(`${dir}/${SECRET}`), Deno.readTextFileSync(`${elsewhere.dir}/${SECRET}`));
    assertEquals(await store.groupOf("Ada"), await elsewhere.store.groupOf("Ada"));
    assertEquals(await other.groupOf("Ada"), await store.groupOf("Ada"));
  });
});

test("the first look may miss the secret that others make with sessions", async ({ dir, store, open, clock }) => {
  const other = open();
  let made = false;
  const key = newId();
  await store.ready();
  await other.create(key, record(clock, 1));
  await Deno.rename(`${dir}/${SECRET}`, `${dir}/${SECRET}.tmp`);
  await replacing(Deno, "readDirSync", (original) => (path) => {
    if (!made) Deno.renameSync(`${dir}/${SECRET}.tmp`, `${dir}/${SECRET}`);
    made = true;
    return original(path);
  }, async () => {
    assertEquals((await store.read(key))?.data, { n: 1 });
  });
  assertEquals(await store.groupOf("Ada"), await other.groupOf("Ada"));
});

test("where there are no links the secret is made all the same", async ({ dir, store, open, clock }) => {
  const key = newId();
  const unlinkable = () => () => {
    throw new Error("Operation not permitted (os error 1): link");
  };
  // The session is made when the secret is on the disk.
  const unflushed = (original: typeof Deno.open) => async (...args: Parameters<typeof Deno.open>) => {
    await pause(1);
    if (args[0] === `${dir}/${SECRET}`) throw new Error("Input/output error (os error 5)");
    return await original(...args);
  };
  await replacing(Deno, "linkSync", unlinkable, async () => {
    await replacing(Deno, "open", unflushed, async () => {
      await assertRejects(() => store.create(key, record(clock, 1)), Error, "Input/output error");
    });
    Deno.removeSync(`${dir}/${SECRET}`);
    await store.create(key, record(clock, 1));
  });
  assertEquals((await open().read(key))?.data, { n: 1 });
  assert(!namesIn(dir).some((name) => name.endsWith(".tmp")));
});

test("a secret that is replaced while it is read is read again", async ({ dir, store, open, create }) => {
  const id = await create(1);
  await store.close();
  const other = open();
  let reads = 0;
  await replacing(Deno, "readTextFileSync", (original) => (path) => {
    if (path === `${dir}/${SECRET}` && reads++ === 0) throw new Deno.errors.NotFound("No such file");
    return original(path);
  }, async () => {
    for (let n = 0; n < 2; n++) assertEquals((await other.read(id))?.data, { n: 1 });
  });
  assertEquals(reads, 2);
});

test("a first session that cannot have a secret is refused, and leaves none", async (place) => {
  const { dir, store, clock } = place;
  await replacing(Deno, "writeTextFileSync", (original) => (path, text, options) => {
    if (`${path}`.includes(SECRET)) throw new Error(`${NO_SPACE}: open '${path}'`);
    return original(path, text, options);
  }, () => assertRejects(() => store.create(newId(), record(clock)), Error, "No space left").then(() => {}));
  assertEquals(namesIn(dir), []);
  await store.create(newId(), record(clock));
});

for (const what of ["away", "empty", "another", "without its secret"]) {
  test(`while its folder is ${what} every verb fails, and then works again`, async (place) => {
    const { dir, store, create, clock } = place;
    const user = "Ada";
    const key = newId(await store.groupOf(user));
    await store.create(key, { ...record(clock, 1), user });
    const gone = await create();
    await store.delete(gone);
    await pause(260);
    const aside = `${dir}.aside`;
    if (what === "without its secret") await Deno.rename(`${dir}/${SECRET}`, aside);
    else await Deno.rename(dir, aside);
    if (what === "empty") await Deno.mkdir(dir);
    if (what === "another") {
      await inPlace(async (other) => {
        await other.create();
        await Deno.rename(other.dir, dir);
      });
    }
    const seen = () => what === "away" ? [] : namesIn(dir).filter((name) => !/^[.]processes$|^...$/.test(name));
    const before = seen();
    // What is in its place may be read, as long as it is there.
    const verbs = verbsOf(place, store, what === "without its secret" ? gone : key);
    const reason = {
      away: "No such file",
      empty: "is not there",
      another: "another folder",
      "without its secret": "is not there",
    };
    await refusesAll(verbs, reason[what as keyof typeof reason]);
    store.sweep();
    await store.close();
    if (what === "away") await assertRejects(() => Deno.stat(dir), Deno.errors.NotFound);
    assertEquals(seen(), before);

    if (what === "without its secret") await Deno.rename(aside, `${dir}/${SECRET}`);
    else {
      if (what !== "away") await Deno.rename(dir, `${dir}.other`);
      await Deno.rename(aside, dir);
    }
    assertEquals((await store.update(key, set({ n: 2 })))?.data, { n: 2 });
    assertEquals((await Array.fromAsync(store.sessionsOf(user))).length, 1);
    assertEquals([await store.read(gone), await store.delete(key)], [undefined, true]);
  });
}

test("a secret put back from a copy is the same secret", async ({ dir, store, create }) => {
  const key = await create(1);
  await Deno.copyFile(`${dir}/${SECRET}`, `${dir}/copy.tmp`);
  await Deno.rename(`${dir}/copy.tmp`, `${dir}/${SECRET}`);
  assertEquals([await store.delete(key), await store.delete(key)], [true, false]);
});

test("a folder that comes back in the middle of a read ends no one", async ({ dir, store, create }) => {
  const key = await create(1);
  await Deno.rename(dir, `${dir}.away`);
  await pause(260);
  let isAway = true;
  await replacing(Deno, "lstatSync", (original) => (path) => {
    try {
      return original(path);
    } finally {
      if (isAway && path === pathOf(dir, key)) {
        isAway = false;
        Deno.renameSync(`${dir}.away`, dir);
      }
    }
  }, async () => assertEquals((await store.read(key))?.data, { n: 1 }));
});

test("a folder that goes away in the middle of a change ends no one", async ({ dir, store, create }) => {
  const key = await create(1);
  await store.update(key, same);
  const away = () => Deno.renameSync(dir, `${dir}.away`);
  const leaving = (method: string, at: string, verb: () => Promise<unknown>) => {
    let isAway = false;
    return replacing(Deno, method, (original) => (path) => {
      if (path === at && !isAway) {
        isAway = true;
        away();
      }
      return original(path);
    }, async () => {
      await assertRejects(verb, Error, "No such file");
      await Deno.rename(`${dir}.away`, dir);
    });
  };
  await leaving("lstatSync", pathOf(dir, key), () => store.delete(key));
  const shard = `${dir}/${(await store.groupOf("Ada")).slice(0, 3)}`;
  await Deno.mkdir(shard, { recursive: true });
  await leaving("readDirSync", shard, () => Array.fromAsync(store.sessionsOf("Ada")));
  await leaving("readDirSync", `${dir}/${key.slice(0, 3)}`, () => Array.fromAsync(store.list()));
  assertEquals(await store.delete(key), true);
});

test("sessions without the folder's secret are refused at a start", async (place) => {
  const { dir, store, open, create, clock } = place;
  const key = await create(1);
  await store.close();
  await Deno.remove(`${dir}/${SECRET}`);
  const before = namesIn(dir);
  const other = open();
  await refusesAll({
    ready: () => other.ready(),
    groupOf: async () => await other.groupOf("Ada"),
    ...verbsOf(place, other, key),
    "read of another": () => other.read(newId()),
  }, `there are sessions without "${SECRET}"`);
  assertEquals(namesIn(dir).filter((name) => name !== ".processes"), before);
  // What has gone for good may go.
  await Deno.remove(`${dir}/${key.slice(0, 3)}`, { recursive: true });
  await other.create(newId(), record(clock));
});

for (const content of ["", "0123", `${"0".repeat(64)}`, "x".repeat(200)]) {
  test(`a secret of ${content.length} characters is damaged, and named`, async (place) => {
    const { dir, open, create } = place;
    const key = await create();
    await Deno.writeTextFile(`${dir}/${SECRET}`, content);
    const other = open();
    await refusesAll({ ready: () => other.ready(), ...verbsOf(place, other, key) }, `"${SECRET}" is damaged`);
    assertEquals(Deno.readTextFileSync(`${dir}/${SECRET}`), content);
  });
}

const strangers: Record<string, (path: string) => unknown> = {
  "notes.txt": (path) => Deno.writeTextFile(path, "x"),
  "passwd": (path) => Deno.writeTextFile(path, "SQLite format"),
  "folder": (path) => Deno.mkdir(path),
  "link": (path) => Deno.symlink("/", path),
  "pipe": (path) => new Deno.Command("mkfifo", { args: [path] }).output(),
  "0123": (path) => Deno.mkdir(path),
  "secret.key.old": (path) => Deno.writeTextFile(path, "x"),
};
for (const [name, make] of Object.entries(strangers)) {
  test(`a folder with "${name}" in it is refused before anything is made`, async (place) => {
    const { dir, store, clock } = place;
    await Deno.mkdir(dir);
    await make(`${dir}/${name}`);
    const before = Deno.statSync(dir).mtime?.getTime();
    await refusesAll({
      ready: () => store.ready(),
      create: () => store.create(newId(), record(clock)),
      groupOf: async () => await store.groupOf("Ada"),
    }, `with other files in it, such as "${name}"`);
    store.sweep();
    await store.close();
    assertEquals([namesIn(dir), Deno.statSync(dir).mtime?.getTime()], [[name], before]);
  });
}

test("the files that may lie in a store's folder hinder no start", async ({ dir, store, create }) => {
  await Deno.mkdir(dir);
  for (const name of ["secret.key", "secret.key.1.tmp", "x.tmp", "x.corrupt", ".DS_Store", "kv.db-wal", "kv.db-shm"]) {
    await Deno.writeTextFile(`${dir}/${name}`, "");
  }
  await Deno.writeTextFile(`${dir}/kv.db`, "SQLite format 3\0…");
  for (const name of ["lost+found", ".snapshots", "0a1"]) await Deno.mkdir(`${dir}/${name}`);
  await store.ready();
  const key = await create(1);
  assertEquals((await store.read(key))?.data, { n: 1 });
});
