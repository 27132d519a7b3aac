/** Scenarios of several processes that use one folder: they are killed, race, sweep, and read while others write. */
import { assert, assertEquals } from "@std/assert";
import { FileStore } from "../../lib/stores/file/store.ts";
import { Browser, Server } from "../support/server.ts";
import {
  filesIn,
  keyIn,
  life,
  said,
  type Scenario,
  seeded,
  seededId,
  type Stage,
  startWorker,
  wait,
} from "./scenario.ts";

type Line = { updated?: string; n?: number; made?: string; ending?: string; ended?: string; trouble?: string };

/**
 * How many rounds are played at the same time, each in its own folder. A process that joins a folder waits half a
 * second.
 */
const LANES = 4;

/** F1. Two writers are killed in the middle of their work, again and again. */
export const kill: Scenario = {
  name: "F1-kill",
  rounds: 200,
  async play({ dir, rounds, random }: Stage) {
    let left = rounds;
    let acknowledged = 0;
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      const folder = `${dir}/${lane}`;
      const own = seeded(Math.floor(random() * 2 ** 31));
      while (left-- > 0) acknowledged += await killRound(folder, own);
      return folder;
    });
    let leftovers = 0;
    for (const folder of await Promise.all(lanes)) {
      const corrupt = filesIn(folder).filter((path) => path.endsWith(".corrupt")).length;
      assertEquals(corrupt, 0, "unreadable records");
      leftovers += filesIn(folder).filter((path) => path.endsWith(".tmp") || isHalf(`${folder}/${path}`)).length;

      // When all sessions are over, the sweep removes everything, also the files that dead processes left.
      const now = Date.now() + 1_000_000;
      const store = new FileStore({ dir: folder, now: () => now });
      await store.sweepAll();
      assertEquals(filesIn(folder), [], "the files that dead processes left are swept");
      await store.close();
    }
    return `${acknowledged} acknowledged changes kept, 0 unreadable, 0 stuck locks, ${leftovers} leftovers swept`;
  },
};

/** Plays one round. Returns how many changes were acknowledged. */
async function killRound(dir: string, random: () => number): Promise<number> {
  const trouble: string[] = [];
  const log = (level: string, event: string) => void (level === "info" || trouble.push(event));
  const store = new FileStore({ dir, log });
  const shared = Array.from({ length: 3 }, () => seededId(random));
  for (const id of shared) await store.create(id, { data: {}, ...life(600_000) });
  const seeds = [1, 2].map(() => String(Math.floor(random() * 2 ** 31)));
  const writers = await Promise.all(seeds.map((seed) => startWorker("write", dir, seed, ...shared)));
  await wait(40 * random());
  await writers[0]!.kill();
  await wait(10 * random());
  await writers[1]!.kill();

  let acknowledged = 0;
  for (const [index, writer] of writers.entries()) {
    const lines = said<Line>(writer);
    acknowledged += lines.filter(({ ending }) => ending === undefined).length;
    trouble.push(...lines.flatMap(({ trouble = [] }) => trouble));
    const me = `writer ${seeds[index]}`;
    const lastN = Math.max(...lines.map(({ n = 0 }) => n));
    for (const id of shared) {
      const kept = Number((await store.read(id))?.data[me] ?? 0);
      const told = Math.max(0, ...lines.filter(({ updated }) => updated === id).map(({ n = 0 }) => n));
      // The change that was under way when it died may be stored without an acknowledgement.
      assert(kept === told || kept === lastN + 1, `the store has change ${kept}, acknowledged was ${told}`);
    }
    const ended = new Set(lines.map(({ ended }) => ended));
    const ending = lines.at(-1)?.ending;
    for (const { made } of lines) {
      if (made === undefined || made === ending) continue;
      assertEquals(await store.read(made) !== undefined, !ended.has(made), "a session is there unless it was ended");
    }
  }
  for (const id of shared) {
    const start = performance.now();
    assert(await store.update(id, (record) => ({ ...record, data: { ...record.data, after: 1 } })));
    assert(performance.now() - start < 2000, "a lock is stuck");
  }
  assertEquals(trouble, []);
  await store.close();
  return acknowledged;
}

/** Whether a file is unfinished, because its process died. */
function isHalf(path: string): boolean {
  try {
    JSON.parse(Deno.readTextFileSync(path));
    return false;
  } catch {
    return true;
  }
}

/** F3. Eight clients increment a counter of the same session fifty times each, at one server and at two. */
export const increments: Scenario = {
  name: "F3-increments",
  rounds: 1,
  async play({ dir }: Stage) {
    const TIMES = 3;
    const program = new URL("counter.ts", import.meta.url).pathname;
    const command = [Deno.execPath(), "run", "--allow-all", program];
    const figures: number[] = [];
    for (const processes of [1, 2]) {
      const servers = await Promise.all(
        Array.from({ length: processes }, () => Server.start({ SESSION_FILE_DIR: dir }, command)),
      );
      try {
        for (let time = 0; time < TIMES; time++) {
          const first = new Browser(servers[0]!.origin);
          await first.get("/");
          await Promise.all(Array.from({ length: 8 }, async (_, client) => {
            const browser = new Browser(servers[client % processes]!.origin);
            for (let i = 0; i < 50; i++) {
              browser.cookies.set("session", first.cookies.get("session")!);
              const response = await browser.request("/");
              await response.body?.cancel();
              assertEquals(response.status, 200);
            }
          }));
          const key = keyIn(first.cookies.get("session")!);
          const visits = Number((await new FileStore({ dir }).read(key))?.data["visits"]);
          assertEquals(visits, 401, `of 400 increments and the one before, by ${processes} processes`);
          figures.push(visits - 1);
        }
      } finally {
        for (const server of servers) await server.kill();
      }
    }
    return `${figures.length / 2} × 400 of 400 kept by one process, ${figures.length / 2} × 400 of 400 by two`;
  },
};

/** F8. Sessions are used around the moment they expire, while two processes sweep as fast as they can. */
export const boundary: Scenario = {
  name: "F8-boundary",
  rounds: 1000,
  async play({ dir, rounds, random }: Stage) {
    const trouble: string[] = [];
    const log = (level: string, event: string) => void (level === "info" || trouble.push(event));
    const store = new FileStore({ dir, log });
    const seeds = [1, 2].map(() => String(Math.floor(random() * 2 ** 31)));
    const sweepers = await Promise.all(seeds.map((seed) => startWorker("sweep", dir, seed)));
    let saved = 0;
    let over = 0;
    // How many milliseconds before the end a use begins. It is adjusted so that half of the uses are too late.
    let lead = 10;
    try {
      // The first session of a store waits until the folder is counted.
      await store.create(seededId(random), { data: {}, ...life(1) });
      const use = async (): Promise<void> => {
        const id = seededId(random);
        const times = life(100 + Math.floor(20 * random()));
        const { expires } = times;
        await store.create(id, { data: { n: 0 }, ...times });
        await wait(Math.max(0, expires - Date.now() - lead + 6 * random()));
        const isTouch = random() < 0.5;
        const later = Date.now() + 60_000;
        const isSaved = isTouch
          ? await store.touch(id, later)
          : await store.update(id, (record) => ({ ...record, data: { n: 1 }, idle: 60_000, expires: later })) !==
            undefined;
        isSaved ? saved++ : over++;
        lead += isSaved ? -0.5 : 0.5;
        // In between, the sweepers check the file several times.
        for (let i = 0; i < 4; i++) {
          const record = await store.read(id);
          assertEquals(record?.data, isSaved ? { n: isTouch ? 0 : 1 } : undefined, "a session used at its boundary");
          await wait(20 * random());
        }
        await store.delete(id);
      };
      for (let round = 0; round < rounds; round += 40) {
        await Promise.all(Array.from({ length: Math.min(40, rounds - round) }, use));
      }
      for (const sweeper of sweepers) {
        trouble.push(...said<{ trouble?: string }>(sweeper).flatMap(({ trouble = [] }) => trouble));
        assertEquals(sweeper.stderr, "");
      }
    } finally {
      for (const sweeper of sweepers) await sweeper.kill();
    }
    assertEquals(trouble, []);
    assert(rounds < 200 || (saved > 0 && over > 0), `both sides of the boundary: ${saved} and ${over}`);
    return `${saved} used in time, all live after; ${over} too late, all gone; 0 errors`;
  },
};

/** A process with a cache reads a session that two other processes change in bursts. */
export const stale: Scenario = {
  name: "stale-reads",
  rounds: 100,
  async play({ dir, rounds, random }: Stage) {
    const store = new FileStore({ dir });
    const id = seededId(random);
    const START = 1_000_000;
    await store.create(id, { data: { n: START }, ...life(600_000) });
    const seeds = [1, 2].map(() => String(Math.floor(random() * 2 ** 31)));
    const writers = await Promise.all(
      seeds.map((seed) => startWorker("burst", dir, seed, id, String(rounds))),
    );
    let last = START;
    let reads = 0;
    let distinct = 0;
    const look = async (): Promise<void> => {
      const n = Number((await store.read(id))?.data["n"]);
      assert(n >= last, `read ${n - START} after ${last - START}`);
      reads++;
      if (n > last) distinct++;
      last = n;
    };
    try {
      const isDone = () => writers.every(({ stdout }) => stdout.includes("done"));
      while (!isDone()) {
        for (let i = 0; i < 50; i++) await look();
        assertEquals(writers.map(({ stderr }) => stderr).join(""), "");
        await wait(0);
      }
      await look();
    } finally {
      for (const writer of writers) await writer.kill();
    }
    const updates = writers.reduce((sum, writer) => sum + said<{ done?: number }>(writer).at(-1)!.done!, 0);
    assertEquals(last - START, updates, "the newest state is read in the end");
    return `${updates} updates by two processes, ${reads} reads saw ${distinct} states, none after a newer one`;
  },
};
