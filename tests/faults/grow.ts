/**
 * Measures a large file store: stores many sessions, and compares the time of each verb with a store of 100 sessions.
 *
 *     deno run --allow-all tests/faults/grow.ts [SESSIONS]
 *
 * A million sessions take some minutes to store, some minutes to remove, and 4 GB of disk.
 */
import type { SessionRecord } from "../../lib/record.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { life, seeded, seededId } from "./tools.ts";

const FEW = 100;
const many = Number(Deno.args[0] ?? 1_000_000);
/** The maximum. It leaves room for the sessions that are made during the measurement. */
const max = 2 * many + 100_000;
/** How often each verb is timed. */
const TIMES = 3000;
const DAY = 86_400_000;

function record(): SessionRecord {
  const data = { user: "Ada Lovelace", greet: "Successfully registered username - Ada Lovelace." };
  return { data, ...life(DAY, DAY) };
}

/** The median and the 99th percentile of `TIMES` runs, in microseconds. */
async function time(run: () => Promise<unknown>): Promise<string> {
  const times: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const start = performance.now();
    await run();
    times.push((performance.now() - start) * 1000);
  }
  times.sort((a, b) => a - b);
  return `${times[TIMES / 2]!.toFixed(0)} (${times[TIMES * 0.99]!.toFixed(0)})`;
}

/** Fills a folder and measures the store in it. */
async function measure(sessions: number): Promise<Record<string, string>> {
  const dir = await Deno.makeTempDir({ prefix: "grow-" });
  try {
    const random = seeded(1);
    const made = new FileStore({ dir, max });
    const some: string[] = [];
    for (let i = 0; i < sessions; i++) {
      const id = seededId(random);
      await made.create(id, record());
      if (i % Math.ceil(sessions / 10_000) === 0) some.push(id);
      if (i % 100_000 === 99_999) console.error(`${i + 1} stored`);
    }
    const pick = () => some[Math.floor(random() * some.length)]!;
    const figures: Record<string, string> = {};
    const before = Deno.memoryUsage().rss;

    const store = new FileStore({ dir, max });
    const start = performance.now();
    await store.ready();
    await store.read(pick());
    figures["check and first read, ms"] = (performance.now() - start).toFixed(1);
    const counting = performance.now();
    const blocked = watchTurns();
    await store.create(seededId(random), record());
    figures["first create, which counts, ms"] = (performance.now() - counting).toFixed(1);
    figures["longest turn while counting, ms"] = blocked().toFixed(1);

    const uncached = new FileStore({ dir, max, cacheBytes: 0 });
    figures["read from the file, µs"] = await time(() => uncached.read(pick()));
    figures["read from memory, µs"] = await time(() => store.read(some[0]!));
    figures["update, µs"] = await time(() =>
      store.update(pick(), (record) => ({ ...record, data: { ...record.data, n: 1 } }))
    );
    figures["touch, µs"] = await time(() => store.touch(pick(), Date.now() + DAY));
    figures["create, µs"] = await time(() => store.create(seededId(random), record()));

    // The new sessions have made many steps due. All sessions that these check are live.
    const turns = watchTurns();
    const sweeping = performance.now();
    store.sweep();
    const end = await lastLook();
    figures["step of the sweep, µs"] = ((end - sweeping) * 1000 / (TIMES * 8 / 64)).toFixed(0);
    figures["longest turn while sweeping, ms"] = turns().toFixed(1);
    figures["memory taken in the test, MB"] = ((Deno.memoryUsage().rss - before) / 1e6).toFixed(0);
    return figures;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Waits until the sweep checks no more names. Returns the time of the last check. */
async function lastLook(): Promise<number> {
  const { lstatSync } = Deno;
  let last = performance.now();
  Deno.lstatSync = (path) => {
    last = performance.now();
    return lstatSync(path);
  };
  while (performance.now() - last < 500) await new Promise((resolve) => setTimeout(resolve, 1));
  Deno.lstatSync = lstatSync;
  return last;
}

/** Measures how long other work has to wait. Returns a function that ends this and returns the longest wait. */
function watchTurns(): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 1);
    last = now;
  }, 1);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

const few = await measure(FEW);
const grown = await measure(many);
console.log(`| median (99th percentile) | ${FEW} sessions | ${many} sessions |\n| --- | --- | --- |`);
for (const [what, figure] of Object.entries(few)) console.log(`| ${what} | ${figure} | ${grown[what]} |`);
