/** Runs in a machine whose power is cut: prints what its stores have, then changes sessions, and prints each change. */
import type { Json } from "../../lib/record.ts";
import type { SessionStore } from "../../lib/store.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { SqliteStore } from "../../lib/stores/sqlite/store.ts";
import { life, seeded, seededId, wait } from "./tools.ts";

const { seed, sync } = JSON.parse(Deno.args[0]!) as { seed: number; sync: "normal" | "full" };
const IDLE = 3_600_000;
/** How many sessions of a store are changed at the same time. */
const LANES = 3;

function say(value: Json): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
}

const log = (level: string, event: string, detail = "") => level === "info" || say({ trouble: `${event}: ${detail}` });
const stores: Record<string, SessionStore> = {
  files: new FileStore({ dir: "/mnt/files/sessions", sync, log }),
  sqlite: new SqliteStore({ path: "/mnt/sqlite/sessions.db", sync, log }),
};

for (const [at, store] of Object.entries(stores)) {
  await store.ready?.();
  for await (const [id, { data, expires }] of store.list!()) say({ at, found: id, n: data["n"]!, expires });
}
say({ ready: true });

/** Makes, changes, uses, renews and ends sessions, one step after the other. */
async function work(at: string, lane: number, store: SessionStore): Promise<void> {
  const random = seeded(seed * 100 + lane);
  const own: string[] = [];
  for (let n = 1;; n++) {
    const index = Math.floor(random() * own.length);
    const id = own[index];
    const kind = random();
    if (id === undefined || kind < 0.25) {
      const id = seededId(random);
      const times = life(IDLE, 2 * IDLE);
      say({ at, lane, verb: "create", id, n, expires: times.expires });
      await store.create(id, { data: { n }, ...times });
      own.push(id);
    } else if (kind < 0.5) {
      say({ at, lane, verb: "update", id, n });
      await store.update(id, (record) => ({ ...record, data: { n } }));
    } else if (kind < 0.65) {
      const expires = Date.now() + IDLE + n;
      say({ at, lane, verb: "touch", id, expires });
      await store.touch(id, expires);
    } else if (kind < 0.85) {
      const to = seededId(random);
      say({ at, lane, verb: "move", id, to, n });
      await store.move(id, to, (record) => ({ ...record, data: { n } }));
      own[index] = to;
    } else {
      say({ at, lane, verb: "delete", id });
      await store.delete(id);
      own.splice(index, 1);
    }
    say({ at, lane, done: n });
    await wait(0);
  }
}

for (const [at, store] of Object.entries(stores)) {
  for (let lane = 0; lane < LANES; lane++) void work(at, at === "files" ? lane : LANES + lane, store);
}
