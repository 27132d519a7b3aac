/** The file store: when a session ends, whatever becomes of the times of its file and of the clocks. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { FileStore } from "../../lib/stores/file/store.ts";
import { replacing } from "../support/failing.ts";
import { filesIn, MINUTE, pathOf, type Place, record, same, sweepRound, test } from "./file_place.ts";

const DAY = 24 * 60 * MINUTE;

function mtimeOf({ dir }: Place, key: string): number {
  return Deno.statSync(pathOf(dir, key)).mtime!.getTime();
}

test("using a session sets its file's time, and writes nothing into it", async (place) => {
  const { dir, store, open, clock, create } = place;
  const key = await create();
  const content = await Deno.readTextFile(pathOf(dir, key));
  for (const passed of [MINUTE / 2, MINUTE]) {
    clock.time += passed;
    if (passed === MINUTE) clock.time -= 1;
    assert(await store.touch(key, clock.time + MINUTE));
    assertEquals(await Deno.readTextFile(pathOf(dir, key)), content);
    assertEquals(mtimeOf(place, key), clock.time + MINUTE);
    assertEquals((await open().read(key))?.expires, clock.time + MINUTE);
  }
});

test("reading a session changes no time of its file, so that no disk writes", async (place) => {
  const { dir, store, open, clock } = place;
  const key = newId();
  await store.create(key, record(clock, 1, 59.5 * MINUTE));
  const uses = [
    () => Promise.resolve(),
    () => store.update(key, same),
    () => store.touch(key, clock.time + 59.9 * MINUTE),
    () => store.touch(key, clock.time + 60.2 * MINUTE),
  ];
  for (const [n, use] of uses.entries()) {
    await use();
    const times = () => {
      const { atime, mtime, ctime } = Deno.statSync(pathOf(dir, key));
      return [atime, mtime, ctime].map((time) => time!.getTime());
    };
    const before = times();
    for (let i = 0; i < 3; i++) assertEquals((await open({ cacheBytes: 0 }).read(key))?.data, { n: 1 });
    assertEquals(times(), before, `use ${n}`);
    // By default Linux writes down when a file was read, if that was later than it is written down to have been.
    assert(before[0]! > before[1]! && before[0]! > before[2]!);
  }
});

test("a session that is used near its deadline keeps what its file shows", async (place) => {
  const { dir, store, open, clock, create } = place;
  const key = await create(1, 60 * MINUTE);
  clock.time += 10;
  const { deadline } = (await store.read(key))!;
  assert(await store.touch(key, deadline + 5));
  for (const one of [store, open()]) assertEquals((await one.read(key))?.expires, deadline + 5);
  assertEquals(mtimeOf(place, key), deadline);
  assertEquals(JSON.parse(await Deno.readTextFile(pathOf(dir, key))).expires, deadline + 5);
});

test("an earlier end is written, and stays the end", async ({ store, open, clock, create }) => {
  for (const shorten of ["touch", "update", "move"]) {
    let key = await create();
    await store.touch(key, clock.time + MINUTE + 1);
    const expires = clock.time + 1000;
    if (shorten === "touch") await store.touch(key, expires);
    if (shorten === "update") await store.update(key, (record) => ({ ...record, expires }));
    if (shorten === "move") {
      const to = newId();
      await store.move(key, to, (record) => ({ ...record, expires }));
      key = to;
    }
    for (const one of [store, open()]) assertEquals((await one.read(key))?.expires, expires, shorten);
  }
});

test("a session ends at the later of expires in its file and its mtime", async (place) => {
  const { dir, open, clock, create } = place;
  const key = await create();
  for (const [mtime, expires] of [[0, MINUTE], [MINUTE - 1, MINUTE], [MINUTE + 1, MINUTE + 1], [90_000, 90_000]]) {
    await Deno.utime(pathOf(dir, key), 0, (clock.time + mtime!) / 1000);
    assertEquals((await open().read(key))?.expires, clock.time + expires!);
  }
});

test("copies that lost the times of their files end no one early", async ({ dir, open, clock, create, store }) => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => create()));
  for (const mtime of [new Date(0), new Date()]) {
    for (const key of keys) await Deno.utime(pathOf(dir, key), mtime, mtime);
    await sweepRound(store);
    for (const key of keys) assertEquals((await open().read(key))?.expires, clock.time + MINUTE);
  }
  clock.time += MINUTE;
  for (const key of keys) assertEquals(await open().read(key), undefined);
  await sweepRound(store);
  assertEquals(filesIn(dir), []);
});

test("no time of a file carries a session past its deadline", async ({ dir, open, store, clock, create }) => {
  const key = await create();
  await Deno.utime(pathOf(dir, key), new Date(), new Date(clock.time + 61 * MINUTE));
  clock.time += 60 * MINUTE;
  assertEquals([await open().read(key), await store.touch(key, clock.time + MINUTE)], [undefined, false]);
  assertEquals(await store.sweepAll(), 1);
});

// What a file system keeps of a time: whole seconds (ext4 with 128-byte inodes), or every second one (vfat).
for (const grain of [1000, 2000]) {
  test(`times kept to ${grain / 1000} s by the file system end no one early`, async (place) => {
    const { dir, store, open, clock, create } = place;
    const coarse = (original: (...args: unknown[]) => void) => (path: string, _: Date, mtime: Date) => {
      const kept = new Date(Math.floor(mtime.getTime() / grain) * grain);
      original(path, kept, kept);
    };
    await replacing(Deno, "utimeSync", coarse, async () => {
      await store.ready();
      for (let i = 0; i < 50; i++) {
        clock.time += 37;
        const idle = 500 + 20 * i;
        const key = await create(1, idle);
        for (let use = 0; use < 3; use++) {
          clock.time += idle - 1;
          for (const one of [store, open()]) assertEquals((await one.read(key))?.data, { n: 1 }, `${idle} ms`);
          assert(await store.touch(key, clock.time + idle), `${idle} ms`);
        }
        clock.time += idle;
        for (const one of [store, open()]) assertEquals(await one.read(key), undefined, `${idle} ms`);
      }
    });
    assertEquals(filesIn(dir).length, 50);
  });
}

test("where times are coarse no record is kept in memory", async ({ store, create, open, clock }) => {
  const coarse = (original: (...args: unknown[]) => void) => (path: string, _: Date, mtime: Date) => {
    const kept = new Date(Math.floor(mtime.getTime() / 1000) * 1000);
    original(path, kept, kept);
  };
  const key = await create(1);
  await new Promise((resolve) => setTimeout(resolve, 80));
  const [second, third] = [open(), open()];
  const starts: [FileStore, () => Promise<void>][] = [
    [store, () => store.ready()],
    [second, () => second.ready()],
    [third, () => third.create(newId(), record(clock, 2))],
  ];
  for (const [one, start] of starts) {
    await replacing(Deno, "utimeSync", coarse, start);
    let reads = 0;
    await replacing(Deno, "readTextFileSync", (original) => (path) => (reads++, original(path)), async () => {
      for (let i = 0; i < 3; i++) await one.read(key);
    });
    assertEquals(reads, 3);
  }
});

for (const off of [-DAY, -3000, 3000, DAY]) {
  test(`with the file system's clock ${off / 1000} s off no one is born dead`, async (place) => {
    const { open, clock, logged } = place;
    const setByIt =
      (original: (path: string, text: string, options: unknown) => void) =>
      (path: string, text: string, options: unknown) => {
        original(path, text, options);
        Deno.utimeSync(path, new Date(), new Date(Date.now() + off));
      };
    await replacing(Deno, "writeTextFileSync", setByIt, async () => {
      const store = open();
      await store.ready();
      const key = newId();
      await store.create(key, record(clock, 1));
      for (const use of [undefined, () => store.update(key, same), () => store.touch(key, clock.time + MINUTE)]) {
        await use?.();
        for (const one of [store, open()]) assertEquals((await one.read(key))?.expires, clock.time + MINUTE);
      }
      await sweepRound(store);
      clock.time += MINUTE - 1;
      assert(await store.read(key));
      clock.time += 1;
      assertEquals(await store.read(key), undefined);
    });
    assertStringIncludes(
      logged.join(),
      `it is ${Math.abs(off) / 1000}.0 s ${off > 0 ? "ahead" : "behind"}`,
    );
  });
}

test("sessions of a clock that was a day ahead leave their room", async (place) => {
  const { open, clock, create } = place;
  clock.time += DAY;
  for (let i = 0; i < 20; i++) await create();
  clock.time -= DAY;
  const store = open({ max: 20 });
  assertEquals(await Array.fromAsync(store.list()), []);
  const key = newId();
  await store.create(key, record(clock, 1));
  assertEquals((await Array.fromAsync(store.list())).map(([key]) => key), [key]);
});

test("the sweep finds what only its content shows to be over", async (place) => {
  const { dir, open, clock, create, store } = place;
  clock.time += DAY;
  for (let i = 0; i < 20; i++) await create();
  clock.time -= DAY;
  const ends = await create(1, 59 * MINUTE);
  clock.time += 58 * MINUTE;
  await store.touch(ends, clock.time + 59 * MINUTE);
  clock.time += 2 * MINUTE;
  await sweepRound(open());
  assertEquals(filesIn(dir), []);
});
