/** The file store with `sync: "full"`: a change that was acknowledged is there after a power cut. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { SECRET } from "../../lib/stores/file/names.ts";
import type { FileStore } from "../../lib/stores/file/store.ts";
import { failing, replacing } from "../support/failing.ts";
import { Disk } from "./file_disk.ts";
import { filesIn, MINUTE, NO_HANDLES, NO_SPACE, type Place, record, same, set, test } from "./file_place.ts";

const [A, B] = [newId(), newId()];
const FILE_A = `${A.slice(0, 3)}/${A.slice(3)}.json`;
const FILE_B = `${B.slice(0, 3)}/${B.slice(3)}.json`;

/** A change, the calls it makes with sync full, and what may be found of the two sessions while it is under way. */
interface Step {
  readonly name: string;
  readonly run: (store: FileStore, place: Place) => Promise<unknown>;
  readonly calls: readonly string[];
  readonly before: (a: unknown, b: unknown) => boolean;
  readonly after: readonly [number | undefined, number | undefined];
}

const steps: readonly Step[] = [
  {
    name: "create",
    run: (store, { clock }) => store.create(A, record(clock, 1)),
    calls: [
      `mkdir ${A.slice(0, 3)}`,
      `write ${FILE_A}`,
      `utime ${FILE_A}`,
      `flush ${FILE_A}`,
      `flush ${A.slice(0, 3)}`,
      "flush .",
    ],
    before: (a) => a === undefined || a === "corrupt" || a === 1,
    after: [1, undefined],
  },
  {
    name: "update",
    run: (store) => store.update(A, set({ n: 2 })),
    calls: [
      `write ${FILE_A}.tmp`,
      `utime ${FILE_A}.tmp`,
      `flush ${FILE_A}.tmp`,
      `rename ${FILE_A}`,
      `flush ${A.slice(0, 3)}`,
    ],
    before: (a) => a === 1 || a === 2,
    after: [2, undefined],
  },
  {
    name: "touch",
    run: (store, { clock }) => store.touch(A, clock.time + MINUTE + 5),
    calls: [`utime ${FILE_A}`, `flush ${FILE_A}`],
    before: (a) => a === 2,
    after: [2, undefined],
  },
  {
    name: "move",
    run: (store) => store.move(A, B, set({ n: 3 })),
    calls: [
      `mkdir ${B.slice(0, 3)}`,
      `write ${FILE_B}`,
      `utime ${FILE_B}`,
      `flush ${FILE_B}`,
      `flush ${B.slice(0, 3)}`,
      "flush .",
      `remove ${FILE_A}`,
      `flush ${A.slice(0, 3)}`,
      "flush .",
    ],
    before: (a, b) => a === 2 || (a === undefined && b === 3),
    after: [undefined, 3],
  },
  {
    name: "delete",
    run: (store) => store.delete(B),
    calls: [`remove ${FILE_B}`, `flush ${B.slice(0, 3)}`, "flush ."],
    before: (_, b) => b === 3 || b === undefined,
    after: [undefined, undefined],
  },
];

/** Plays the changes on a watched disk; returns after which of them a cut could lose what was acknowledged. */
async function play(place: Place, sync: "normal" | "full"): Promise<Set<string>> {
  const { dir, open, clock } = place;
  const store = open({ sync });
  // The first session makes the folder's secret, and the first of a store waits until the disk has it.
  const first = newId();
  await store.create(first, record(clock));
  await store.delete(first);
  const disk = new Disk(dir);
  const lost = new Set<string>();
  await disk.watch(async () => {
    for (const step of steps) {
      const { name, run, before, after } = step;
      if (sync === "full") {
        disk.after = () => {
          for (const read of disk.states()) assert(before(read(A).n, read(B).n), `${name}: ${disk.trace.join(", ")}`);
        };
      }
      await run(store, place);
      disk.after = () => {};
      for (const read of disk.states()) {
        if (read(A).n !== after[0] || read(B).n !== after[1]) lost.add(name);
        if (name === "touch" && read(A).expires !== clock.time + MINUTE + 5) lost.add(name);
      }
      disk.note("answer");
    }
  });
  if (sync === "full") assertEquals(disk.trace, steps.flatMap(({ calls }) => [...calls, "answer"]));
  return lost;
}

test("with sync full the disk has every change before it is acknowledged", async (place) => {
  assertEquals([...await play(place, "full")], []);
});

test("in any mode the disk has the folder's secret before a session is made", async (place) => {
  const { dir, open, clock } = place;
  const store = open({ sync: "normal" });
  await store.ready();
  const disk = new Disk(dir);
  await disk.watch(() => store.create(A, record(clock, 1)));
  const calls = disk.trace.map((call) => call.replace(/\.[0-9a-f-]{36}\.tmp/, ".tmp"));
  assertEquals(calls, [
    `write ${SECRET}.tmp`,
    `flush ${SECRET}.tmp`,
    `link ${SECRET}`,
    `remove ${SECRET}.tmp`,
    "flush .",
    `mkdir ${A.slice(0, 3)}`,
    `write ${FILE_A}`,
    `utime ${FILE_A}`,
  ]);
  // Another process makes no session before the disk has the secret it found.
  const other = open();
  await other.ready();
  disk.trace.length = 0;
  await disk.watch(() => other.create(B, record(clock, 1)));
  assertEquals(disk.trace, ["flush .", `mkdir ${B.slice(0, 3)}`, `write ${FILE_B}`, `utime ${FILE_B}`]);
});

test("without sync full, a power cut can lose any of these changes", async (place) => {
  assertEquals([...await play(place, "normal")], steps.map(({ name }) => name));
});

test("sync full: a change that the disk refuses is not acknowledged", async (place) => {
  const { dir, open, clock, create } = place;
  const store = open({ sync: "full" });
  const key = await create(1);
  const flush = { name: "flush", target: Deno.FsFile.prototype, method: "sync" };
  const verbs = [
    () => store.create(newId(), record(clock)),
    () => store.update(key, set({ n: 2 })),
    () => store.move(key, newId(), same),
    () => store.touch(key, clock.time + MINUTE),
  ];
  for (const verb of verbs) {
    await failing(flush, NO_SPACE, async () => void await assertRejects(verb, Error, "No space left on device"));
    assertEquals([filesIn(dir).length, (await store.read(key))?.data], [1, { n: 1 }]);
  }
  assertEquals(await store.delete(key), true);
});

test("with sync full a log-out is not acknowledged while its subfolder cannot be flushed", async (place) => {
  const { dir, open, create } = place;
  const key = await create(1);
  const store = open({ sync: "full" });
  const flush = { name: "flush", target: Deno, method: "open", fails: ([path]: unknown[]) => path !== dir };
  await failing(flush, NO_HANDLES, async () => {
    await assertRejects(() => store.delete(key), Error, "Too many open files");
  });
});

test("with sync full a folder that went with a sweep hinders no log-out", async (place) => {
  const { dir, open, create } = place;
  const key = await create(1);
  const store = open({ sync: "full" });
  await replacing(Deno, "open", (original) => (path, options) => {
    if (path === `${dir}/${key.slice(0, 3)}`) Deno.removeSync(path);
    return original(path, options);
  }, async () => assertEquals(await store.delete(key), true));
  assertEquals(filesIn(dir), []);
});

test("sync full: a reader during a change keeps no old record in memory", async (place) => {
  const { open, create, store: maker } = place;
  const key = await create(1);
  await maker.close();
  const store = open({ sync: "full" });
  await store.ready();
  await new Promise((resolve) => setTimeout(resolve, 80));
  // Every wait for the disk is used to read.
  await replacing(Deno.FsFile.prototype, "sync", (original) =>
    async function (this: Deno.FsFile) {
      await store.read(key);
      await original.call(this);
      await store.read(key);
    }, async () => {
    for (let n = 2; n < 10; n++) {
      await store.update(key, set({ n }));
      assertEquals((await store.read(key))?.data, { n });
    }
    await store.delete(key);
    assertEquals(await store.read(key), undefined);
  });
});
