/** A folder with file stores in it, for the tests of the file store. */
import type { SessionRecord } from "../../lib/record.ts";
import { newId } from "../../lib/id.ts";
import type { Log } from "../../lib/log.ts";
import { SECRET } from "../../lib/stores/file/names.ts";
import { FileStore, type FileStoreOptions } from "../../lib/stores/file/store.ts";
import { Clock } from "../../lib/testing.ts";
import { replacing } from "../support/failing.ts";

export const MINUTE = 60_000;

/** What a full disk says. */
export const NO_SPACE = "No space left on device (os error 28)";
/** What a system without a free file handle says. */
export const NO_HANDLES = "Too many open files (os error 24)";
/** What a read-only file system says. */
export const READ_ONLY = "Read-only file system (os error 30)";

/** A folder with a store in it, and what its stores logged. */
export interface Place {
  readonly dir: string;
  readonly store: FileStore;
  readonly logged: string[];
  readonly clock: Clock;
  /** Opens another store on the folder. */
  open(options?: Partial<FileStoreOptions>): FileStore;
  /** Stores a session and returns its key. */
  create(n?: number, idle?: number): Promise<string>;
}

/** Declares a test of the file store in a folder that is not there yet, below one that is removed afterwards. */
export function test(behaviour: string, fn: (place: Place) => Promise<void>, ignore = false): void {
  Deno.test({ name: `file store: ${behaviour}`, ignore, fn: () => inPlace(fn) });
}

/** Does something in such a folder. */
export async function inPlace(fn: (place: Place) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir();
  const dir = `${parent}/sessions`;
  const logged: string[] = [];
  const clock = new Clock(Date.now());
  const stores: FileStore[] = [];
  const open = (options = {}) => {
    const log: Log = (...words) => void logged.push(words.join(" "));
    const store = new FileStore({ dir, now: clock.now, log, ...options });
    stores.push(store);
    return store;
  };
  const store = open();
  const create = async (n = 0, idle = MINUTE) => {
    const key = newId();
    await store.create(key, record(clock, n, idle));
    return key;
  };
  try {
    await fn({ dir, store, logged, clock, open, create });
  } finally {
    for (const store of stores) await store.close();
    await Deno.remove(parent, { recursive: true });
  }
}

/** A record that lives for a minute unless it is used, and for an hour at most. */
export function record({ time }: Clock, n = 0, idle = MINUTE): SessionRecord {
  return { data: { n }, created: time, idle, expires: time + idle, deadline: time + 60 * MINUTE };
}

/** A change of the data. */
export function set(data: Record<string, number | string>) {
  return (record: SessionRecord): SessionRecord => ({ ...record, data: { ...record.data, ...data } });
}

/** A change that changes nothing. */
export function same(record: SessionRecord): SessionRecord {
  return record;
}

export function pathOf(dir: string, key: string): string {
  return `${dir}/${key.slice(0, 3)}/${key.slice(3)}.json`;
}

/** Every file below a folder, as paths relative to it; not its secret, nor those of the processes that have it open. */
export function filesIn(dir: string, below = ""): string[] {
  return [...Deno.readDirSync(`${dir}/${below}`)].filter(({ name }) => ![".processes", SECRET].includes(name)).flatMap((
    { name, isDirectory },
  ) => isDirectory ? filesIn(dir, `${below}${name}/`) : [below + name]);
}

export function pause(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// Its clock never goes back, so one round begins where the last one ended.
let ahead = 0;

/** Has a store sweep by steps, with a second between them: enough to go round a small folder some times. */
export async function sweepRound(store: FileStore, steps = 30): Promise<void> {
  await replacing(performance, "now", (original) => () => original.call(performance) + ahead, async () => {
    for (let i = 0; i < steps; i++) {
      ahead += 1000;
      store.sweep();
      await store.close();
    }
  });
}
