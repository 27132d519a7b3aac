/**
 * A session's file: what it holds, and when the session ends.
 *
 * A session ends at the later of two times: `expires` in its file, and the file's mtime; and at its deadline in any
 * case. A use moves the mtime forward and writes nothing into the file. An earlier end is written into it, and so is an
 * end past the deadline. A new file gets its end as its mtime, too, so that the sweep need not look into it. Where the
 * mtime was lost, as in a copy, or is coarse, `expires` counts.
 */
import { decode, endOf, MAX_RECORD_BYTES, type SessionRecord } from "../../record.ts";
import { isMissing, readOpen, setTimes, type Stat } from "./calls.ts";

/** How old, in milliseconds, an unfinished file must be before it counts as that of a process that died. */
export const LEFTOVER = 60_000;

/** What a session's file can hold; `undefined` is no file. */
export type Content = SessionRecord | "corrupt" | "newer" | undefined;

/**
 * What a session's file holds.
 *
 * @param stat Its state, looked at before.
 * @param file The file, if the caller has its lock.
 */
export function readRecord(path: string, stat: Stat, file?: Deno.FsFile): Content {
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
