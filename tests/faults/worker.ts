/** One of several processes that use one folder: does one kind of work with a FileStore, and prints each step. */
import type { Json, SessionRecord } from "../../lib/record.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { life, seeded, seededId, wait } from "./tools.ts";

const [job = "", dir = "", seed = "1", ...ids] = Deno.args;
const random = seeded(Number(seed));
const me = `writer ${seed}`;

function say(value: Json): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
}

const store = new FileStore({
  dir,
  log: (level, event, detail) => level === "info" || say({ trouble: `${event}: ${detail}` }),
});

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!;
}

function set(data: Record<string, Json>) {
  return (record: SessionRecord): SessionRecord => ({ ...record, data: { ...record.data, ...data } });
}

const jobs: Record<string, () => Promise<void>> = {
  /** Changes shared sessions, and makes and ends others, until it is killed. */
  async write() {
    const own: string[] = [];
    for (let n = 1;; n++) {
      const id = pick(ids);
      await store.update(id, set({ [me]: n }));
      say({ updated: id, n });
      if (random() < 0.3) {
        const made = seededId(random);
        await store.create(made, { data: { n }, ...life(600_000) });
        say({ made });
        own.push(made);
      }
      if (random() < 0.1 && own.length > 0) {
        const [ended] = own.splice(Math.floor(random() * own.length), 1);
        say({ ending: ended! });
        await store.delete(ended!);
        say({ ended: ended! });
      }
    }
  },

  /** Makes sessions, each of which makes steps of the sweep due, and sweeps, until it is killed. */
  async sweep() {
    for (let n = 0;; n++) {
      for (let i = 0; i < 8; i++) await store.create(seededId(random), { data: {}, ...life(10 + 40 * random()) });
      store.sweep();
      if (n % 50 === 0) say({ sweeping: n });
      await wait(0);
    }
  },

  /** Increments a counter of one session in bursts. Each record has the same length and the same times. */
  async burst() {
    const [id = "", bursts = ""] = ids;
    let updates = 0;
    for (let burst = 0; burst < Number(bursts); burst++) {
      for (let i = Math.ceil((random() < 0.5 ? 4 : 60) * random()); i > 0; i--) {
        await store.update(id, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }));
        updates++;
      }
      say({ updates });
      await wait(random() < 0.5 ? 0 : 90 * random());
    }
    say({ done: updates });
  },
};

await jobs[job]!();
