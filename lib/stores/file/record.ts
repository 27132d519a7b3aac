/**
 * The record in a session's file, and when the session ends.
 *
 * A session ends at the later of two times: `expires` in its file, and the file's mtime. It ends at its deadline in any
 * case. A use only moves the mtime forward. If the end becomes earlier, or is past the deadline, the record is written
 * again. The mtime of a new file is its session's end too, so the sweep does not need to read the file. If the mtime
 * was lost, for example in a copy, or is coarse, `expires` counts.
 */
import { decode, endOf, MAX_RECORD_BYTES, type SessionRecord } from "../../record.ts";
import { isMissing, readOpen, setTimes, type Stat } from "./calls.ts";

/** The age, in milliseconds, from which an unfinished file counts as one of a dead process. */
export const LEFTOVER = 60_000;

/** The content of a session's file; `undefined` if there is no file. */
export type Content = SessionRecord | "corrupt" | "newer" | undefined;

/**
 * Reads a session's file.
 *
 * @param stat The state of the file.
 * @param file The open file, if the caller has its lock.
 */
export function readRecord(path: string, stat: Stat, file?: Deno.FsFile): Content {
  // This does not follow a link, and does not read a file that is too large for a record.
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

/** Sets the times of a file that a record is in. */
export function setTimesFor(path: string, record: SessionRecord): void {
  setTimes(path, Math.max(record.created, record.expires - record.idle), endOf(record));
}

/** The same record with another idle end. */
export function withEnd(record: SessionRecord, expires: number): SessionRecord {
  return Object.freeze({ ...record, expires });
}
