/** The file store: the suite, and what only files have. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type SessionRecord, StoreFullError } from "../../lib/store.ts";
import { FileStore, type FileStoreOptions } from "../../lib/stores/file/store.ts";
import { CREATE, failing, replacing, UPDATE } from "../support/failing.ts";
import { Clock, newId } from "../support/server.ts";
import { testStore } from "../support/store_suite.ts";

let dir: string | undefined;
testStore({
  name: "file store",
  open: async (options) => new FileStore({ dir: dir ??= await Deno.makeTempDir(), ...options }),
  clear: async () => {
    await Deno.remove(dir!, { recursive: true });
    dir = undefined;
  },
  counts: true,
});

/** A folder with a store in it, and what the store logged. */
interface Place {
  dir: string;
  store: FileStore;
  logged: string[];
  clock: Clock;
  open(options?: Partial<FileStoreOptions>): FileStore;
  /** Stores a session that lives for a minute, and returns its id. */
  create(n?: number): Promise<string>;
}

function test(behaviour: string, fn: (place: Place) => Promise<void>): void {
  Deno.test(`file store: ${behaviour}`, async () => {
    const parent = await Deno.makeTempDir();
    const dir = `${parent}/sessions`;
    const logged: string[] = [];
    const clock = new Clock(Date.now());
    const open = (options = {}) =>
      new FileStore({ dir, now: clock.now, log: (...words) => void logged.push(words.join(" ")), ...options });
    const store = open();
    const create = async (n = 0) => {
      const id = newId();
      await store.create(id, record(clock, n));
      return id;
    };
    try {
      await fn({ dir, store, logged, clock, open, create });
    } finally {
      await store.close();
      await Deno.remove(parent, { recursive: true });
    }
  });
}

const MINUTE = 60_000;

function record({ time }: Clock, n = 0): SessionRecord {
  return { data: { n }, created: time, ends: time + 60 * MINUTE, expires: time + MINUTE };
}

function pathOf(dir: string, id: string): string {
  return `${dir}/${id.slice(0, 2)}/${id.slice(2)}.json`;
}

/** Every file below a folder, as paths relative to it. */
function filesIn(dir: string, below = ""): string[] {
  return [...Deno.readDirSync(`${dir}/${below}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(dir, `${below}${name}/`) : [below + name]
  );
}

function turn(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Sweeps until the whole folder has been looked at some times. */
async function sweepAll(store: FileStore, clock: Clock): Promise<void> {
  for (let i = 0; i < 30; i++) {
    clock.time += 1000;
    store.sweep();
    await store.close();
  }
}

test("a session is one readable JSON file, the folders 0700 and the file 0600", async ({ dir, create, clock }) => {
  const id = await create(7);
  assertEquals(filesIn(dir), [`${id.slice(0, 2)}/${id.slice(2)}.json`]);
  const { version, created, ends, data } = JSON.parse(await Deno.readTextFile(pathOf(dir, id)));
  assertEquals({ version, created, ends, data }, {
    version: 1,
    created: clock.time,
    ends: clock.time + 60 * MINUTE,
    data: { n: 7 },
  });
  const modes = [dir, `${dir}/${id.slice(0, 2)}`, pathOf(dir, id)].map((path) => Deno.statSync(path).mode! & 0o777);
  assertEquals(modes, [0o700, 0o700, 0o600]);
});

test("its try-out makes the folder, leaves nothing in it, and says if others can reach into it", async (place) => {
  const { dir, store, logged } = place;
  store.check();
  assertEquals([filesIn(dir), Deno.statSync(dir).mode! & 0o777, logged], [[], 0o700, []]);
  await Deno.chmod(dir, 0o755);
  store.check();
  assertStringIncludes(logged.join(), "mode 0700");
});

test("its try-out fails where files cannot be made, or not be locked", async ({ dir, store }) => {
  const lock = { name: "lock", target: Deno.FsFile.prototype, method: "tryLockSync" };
  for (const call of [CREATE[0]!, ...UPDATE.filter(({ name }) => !["write", "rename"].includes(name)), lock]) {
    await failing(call, "No locks available (os error 37)", async () => {
      await assertRejects(() => Promise.try(() => store.check()), Error, "No locks available");
    });
  }
  store.check();
  assertEquals(filesIn(dir), []);
});

test("reading, and changing what is not there, makes nothing", async ({ dir, open, clock }) => {
  const store = open();
  assertEquals(await store.read(newId()), undefined);
  await assertRejects(() => Deno.stat(dir), Deno.errors.NotFound);
  store.check();
  assertEquals(await store.update(newId(), (data) => data, clock.time + MINUTE), undefined);
  assertEquals(await store.touch(newId(), clock.time + MINUTE), false);
  assertEquals(filesIn(dir), []);
});

test("no id but 32 lower-case hex digits reaches a path", async ({ store, clock }) => {
  for (
    const id of ["", "..", "../../etc/passwd", newId().toUpperCase(), `${newId()}\0`, newId().slice(1), "é".repeat(32)]
  ) {
    await assertRejects(() => store.read(id), TypeError);
    await assertRejects(() => store.create(id, record(clock)), TypeError);
    await assertRejects(() => store.update(id, (data) => data, clock.time), TypeError);
    await assertRejects(() => store.touch(id, clock.time), TypeError);
    await assertRejects(() => store.delete(id), TypeError);
  }
});

const good = JSON.stringify({
  version: 1,
  written: Date.now(),
  created: 0,
  ends: 9e12,
  expires: 9e12,
  data: { user: "Mallory" },
});
const corrupt: Record<string, (path: string, target: string) => unknown> = {
  "an empty file": (path) => Deno.writeTextFile(path, ""),
  "a file cut short": (path) => Deno.writeTextFile(path, good.slice(0, -2)),
  "garbage": (path) => Deno.writeFile(path, new Uint8Array([0, 255, 128, 7])),
  "JSON of another shape": (path) => Deno.writeTextFile(path, "[]"),
  "data that are no object": (path) => Deno.writeTextFile(path, good.replace('{"user":"Mallory"}', "[]")),
  "another version": (path) => Deno.writeTextFile(path, good.replace("1", "2")),
  "a file of 10 MB": (path) => Deno.writeTextFile(path, good + " ".repeat(10_000_000)),
  "a folder": (path) => Deno.mkdir(path),
  "a link to a file": (path, target) => Deno.symlink(target, path),
  "a link to nothing": (path, target) => Deno.symlink(`${target}.not`, path),
  "a pipe": (path) => new Deno.Command("mkfifo", { args: [path] }).output(),
};
for (const [what, make] of Object.entries(corrupt)) {
  test(`${what} in a record's place is no session, is put aside, and is said once`, async (place) => {
    const { dir, store, logged, clock, create } = place;
    const target = `${dir}.target`;
    await Deno.writeTextFile(target, good);
    for (const use of ["read", "update", "touch", "delete"]) {
      const id = await create();
      const path = pathOf(dir, id);
      await Deno.remove(path);
      await make(path, target);
      const later = clock.time + MINUTE;
      if (use === "read") assertEquals(await store.read(id), undefined);
      if (use === "update") assertEquals(await store.update(id, () => ({ n: 1 }), later), undefined);
      if (use === "touch") assertEquals(await store.touch(id, later), false);
      if (use === "delete") assertEquals(await store.delete(id), undefined);
      await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
      await Deno.lstat(`${path}.corrupt`);
      assertEquals(await store.read(id), undefined);
      assertEquals(logged.length, 1, use);
      assert(logged[0]!.startsWith("warn A corrupt") && !logged[0]!.includes(id.slice(2)), logged[0]);
      logged.length = 0;
    }
    assertEquals(await Deno.readTextFile(target), good);
    assert((await Deno.stat(target)).mtime!.getTime() <= Date.now(), "the touch went nowhere");
  });
}

test("a corrupt record that cannot be put aside is no session, and nothing fails", async ({ dir, store, logged, create }) => {
  const id = await create();
  await Deno.writeTextFile(pathOf(dir, id), "");
  await failing(UPDATE.at(-1)!, "Read-only file system (os error 30)", async () => {
    assertEquals(await store.read(id), undefined);
  });
  assertStringIncludes(logged.join(), "could not be put aside");
  assert(!logged.join().includes(id.slice(2)));
});

test("an update that fails at any step leaves the old value and nothing else, and says so without an id", async (place) => {
  const { dir, store, clock, create } = place;
  const id = await create(1);
  const update = () => store.update(id, () => ({ n: 2 }), clock.time + 2 * MINUTE);
  for (const step of UPDATE) {
    await failing(step, "No space left on device (os error 28)", async () => {
      const error = await assertRejects(update, Error, "No space left on device");
      assert(!error.message.includes(id.slice(2)), error.message);
    });
    assertEquals((await store.read(id))?.data, { n: 1 }, step.name);
    assertEquals(filesIn(dir), [`${id.slice(0, 2)}/${id.slice(2)}.json`], step.name);
  }
  assertEquals((await update())?.data, { n: 2 });
});

test("a create that fails at any step leaves nothing, and says so without an id", async ({ dir, store, clock }) => {
  const id = newId();
  const create = () => store.create(id, record(clock));
  const fails = async (step?: string) => {
    const error = await assertRejects(create, Error, "No space left on device");
    assert(!error.message.includes(id.slice(2)), error.message);
    assertEquals(filesIn(dir), [], step);
    assertEquals(await store.read(id), undefined, step);
  };
  store.check();
  for (const step of CREATE) {
    await failing(step, "No space left on device (os error 28)", () => fails(step.name));
  }
  await replacing(Deno, "writeFile", (original) => async (path, bytes: Uint8Array, options) => {
    await original(path, bytes.subarray(0, 5), options);
    throw new Error(`No space left on device (os error 28): writefile '${path}'`);
  }, () => fails("the disk is full in the middle of it"));
  await create();
  assertEquals((await store.read(id))?.data, { n: 0 });
});

test("a file that is being made is not listed, swept or put aside; one whose maker died goes in time", async (place) => {
  const { dir, store, open, clock, create, logged } = place;
  const id = await create(1);
  await store.touch(id, clock.time + 60 * MINUTE);
  for (const content of ["", '{"vers', good.slice(0, -1)]) {
    await Deno.writeTextFile(`${dir}/${id.slice(0, 2)}/${newId().slice(2)}.json`, content);
  }
  const listed = async () => (await Array.fromAsync(store.list())).map(([id]) => id);
  assertEquals(await listed(), [id]);
  // It has not seen yet how long sessions live, so it looks into each.
  const other = open();
  await sweepAll(other, clock);
  assertEquals([filesIn(dir).length, await listed(), logged], [4, [id], []]);
  clock.time += MINUTE;
  await sweepAll(other, clock);
  assertEquals([filesIn(dir).length, await listed()], [1, [id]]);
});

test("a session whose writing takes long is stored all the same, unless another process has swept it", async (place) => {
  const { dir, store, open, clock } = place;
  let ahead = 0;
  const slowly = (meanwhile: (path: string) => void, test: () => Promise<void>) =>
    replacing(
      Date,
      "now",
      (original) => () => original() + ahead,
      () =>
        replacing(Deno, "writeFile", (original) => async (path: string, ...rest) => {
          await original(path, ...rest);
          ahead += 2 * MINUTE;
          meanwhile(path);
        }, test),
    );
  const late = (path: string) => Deno.utimeSync(path, 0, Date.now() / 1000);
  const id = newId();
  await slowly(late, () => store.create(id, record(clock)));
  assertEquals((await open().read(id))?.expires, clock.time + MINUTE);
  assertEquals(filesIn(dir).length, 1);
  await slowly((path) => Deno.removeSync(path), async () => {
    await assertRejects(() => store.create(newId(), record(clock)), Error, "was swept");
  });
  assertEquals(filesIn(dir).length, 1);
  await failing({ name: "set the time", target: Deno, method: "utimeSync" }, "Read-only file system", async () => {
    const create = () => store.create(newId(), record(clock));
    await slowly(() => {}, async () => void await assertRejects(create, Error, "Read-only file system"));
  });
  assertEquals(filesIn(dir).length, 1, "nothing is left behind");

  await replacing(
    Date,
    "now",
    (original) => () => original() + ahead,
    () =>
      replacing(Deno.FsFile.prototype, "writeSync", (original) =>
        function (this: Deno.FsFile, bytes: Uint8Array) {
          ahead += 2 * MINUTE;
          const written = original.call(this, bytes);
          this.utimeSync(0, Date.now() / 1000);
          return written;
        }, async () => {
        assert(await store.update(id, () => ({ n: 2 }), clock.time + 2 * MINUTE));
      }),
  );
  assertEquals((await open().read(id))?.expires, clock.time + 2 * MINUTE);
});

test("using a session writes nothing into its file, but sets the file's time to the session's end", async (place) => {
  const { dir, store, open, clock, create } = place;
  const id = await create();
  const content = await Deno.readTextFile(pathOf(dir, id));
  for (const later of [MINUTE / 2, 2 * MINUTE]) {
    assert(await store.touch(id, clock.time + later));
    assertEquals(await Deno.readTextFile(pathOf(dir, id)), content);
    assertEquals(Deno.statSync(pathOf(dir, id)).mtime!.getTime(), clock.time + later);
    assertEquals((await open().read(id))?.expires, clock.time + later);
  }
});

test("an end near the time of the writing is never taken for that time", async ({ store, open, clock, create }) => {
  for (const end of [1, 10, 100, 999, 1000, 1001, 1010, 1100]) {
    const id = await create();
    assert(await store.touch(id, clock.time + end));
    assertEquals((await open().read(id))?.expires, clock.time + end, `${end} ms`);
  }
});

test("a session whose file has a time that was set by other means ends at that time", async ({ dir, open, clock, create }) => {
  const id = await create();
  await Deno.utime(pathOf(dir, id), 0, (clock.time + 7 * MINUTE) / 1000);
  assertEquals((await open().read(id))?.expires, clock.time + 7 * MINUTE);
  await Deno.utime(pathOf(dir, id), 0, (clock.time - MINUTE) / 1000);
  assertEquals(await open().read(id), undefined);
});

test("the sweep looks into the file of an unused session before it removes it, and not while others live as long", async (place) => {
  const { dir, store, open, clock, create } = place;
  const long = newId();
  await open().create(long, { ...record(clock), expires: clock.time + 30 * MINUTE });
  for (let i = 0; i < 20; i++) await create();
  let opened = 0;
  const count = (test: () => Promise<void>) =>
    replacing(Deno, "openSync", (original) => (...args) => (opened++, original(...args)), test);
  await count(() => sweepAll(store, clock));
  assertEquals(opened, 0);
  clock.time += 2 * MINUTE;
  await count(() => sweepAll(store, clock));
  assert(opened > 20, `${opened} files were looked into`);
  assertEquals(filesIn(dir), [`${long.slice(0, 2)}/${long.slice(2)}.json`]);
  assert(await store.read(long));
});

test("the end of a new session is remembered, so that those made after it look for its file", async (place) => {
  const { dir, store, clock, create } = place;
  for (let i = 0; i < 200; i++) await store.touch(await create(), clock.time + 60 * MINUTE);
  await sweepAll(store, clock);
  await create();
  clock.time += MINUTE;
  for (let i = 0; i < 150; i++) {
    await create();
    store.sweep();
    await turn();
  }
  await store.close();
  assertEquals(filesIn(dir).length, 350);
});

test("what another process left is found, and then looked for by every new session", async (place) => {
  const { dir, open, store, clock, create } = place;
  await store.touch(await create(), clock.time + 60 * MINUTE);
  await sweepAll(store, clock);
  const other = open();
  for (let i = 0; i < 300; i++) await other.create(newId(), record(clock));
  clock.time += MINUTE + 1000;
  for (let i = 0; i < 100; i++) {
    await create();
    store.sweep();
    await turn();
  }
  await store.close();
  assert(filesIn(dir).length < 301, `${filesIn(dir).length} files`);
});

test("sessions that are made at once never go past the maximum, and none is refused before it", async ({ dir, open, clock }) => {
  for (let round = 0; round < 5; round++) {
    const store = open({ max: 20 * (round + 1) });
    const answers = await Promise.allSettled(Array.from({ length: 30 }, async (_, i) => {
      if (i % 5 === 0) await turn();
      store.sweep();
      await store.create(newId(), record(clock));
    }));
    await store.close();
    assertEquals(answers.filter(({ status }) => status === "fulfilled").length, 20);
    assertEquals(filesIn(dir).length, 20 * (round + 1));
  }
});

test("while nothing can have ended, new sessions pay for no look at the others", async ({ store, clock, create }) => {
  const createSome = async () => {
    for (let i = 0; i < 100; i++) {
      await create();
      store.sweep();
      await turn();
    }
  };
  let looks = 0;
  const count = (test: () => Promise<void>) =>
    replacing(Deno, "lstatSync", (original) => (path) => (looks++, original(path)), test);
  await createSome();
  await sweepAll(store, clock);
  await count(createSome);
  assertEquals(looks, 0);
  clock.time += MINUTE;
  await count(createSome);
  assert(looks > 500, `${looks} looks`);
});

test("a folder that cannot be made or counted at first is when it can be", async ({ store, clock, dir, create }) => {
  for (const method of ["mkdirSync", "readDirSync"]) {
    await failing({ name: method, target: Deno, method }, "Too many open files (os error 24)", async () => {
      await assertRejects(() => store.create(newId(), record(clock)), Error, "Too many open files");
    });
  }
  await create();
  assertEquals(filesIn(dir).length, 1);
});

test("a delete or touch that fails rejects, and the session goes on", async ({ store, clock, create }) => {
  const id = await create(1);
  const verbs = {
    removeSync: () => store.delete(id),
    utimeSync: () => store.touch(id, clock.time + 2 * MINUTE),
  };
  for (const [method, verb] of Object.entries(verbs)) {
    await failing({ name: method, target: Deno, method }, "Read-only file system (os error 30)", async () => {
      const error = await assertRejects(verb, Error, "Read-only file system");
      assert(!error.message.includes(id.slice(2)), error.message);
    });
    assertEquals((await store.read(id))?.data, { n: 1 });
  }
});

test("without a free file handle every verb rejects, and works again when there is one", async (place) => {
  const { store, clock, create, open } = place;
  const id = await create(1);
  const verbs = [
    () => open().read(id),
    () => store.update(id, () => ({ n: 2 }), clock.time + MINUTE),
    () => store.touch(id, clock.time + MINUTE),
    () => store.delete(id),
    () => store.create(newId(), record(clock)),
  ];
  const without = (methods: string[], test: () => Promise<void>): Promise<void> => {
    const [method, ...others] = methods;
    if (method === undefined) return test();
    const call = { name: method, target: Deno, method };
    return failing(call, "Too many open files (os error 24)", () => without(others, test));
  };
  await without(["openSync", "readTextFileSync", "writeFile"], async () => {
    for (const verb of verbs) await assertRejects(verb as () => Promise<unknown>, Error, "Too many open files");
  });
  assertEquals((await store.delete(id))?.data, { n: 1 });
});

test("while its folder is gone nothing is stored or called ended, and all is as before when it is back", async (place) => {
  const { dir, store, clock, create } = place;
  const id = await create(1);
  await Deno.rename(dir, `${dir}.away`);
  assertEquals(await store.read(id), undefined);
  await assertRejects(() => store.update(id, () => ({ n: 2 }), clock.time + MINUTE), Error, "No such file");
  await assertRejects(() => store.touch(id, clock.time + MINUTE), Error, "No such file");
  await assertRejects(() => store.delete(id), Error, "No such file");
  await assertRejects(() => store.create(newId(), record(clock)), Error, "No such file");
  store.sweep();
  await store.close();
  await assertRejects(() => Deno.stat(dir), Deno.errors.NotFound);
  await Deno.rename(`${dir}.away`, dir);
  assertEquals((await store.update(id, () => ({ n: 2 }), clock.time + MINUTE))?.data, { n: 2 });
});

test("a file in a shard's place keeps sessions out of that shard, not out of the others", async ({ dir, store, clock }) => {
  store.check();
  await Deno.writeTextFile(`${dir}/00`, "");
  await assertRejects(() => store.create("0".repeat(32), record(clock)), Error, "Not a directory");
  assertEquals(await store.read("0".repeat(32)), undefined);
  await store.create("1".repeat(32), record(clock));
  store.sweep();
  await store.close();
});

test("a session of more than 1 MiB is refused, and the old value stays", async ({ dir, store, clock, create }) => {
  const id = await create(1);
  const big = "x".repeat(1024 * 1024);
  await assertRejects(() => store.update(id, () => ({ big }), clock.time + MINUTE), Error, "1048576 bytes");
  await assertRejects(() => store.create(newId(), { ...record(clock), data: { big } }), Error, "1048576 bytes");
  assertEquals((await store.read(id))?.data, { n: 1 });
  assertEquals(filesIn(dir).length, 1);
});

test("what a dead process left beside a record is no hindrance to saving it", async ({ dir, store, clock, create }) => {
  const id = await create(1);
  await Deno.writeTextFile(`${pathOf(dir, id)}.tmp`, '{"half');
  assertEquals((await store.update(id, () => ({ n: 2 }), clock.time + MINUTE))?.data, { n: 2 });
  assertEquals(filesIn(dir).length, 1);
});

test("left-over temporary files go with the sweep, young ones and those of others stay", async (place) => {
  const { dir, store, clock, create } = place;
  const kept = await create(1);
  const put = async (path: string, age: number) => {
    await Deno.writeTextFile(path, "");
    await Deno.utime(path, 0, (clock.time - age) / 1000);
  };
  const shard = `${dir}/${kept.slice(0, 2)}`;
  await put(`${shard}/${newId().slice(2)}.json.tmp`, 5 * MINUTE);
  await put(`${pathOf(dir, kept)}.tmp`, 5 * MINUTE);
  await put(`${dir}/secret.key.${crypto.randomUUID()}.tmp`, 5 * MINUTE);
  await put(`${dir}/secret.key`, 5 * MINUTE);
  await put(`${shard}/${newId().slice(2)}.json.tmp`, 0);
  await sweepAll(store, clock);
  assertEquals(filesIn(dir).map((path) => path.replace(/.*\.(?=json|key)/, "")).sort(), ["json", "json.tmp", "key"]);
  assertEquals((await store.read(kept))?.data, { n: 1 });
});

test("the sweep removes what is over and nothing that is not", async ({ dir, store, clock, create, logged }) => {
  const over = await Promise.all(Array.from({ length: 100 }, () => create()));
  clock.time += MINUTE - 1;
  const live = await Promise.all(Array.from({ length: 100 }, () => create()));
  await sweepAll(store, clock);
  assertEquals(filesIn(dir).length, 100);
  for (const id of live) assert(await store.read(id));
  for (const id of over) assertEquals(await store.read(id), undefined);
  assert(logged.every((line) => line.startsWith("info Expired sessions were swept")), logged.join());
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
      replacing(Deno, "removeSync", (original) => (path) => (removed++, original(path)), async () => {
        for (let i = 0; i < 5; i++) store.sweep();
        await store.close();
      }),
  );
  // Each is looked at once from outside, and five times while it is locked and read.
  assert(removed > 0 && removed <= 64 && looked <= 6 * 64, `${removed} removed, ${looked} looks`);
  assertEquals(filesIn(dir).length, 300 - removed);
});

test("a sweep asked for while one is under way is that one", async ({ dir, store, clock, create, logged }) => {
  for (let i = 0; i < 100; i++) await create();
  clock.time += 2 * MINUTE;
  for (let i = 0; i < 5; i++) {
    store.sweep();
    await turn();
  }
  for (let i = 0; i < 500 && filesIn(dir).length > 0; i++) await turn(2);
  await store.close();
  assertEquals(logged, ["info Expired sessions were swept 100"]);
});

test("under steady load dead files stay under a seventh of the live ones", async ({ dir, store, clock }) => {
  const LIVE = 400;
  const IDLE = 6000;
  // The folders themselves are looked at as well, and a step waits until eight sessions have paid for it.
  const ROOM = 256 / 7 + 8;
  let most = 0;
  for (let made = 1; made <= 4 * LIVE; made++) {
    clock.time += IDLE / LIVE;
    await store.create(newId(), { ...record(clock), expires: clock.time + IDLE });
    if (made % 8 > 0) continue;
    // Eight new sessions have paid for one step.
    store.sweep();
    await store.close();
    if (made > 2 * LIVE && made % 40 === 0) most = Math.max(most, filesIn(dir).length - LIVE);
  }
  assert(most > 0 && most <= LIVE / 7 + ROOM, `${most} dead`);
});

test("a session that is locked is not swept, and one that was used meanwhile is not either", async (place) => {
  const { dir, store, clock, create } = place;
  const id = await create(1);
  clock.time += MINUTE;
  const file = Deno.openSync(pathOf(dir, id));
  file.lockSync(true);
  await sweepAll(store, clock);
  assertEquals(filesIn(dir).length, 1);
  file.close();

  // Used between the sweep's look and its lock, by another process.
  const original = Deno.FsFile.prototype.tryLockSync;
  await replacing(Deno.FsFile.prototype, "tryLockSync", () =>
    function (this: Deno.FsFile, exclusive: boolean) {
      Deno.utimeSync(pathOf(dir, id), 0, (clock.time + MINUTE) / 1000);
      return original.call(this, exclusive);
    }, () => sweepAll(store, clock));
  assertEquals((await store.read(id))?.data, { n: 1 });
});

test("update and delete wait for another process's lock, and see what it did", async ({ dir, store, clock, create }) => {
  const id = await create(1);
  const path = pathOf(dir, id);
  const file = Deno.openSync(path);
  file.lockSync(true);
  let answered = 0;
  const update = store.update(id, ({ n }) => ({ n: n as number + 1 }), clock.time + MINUTE).finally(() => answered++);
  const touch = store.touch(id, clock.time + MINUTE).finally(() => answered++);
  await turn(30);
  assertEquals(answered, 0);
  await Deno.writeTextFile(`${path}.other`, good.replace('{"user":"Mallory"}', '{"n":41}'));
  await Deno.rename(`${path}.other`, path);
  file.close();
  assertEquals((await update)?.data, { n: 42 });
  assertEquals(await touch, true);
});

test("an update that locked a file just replaced waits for the one in its place", async (place) => {
  const { dir, store, open, clock, create } = place;
  const id = await create(1);
  const path = pathOf(dir, id);
  const original = Deno.FsFile.prototype.tryLockSync;
  let held: Deno.FsFile | undefined;
  let isAnswered = false;
  await replacing(Deno.FsFile.prototype, "tryLockSync", () =>
    function (this: Deno.FsFile, exclusive: boolean) {
      if (held === undefined) {
        // Between the opening and the lock, another process replaces the file, and a third one locks the new one.
        held = Deno.openSync(path);
        void open().update(id, () => ({ n: 41 }), clock.time + MINUTE);
        held.close();
        held = Deno.openSync(path);
        held.lockSync(true);
      }
      return original.call(this, exclusive);
    }, async () => {
    const update = store.update(id, ({ n }) => ({ n: n as number + 1 }), clock.time + MINUTE);
    update.finally(() => isAnswered = true);
    await turn(30);
    assert(!isAnswered);
    held!.close();
    assertEquals((await update)?.data, { n: 42 });
  });
});

test("a lock that is never let go is given up on", async ({ dir, store, clock, create }) => {
  const id = await create(1);
  using file = Deno.openSync(pathOf(dir, id));
  file.lockSync(true);
  let ahead = 0;
  await replacing(performance, "now", (original) => () => original.call(performance) + (ahead += 2000), async () => {
    const error = await assertRejects(
      () => store.update(id, () => ({}), clock.time + MINUTE),
      Error,
      "locked for 5 seconds",
    );
    assert(!error.message.includes(id.slice(2)));
  });
  assertEquals((await store.read(id))?.data, { n: 1 });
});

test("a reader's memory is never behind, even if the file's number, size and time are those of before", async (place) => {
  const { store, open, clock, create } = place;
  const expires = clock.time + MINUTE;
  const writer = open();
  const ids = await Promise.all(Array.from({ length: 50 }, () => create(1)));
  for (const settled of [false, true]) {
    // Long enough for records to be kept in memory, or not.
    if (settled) await turn(80);
    for (const id of ids) await store.read(id);
    for (const id of ids) {
      // A file system may give the number of the first file to the third.
      for (let n = 2; n <= 7; n++) {
        await writer.update(id, () => ({ n }), expires);
        if (n % 2 === 1) assertEquals((await store.read(id))?.data, { n });
      }
    }
  }
});

test("a record that has not changed for a while is read from memory, one that has is not", async (place) => {
  const { store, open, clock, create } = place;
  const id = await create(1);
  await turn(80);
  let reads = 0;
  const count = (test: () => Promise<void>) =>
    replacing(Deno, "readTextFileSync", (original) => (path) => (reads++, original(path)), test);
  await count(async () => {
    for (let i = 0; i < 5; i++) assertEquals((await store.read(id))?.data, { n: 1 });
    assertEquals(reads, 1);
    await open().update(id, () => ({ n: 2 }), clock.time + MINUTE);
    assertEquals((await store.read(id))?.data, { n: 2 });
    await open().delete(id);
    assertEquals(await store.read(id), undefined);
  });
});

test("what an earlier process left counts towards the maximum", async ({ create, open, clock }) => {
  for (let i = 0; i < 3; i++) await create();
  const store = open({ max: 4 });
  await store.create(newId(), record(clock));
  await assertRejects(() => store.create(newId(), record(clock)), Error, "may hold 4 sessions");
});

test("a full store makes room when sessions expire", async ({ open, clock }) => {
  const store = open({ max: 20 });
  for (let i = 0; i < 20; i++) await store.create(newId(), record(clock));
  clock.time += MINUTE;
  await assertRejects(() => store.create(newId(), record(clock)));
  for (let i = 0; i < 3; i++) await sweepAll(store, clock);
  await store.create(newId(), record(clock));
});

test("a sweep that fails is said, and the next one goes on", async ({ dir, store, logged, clock, create }) => {
  const id = await create();
  clock.time += 2 * MINUTE;
  await failing(
    { name: "lock", target: Deno.FsFile.prototype, method: "tryLockSync" },
    "No locks (os error 37)",
    async () => {
      await sweepAll(store, clock);
    },
  );
  assertStringIncludes(logged.join(), "error The sweep of expired sessions failed No locks (os error 37)");
  assert(!logged.join().includes(id.slice(2)));
  await sweepAll(store, clock);
  assertEquals(filesIn(dir), []);
});

test("a count that was estimated is right before the maximum is reached", async ({ dir, open, clock }) => {
  // Enough files for the store to stop counting them one by one, and unlike what random ids make of them: the folders
  // that are counted first hold more than their share.
  const before = 2_100;
  for (let n = 0; n < before; n++) {
    const shard = `${dir}/${(n % 250).toString(16).padStart(2, "0")}`;
    if (n < 256) Deno.mkdirSync(`${dir}/${n.toString(16).padStart(2, "0")}`, { recursive: true });
    const path = `${shard}/${newId().slice(2)}.json`;
    Deno.writeTextFileSync(path, good);
    Deno.utimeSync(path, new Date(), new Date(clock.time + MINUTE));
  }
  const max = 4_400;
  const store = open({ max });
  let made = 0;
  try {
    for (; made <= max; made++) {
      await store.create(newId(), record(clock, made));
      store.sweep();
      if (made % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } catch (error) {
    assert(error instanceof StoreFullError, String(error));
  }
  await store.close();
  assertEquals(before + made, max);
});
