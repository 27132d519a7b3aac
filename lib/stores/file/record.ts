/**
 * A session's file: reading it, making it, putting another in its place.
 *
 * A session ends at the later of `expires` in its file and the file's mtime, and at its deadline in any case. Using a
 * session moves the mtime forward and writes nothing into the file; an earlier end is written, and one past the deadline.
 * A file gets its end as its mtime when it is made, too, so that the sweep need not look into it. Where the time is lost,
 * as in a copy, or coarse, `expires` stands.
 */
import { decode, encode, endOf, MAX_RECORD_BYTES, type SessionRecord } from "../../record.ts";
import {
  flush,
  flushFolder,
  isMissing,
  make,
  makeDir,
  readOpen,
  removeIfThere,
  setTimes,
  type Stat,
  tryLocked,
} from "./calls.ts";
import { CORRUPT, pathOf, shardOf, TEMPORARY } from "./names.ts";

/** Whether a change waits for the disk: `"full"`, or leaves that to the operating system: `"normal"`. */
export type Sync = "normal" | "full";

/** How old, in milliseconds, an unfinished file must be before it counts as that of a process that died. */
export const LEFTOVER = 60_000;

/**
 * What a session's file holds.
 *
 * @param stat Its state, looked at before.
 * @param file The file, if the caller has its lock.
 * @returns The record; what `decode` says it is otherwise; `undefined` if there is no file any more.
 */
export function readRecord(
  path: string,
  stat: Stat,
  file?: Deno.FsFile,
): SessionRecord | "corrupt" | "newer" | undefined {
  // Never follows a link, and reads no more than a record can be.
  if (!stat.isFile || stat.size > MAX_RECORD_BYTES) return "corrupt";
  const text = file === undefined ? readIfThere(path) : readOpen(file, stat.size);
  if (text === undefined) return undefined;
  const record = decode(text);
  return typeof record === "object" && stat.mtime > record.expires ? withEnd(record, stat.mtime) : record;
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Sets the times of a file by the record in it. */
export function keepTimes(path: string, record: SessionRecord): void {
  setTimes(path, Math.max(record.created, record.expires - record.idle), endOf(record));
}

/** The same record with another idle limit. */
export function withEnd(record: SessionRecord, expires: number): SessionRecord {
  return Object.freeze({ ...record, expires });
}

/**
 * Makes the file of a new session, in its place: no one knows its key yet. Leaves nothing behind when that fails.
 *
 * @returns A promise only if it waits for the disk.
 */
export function makeRecord(dir: string, key: string, record: SessionRecord, sync: Sync): Promise<void> | undefined {
  const path = pathOf(dir, key);
  const text = encode(record);
  const start = performance.now();
  makeInShard(dir, key, path, text);
  try {
    keepTimes(path, record);
    // A process that was stopped in the middle for so long may find its file swept as a dead one's.
    if (performance.now() - start > LEFTOVER / 2) throw new Error("A new session took too long to write");
  } catch (error) {
    removeIfThere(path);
    throw error;
  }
  if (sync === "full") return flushNew(dir, key, path);
}

/** Makes the file, and its folder if that is not there: the sweep removes empty ones, perhaps just now. */
function makeInShard(dir: string, key: string, path: string, text: string): void {
  for (let attempts = 1;; attempts++) {
    try {
      return make(path, text);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || attempts === 5) throw error;
      makeDir(`${dir}/${shardOf(key)}`);
    }
  }
}

async function flushNew(dir: string, key: string, path: string): Promise<void> {
  try {
    await flush(path);
    await flushNames(dir, [shardOf(key)]);
  } catch (error) {
    removeIfThere(path);
    throw error;
  }
}

/**
 * Puts another record into the place of a session's, under the lock of its file: writes it beside, then renames. Leaves
 * nothing behind when that fails.
 *
 * @returns A promise only if it waits for the disk.
 */
export function replaceRecord(path: string, record: SessionRecord, sync: Sync): Promise<void> | undefined {
  const text = encode(record);
  const beside = path + TEMPORARY;
  try {
    make(beside, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    // No other process writes here while this one has the lock: a process died before it could rename.
    Deno.removeSync(beside);
    make(beside, text);
  }
  try {
    keepTimes(beside, record);
    if (sync === "full") return flushAndRename(beside, path);
    Deno.renameSync(beside, path);
  } catch (error) {
    removeIfThere(beside);
    throw error;
  }
}

async function flushAndRename(beside: string, path: string): Promise<void> {
  try {
    await flush(beside);
    Deno.renameSync(beside, path);
  } catch (error) {
    removeIfThere(beside);
    throw error;
  }
  await flushFolder(path.slice(0, path.lastIndexOf("/")));
}

/**
 * Moves a corrupt record out of the way, for an operator to look at, unless a good one has taken its place.
 *
 * @returns Whether there was one.
 */
export function setAside(path: string): boolean {
  const outcome = tryLocked(path, (stat, file) => {
    if (readRecord(path, stat, file) !== "corrupt") return false;
    Deno.renameSync(path, path + CORRUPT);
    return true;
  });
  if (outcome === "irregular") Deno.renameSync(path, path + CORRUPT);
  return outcome === "irregular" || (typeof outcome === "object" && outcome.result);
}

/** Waits until the disk knows that files were made or removed in some of the folders. */
export async function flushNames(dir: string, shards: Iterable<string>): Promise<void> {
  for (const shard of shards) {
    await flushFolder(`${dir}/${shard}`).catch((error) => {
      // Empty, it may have gone with a sweep.
      if (!isMissing(error)) throw error;
    });
  }
  // The folders themselves may have been made or removed just before.
  await flushFolder(dir);
}
