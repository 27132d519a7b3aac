/** What a session's file holds, and how it and the file's mtime say when the session ends. */
import { freeze, type Json, MAX_RECORD_BYTES, type SessionData, type SessionRecord } from "../../store.ts";

/**
 * How far, in milliseconds, the mtime that a file has from its writing may be from when its record says that was. A
 * writer who takes longer sets it to the end.
 */
export const WRITING = 1000;
const VERSION = 1;
const encoder = new TextEncoder();

/**
 * The content of a session's file.
 *
 * @param written The time before it is written, by the clock of the system.
 * @throws {RangeError} if it is more than a record may take.
 */
export function toBytes({ created, ends, expires, data }: SessionRecord, written: number): Uint8Array<ArrayBuffer> {
  const bytes = encoder.encode(JSON.stringify({ version: VERSION, written, created, ends, expires, data }));
  if (bytes.length > MAX_RECORD_BYTES) {
    throw new RangeError(`A session may take ${MAX_RECORD_BYTES} bytes: received ${bytes.length}`);
  }
  return bytes;
}

/** Whether a writing took so long, or the clock was set meanwhile, that the mtime may not be near its beginning. */
export function isLate(written: number): boolean {
  return Math.abs(Date.now() - written) > WRITING / 2;
}

/** A session's record, from the content of its file and the file's mtime. */
export function parse(text: string, mtime: number): SessionRecord | "corrupt" {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "corrupt";
  }
  if (!isObject(value) || value.version !== VERSION || !isObject(value.data)) return "corrupt";
  const { written, created, ends, expires } = value;
  if (typeof written !== "number" || typeof created !== "number") return "corrupt";
  if (typeof ends !== "number" || typeof expires !== "number") return "corrupt";
  const isAsWritten = Math.abs(mtime - written) <= WRITING;
  return freeze({ data: value.data as SessionData, created, ends, expires: isAsWritten ? expires : mtime });
}

/** When a session ends unless it is used. */
export function endOf({ expires, ends }: SessionRecord): number {
  return Math.min(expires, ends);
}

function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
