/** Runs in a separate machine: makes and uses sessions on disks with coarse times, and while the clock is set. */
import { FileStore } from "../../lib/stores/file/store.ts";
import { life, wait } from "./tools.ts";
import { newId } from "../../lib/id.ts";
import type { SessionStore } from "../../lib/store.ts";

const { disks } = JSON.parse(Deno.args[0]!) as { disks: string[] };
const MANY = 300;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function say(value: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
}

async function setClock(time: number): Promise<void> {
  await new Deno.Command("date", { args: ["-s", `@${(time / 1000).toFixed(3)}`], stdout: "null" }).output();
}

async function living(store: SessionStore, ids: readonly string[]): Promise<number> {
  const found = await Promise.all(ids.map((id) => store.read(id)));
  return found.filter((record) => record !== undefined).length;
}

async function make(store: SessionStore, count: number, idle: number): Promise<{ ids: string[]; born: number }> {
  const ids: string[] = [];
  let born = 0;
  for (let i = 0; i < count; i++) {
    const id = newId();
    await store.create(id, { data: { i }, ...life(idle, 40 * DAY) });
    ids.push(id);
    born += await living(store, [id]);
  }
  return { ids, born };
}

for (const disk of disks) {
  const dir = `/mnt/${disk}/sessions`;
  const store = new FileStore({ dir });
  await store.ready();

  // Coarse times: a session that was just made or used is there, for this store and for one that reads the files.
  const IDLE = 8000;
  const short = await make(store, MANY, IDLE);
  const made = Date.now();
  const other = new FileStore({ dir, cacheBytes: 0 });
  const first = await living(other, short.ids);
  await wait(3000);
  let used = 0;
  for (const [i, id] of short.ids.entries()) {
    const expires = Date.now() + IDLE;
    const isThere = i % 2 === 0
      ? await store.touch(id, expires)
      : await store.update(id, (record) => ({ ...record, expires })) !== undefined;
    if (isThere) used++;
  }
  // Without their use, all sessions would be over now.
  await wait(Math.max(0, made + IDLE + 100 - Date.now()));
  const swept = await store.sweepAll();
  say({ disk, born: short.born, first, used, swept, after: await living(other, short.ids) });
  await other.close();

  // The clock steps back and forth while sessions are made.
  let dead = 0;
  for (let i = 0; i < 60; i++) {
    await setClock(Date.now() + (i % 2 === 0 ? 2000 : -2000));
    dead += 5 - (await make(store, 5, 60_000)).born;
  }
  say({ disk, dead });
  await store.close();

  // The clock goes a day ahead and back: sessions that were made in between are over, are swept, and take no room.
  const full = new FileStore({ dir: `/mnt/${disk}/full`, max: 50 });
  await full.ready();
  await setClock(Date.now() + DAY);
  const ahead = await make(full, 50, HOUR);
  await setClock(Date.now() - DAY);
  const usable = await living(full, ahead.ids);
  const again = await make(full, 50, HOUR);
  const listed = (await Array.fromAsync(full.list!())).length;
  say({ disk, ahead: ahead.born, usable, again: again.born, listed });
  await full.close();
}
say({ ready: true });
