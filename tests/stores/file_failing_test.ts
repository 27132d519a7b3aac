/** The file store: when file calls fail, nothing is half done, nothing old is lost, and no message holds a key. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { type Call, CREATE, failing, replacing, UPDATE } from "../support/failing.ts";
import {
  filesIn,
  MINUTE,
  NO_HANDLES,
  NO_SPACE,
  pathOf,
  READ_ONLY,
  record,
  same,
  set,
  sweepRound,
  test,
} from "./file_place.ts";

const REMOVE: Call = { name: "remove", target: Deno, method: "removeSync" };
const LOCK: Call = { name: "lock", target: Deno.FsFile.prototype, method: "tryLockSync" };

test("ready fails where files cannot be made, or not be locked", async ({ dir, store }) => {
  const make: Call = { name: "make the file", target: Deno, method: "writeTextFileSync" };
  for (const call of [CREATE[0]!, make, LOCK]) {
    await failing(call, "No locks available (os error 37)", async () => {
      await assertRejects(() => store.ready(), Error, "No locks available");
    });
  }
  await store.ready();
  assertEquals(filesIn(dir), []);
});

test("an update that fails at any step leaves the old value only", async ({ dir, store, create }) => {
  const key = await create(1);
  const update = () => store.update(key, set({ n: 2 }));
  for (const step of UPDATE) {
    await failing(step, NO_SPACE, async () => {
      const error = await assertRejects(update, Error, "No space left on device");
      assert(!error.message.includes(key.slice(3)), error.message);
    });
    assertEquals((await store.read(key))?.data, { n: 1 }, step.name);
    assertEquals(filesIn(dir), [`${key.slice(0, 3)}/${key.slice(3)}.json`], step.name);
  }
  assertEquals((await update())?.data, { n: 2 });
});

test("a create that fails at any step leaves nothing", async (place) => {
  const { dir, store, clock } = place;
  const key = newId();
  const create = () => store.create(key, record(clock));
  const fails = async (step?: string) => {
    const error = await assertRejects(create, Error, "No space left on device");
    assert(!error.message.includes(key.slice(3)), error.message);
    assertEquals(filesIn(dir), [], step);
    assertEquals(await store.read(key), undefined, step);
  };
  await store.ready();
  for (const step of CREATE) await failing(step, NO_SPACE, () => fails(step.name));
  await replacing(Deno, "writeTextFileSync", (original) => (path, text: string, options) => {
    original(path, text.slice(0, 5), options);
    throw new Error(`${NO_SPACE}: writefile '${path}'`);
  }, () => fails("the disk is full in the middle of it"));
  await create();
  assertEquals((await store.read(key))?.data, { n: 0 });
});

test("a move that fails at any step leaves the old session and no other", async (place) => {
  const { dir, store, create, open } = place;
  const key = await create(1);
  const to = newId();
  const move = () => store.move(key, to, set({ n: 2 }));
  const fromOld: Call = { ...REMOVE, fails: ([path]) => path === pathOf(dir, key) };
  for (const step of [...CREATE.slice(1), fromOld]) {
    await failing(step, NO_SPACE, async () => {
      const error = await assertRejects(move, Error, "No space left on device");
      assert(!error.message.includes(key.slice(3)) && !error.message.includes(to.slice(3)), error.message);
    });
    assertEquals([(await store.read(key))?.data, await store.read(to)], [{ n: 1 }, undefined], step.name);
    assertEquals(filesIn(dir), [`${key.slice(0, 3)}/${key.slice(3)}.json`], step.name);
  }
  assertEquals((await move())?.data, { n: 2 });
  assertEquals((await Array.fromAsync(open().list())).map(([key]) => key), [to]);
});

test("failed creates and moves are not counted", async ({ open, clock }) => {
  const store = open({ max: 2 });
  const key = newId();
  await store.create(key, record(clock));
  for (let i = 0; i < 5; i++) {
    await failing(CREATE[2]!, NO_SPACE, async () => {
      await assertRejects(() => store.create(newId(), record(clock)));
      await assertRejects(() => store.move(key, newId(), same));
    });
  }
  await store.create(newId(), record(clock));
  await assertRejects(() => store.create(newId(), record(clock)), Error, "may hold 2 live sessions");
});

test("a create that takes a minute fails: its file may have been swept", async ({ dir, store, clock }) => {
  let ahead = 0;
  const slow = (original: (...args: unknown[]) => unknown) => (...args: unknown[]) => {
    ahead += MINUTE;
    return original(...args);
  };
  await replacing(
    performance,
    "now",
    (original) => () => original.call(performance) + ahead,
    () =>
      replacing(Deno, "utimeSync", slow, async () => {
        await assertRejects(() => store.create(newId(), record(clock)), Error, "took too long");
      }),
  );
  assertEquals(filesIn(dir), []);
});

test("a delete or touch that fails rejects, and the session goes on", async ({ store, clock, create }) => {
  const key = await create(1);
  const verbs = {
    removeSync: () => store.delete(key),
    utimeSync: () => store.touch(key, clock.time + 2 * MINUTE),
  };
  for (const [method, verb] of Object.entries(verbs)) {
    await failing({ name: method, target: Deno, method }, READ_ONLY, async () => {
      const error = await assertRejects(verb, Error, "Read-only file system");
      assert(!error.message.includes(key.slice(3)), error.message);
    });
    assertEquals((await store.read(key))?.data, { n: 1 });
  }
});

test("a full disk keeps no one logged in", async ({ store, create, open }) => {
  for (const one of [store, open()]) {
    const key = await create(1);
    // Not even joining the roster may need space.
    await failing(
      { name: "write", target: Deno, method: "writeTextFileSync" },
      NO_SPACE,
      () =>
        failing(
          { name: "open", target: Deno, method: "openSync", fails: ([path]) => /processes/.test(`${path}`) },
          NO_SPACE,
          async () => {
            assertEquals([await one.delete(key), await store.read(key)], [true, undefined]);
          },
        ),
    );
  }
});

test("without a free file handle every verb rejects, then works again", async (place) => {
  const { store, clock, create, open } = place;
  const key = await create(1);
  const verbs: (() => Promise<unknown>)[] = [
    () => open().read(key),
    () => store.update(key, set({ n: 2 })),
    () => store.touch(key, clock.time + MINUTE),
    () => store.delete(key),
    () => store.move(key, newId(), same),
    () => store.create(newId(), record(clock)),
  ];
  const without = (methods: string[], test: () => Promise<void>): Promise<void> => {
    const [method, ...others] = methods;
    if (method === undefined) return test();
    return failing({ name: method, target: Deno, method }, NO_HANDLES, () => without(others, test));
  };
  await without(["openSync", "readTextFileSync", "writeTextFileSync"], async () => {
    for (const verb of verbs) await assertRejects(verb, Error, "Too many open files");
  });
  assertEquals(await store.delete(key), true);
});

test("a folder that cannot be made or counted at first is when it can be", async ({ store, clock, dir, create }) => {
  for (const method of ["mkdirSync", "readDirSync"]) {
    await failing({ name: method, target: Deno, method }, NO_HANDLES, async () => {
      await assertRejects(() => store.create(newId(), record(clock)), Error, "Too many open files");
    });
  }
  await create();
  assertEquals(filesIn(dir).length, 1);
});

test("a file in a folder's place keeps sessions out of that one only", async (place) => {
  const { dir, store, clock } = place;
  await store.ready();
  await Deno.writeTextFile(`${dir}/000`, "");
  await assertRejects(() => store.create("0".repeat(40), record(clock)), Error, "Not a directory");
  assertEquals(await store.read("0".repeat(40)), undefined);
  await store.create("1".repeat(40), record(clock));
  store.sweep();
  await store.close();
});

test("a folder that cannot be read harms only what is in it, and is named", async (place) => {
  const { dir, open, clock, logged, store } = place;
  const keys = ["0", "5", "f"].map((digit) => digit.repeat(3) + newId().slice(3));
  for (const key of keys) await store.create(key, record(clock));
  const within = ([path]: unknown[]) => String(path).startsWith(`${dir}/555`);
  const calls = ["readDirSync", "lstatSync", "openSync", "writeTextFileSync"];
  const unreadable = (methods: string[], test: () => Promise<void>): Promise<void> => {
    const [method, ...others] = methods;
    if (method === undefined) return test();
    const call = { name: method, target: Deno, method, fails: within };
    return failing(call, "Permission denied (os error 13)", () => unreadable(others, test));
  };
  await unreadable(calls, async () => {
    const other = open({ max: 5 });
    await other.create("1" + newId().slice(1), record(clock));
    assertEquals(await other.delete(keys[0]!), true);
    await assertRejects(() => other.read(keys[1]!), Error, "Permission denied");
    assertEquals((await Array.fromAsync(other.list())).length, 2);
    clock.time += MINUTE;
    assertEquals(await other.sweepAll(), 2);
    await other.create(newId(await other.groupOf("Bob")), { ...record(clock), user: "Bob" });
    await sweepRound(other, 2);
  });
  assertStringIncludes(logged.join(), `error A folder with sessions cannot be read Permission denied (os error 13)`);
  assertStringIncludes(logged.join(), `"${dir}/555"`);
  assert(!keys.some((key) => logged.join().includes(key.slice(3))));
  assertEquals(filesIn(dir).length, 2);
  assertEquals(await store.sweepAll(), 1);
});

test("a sweep that fails at one file is logged, and goes on", async (place) => {
  const { dir, store, logged, clock, create } = place;
  const keys = await Promise.all([create(), create()]);
  clock.time += 2 * MINUTE;
  await failing({ ...LOCK }, "No locks (os error 37)", () => sweepRound(store, 2));
  assertStringIncludes(logged.join(), "error The sweep of expired sessions failed No locks (os error 37)");
  assert(!keys.some((key) => logged.join().includes(key.slice(3))));
  const one: Call = { ...REMOVE, fails: ([path]) => path === pathOf(dir, keys[0]!) };
  await failing(one, READ_ONLY, async () => assertEquals(await store.sweepAll(), 1));
  assertEquals(await store.sweepAll(), 1);
  assertEquals(filesIn(dir), []);
});

test("a file that cannot be read is left out of the list, and logged", async ({ dir, store, logged, create }) => {
  const keys = await Promise.all([create(1), create(2)]);
  const one: Call = {
    name: "read",
    target: Deno,
    method: "readTextFileSync",
    fails: ([path]) => path === pathOf(dir, keys[0]!),
  };
  await failing(one, "Input/output error (os error 5)", async () => {
    assertEquals((await Array.fromAsync(store.list())).map(([key]) => key), [keys[1]]);
  });
  assertEquals(logged, [
    `error A session cannot be read Input/output error (os error 5) in "${dir}/${keys[0]!.slice(0, 3)}"`,
  ]);
});

test("Deno's message about permissions brings no key into an error", async ({ dir, create }) => {
  const key = await create(1);
  const module = new URL("../../lib/stores/file/store.ts", import.meta.url).href;
  await Deno.writeTextFile(
    `${dir}.ts`,
    `import { FileStore } from ${JSON.stringify(module)};
    const store = new FileStore({ dir: ${JSON.stringify(dir)} });
    for (const verb of ["read", "delete"]) await store[verb]("${key}").catch(({ message }) => console.log(message));`,
  );
  for (const flags of [[], [`--allow-read=${dir}`]]) {
    const args = ["run", "--quiet", "--no-prompt", "--no-lock", ...flags, `${dir}.ts`];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
    const said = new TextDecoder().decode(stdout);
    assertStringIncludes(said, `needed --allow-${flags.length === 0 ? "read" : "write"} in "${dir}"`);
    assert(!said.includes(key.slice(3)), said);
  }
});
