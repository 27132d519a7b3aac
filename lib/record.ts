/**
 * The record of a session: its type, when the session ends, and the record as JSON. Every store uses these functions.
 *
 * @module
 */
import { RecordTooLargeError } from "./errors.ts";

/** A value that a session can hold: any JSON value. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** The data of one session: JSON values by name. `__proto__` and `constructor` are names like any other. */
export type SessionData = Readonly<Record<string, Json>>;

/** A message for the next page that reads the messages. */
export interface StoredFlash {
  /** Distinguishes this message from another with the same words. */
  readonly id: string;
  /** What kind of message it is. */
  readonly category: string;
  /** The text to show. */
  readonly message: string;
}

/**
 * The lifetimes that a log-in asked for in place of the manager's, as for "remember me". The manager's setting applies
 * to each member that is not given, but the absolute lifetime is never shorter than an idle one that is given alone.
 */
export interface LifetimeOverrides {
  /** Milliseconds the session lives after its last use. */
  readonly idle?: number | undefined;
  /** The most milliseconds it lives, even if it is used. */
  readonly absolute?: number | undefined;
  /** Whether the cookie stays when the browser is closed. */
  readonly permanent?: boolean | undefined;
}

/** The device that a session is bound to. */
export interface Binding {
  /** The name of the binding in the browser. It is random, but not secret. */
  readonly id: string;
  /** The browser's public key. */
  readonly key: PublicKey;
  /** When the session was bound, in milliseconds since 1970. */
  readonly since: number;
  /** The time of the last challenge that was used, in milliseconds since 1970. Only a later challenge is accepted. */
  readonly used: number;
}

/** A public key as a JSON Web Key (RFC 7517), of the two kinds that browsers make. */
export type PublicKey =
  | { readonly kty: "EC"; readonly crv: "P-256"; readonly x: string; readonly y: string }
  | { readonly kty: "RSA"; readonly n: string; readonly e: string };

/** The data that a store keeps of one session. A record is frozen; the store's `update` replaces it. */
export interface SessionRecord {
  /** The visitor's data. */
  readonly data: SessionData;
  /** Messages that no page has read yet, the oldest first. */
  readonly flashes?: readonly StoredFlash[] | undefined;
  /** When the session was made or its user logged in, in milliseconds since 1970. */
  readonly created: number;
  /** The idle lifetime at the last stored use, in milliseconds. That use was at `expires - idle`. */
  readonly idle: number;
  /** When it ends unless it is used again, in milliseconds since 1970; the deadline may come earlier. */
  readonly expires: number;
  /** When it ends even if it is used, in milliseconds since 1970. */
  readonly deadline: number;
  /** The user who logged in; `undefined` for a guest. It never changes under the same key: a log-in gives a new key. */
  readonly user?: string | undefined;
  /** The lifetimes that the log-in asked for in place of the manager's; `undefined` if it asked for none. */
  readonly overrides?: LifetimeOverrides | undefined;
  /** The device that the session is bound to, if it is bound. */
  readonly binding?: Binding | undefined;
}

/** The most bytes that a stored session may take as JSON. The limit of a store may be lower. */
export const MAX_RECORD_BYTES: number = 1024 * 1024;

/**
 * How much the clocks of servers may differ, in milliseconds. If a record was made or last used further in the future
 * than this, a clock was set back after the write, and the record's age is unknown.
 */
export const CLOCK_SKEW: number = 60_000;

/** The version of the JSON format. This program cannot read a higher version. */
const VERSION = 1;

/**
 * When a session ends unless it is used: at the idle limit, or at the deadline if that is earlier.
 *
 * @param record The session's record, or its two times.
 * @returns Milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { endOf } from "sessions/store";
 * import { assertEquals } from "@std/assert";
 *
 * const record = { data: { n: 1 }, created: 0, idle: 500, expires: 500, deadline: 1000 };
 * assertEquals([endOf(record), endOf({ ...record, expires: 2000 })], [500, 1000]);
 * ```
 */
export function endOf(record: Pick<SessionRecord, "expires" | "deadline">): number {
  return Math.min(record.expires, record.deadline);
}

/**
 * Whether a session is live: it is not over, and was made and last used at most `CLOCK_SKEW` in the future.
 *
 * @param record The session's record, or its times.
 * @param now The time, in milliseconds since 1970.
 *
 * @example
 * ```ts
 * import { isLive } from "sessions/store";
 * import { assertEquals } from "@std/assert";
 *
 * const record = { data: { n: 1 }, created: 0, idle: 500, expires: 500, deadline: 1000 };
 * assertEquals([isLive(record, 499), isLive(record, 500)], [true, false]);
 * ```
 */
export function isLive(record: Pick<SessionRecord, "created" | "idle" | "expires" | "deadline">, now: number): boolean {
  return now < endOf(record) && Math.max(record.created, record.expires - record.idle) <= now + CLOCK_SKEW;
}

/**
 * Turns a record into JSON.
 *
 * @param record The record.
 * @param maxBytes The most bytes it may take in UTF-8: `MAX_RECORD_BYTES` unless given.
 * @throws {RecordTooLargeError} if the JSON takes more.
 *
 * @example
 * ```ts
 * import { encode, RecordTooLargeError } from "sessions/store";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const record = { data: { n: 1 }, created: 0, idle: 500, expires: 500, deadline: 1000 };
 * assertEquals(JSON.parse(encode(record)).data, { n: 1 });
 * assertThrows(() => encode(record, 50), RecordTooLargeError);
 * ```
 */
export function encode(record: SessionRecord, maxBytes: number = MAX_RECORD_BYTES): string {
  const { created, idle, expires, deadline, user, overrides, binding, flashes, data } = record;
  const times = { created, idle, expires, deadline };
  const text = JSON.stringify({ version: VERSION, ...times, user, overrides, binding, flashes, data });
  // A character takes at most three bytes in UTF-8, so most records need no exact measurement.
  if (text.length * 3 > maxBytes) {
    const { length } = new TextEncoder().encode(text);
    if (length > maxBytes) {
      throw new RecordTooLargeError(
        `Cannot store a session: it may take ${maxBytes} bytes as JSON, received ${length}`,
      );
    }
  }
  return text;
}

/**
 * Makes a record from its JSON.
 *
 * @param text The stored string.
 * @param expires When the session ends unless it is used, for stores that keep this time beside the JSON. It replaces
 * the time in the JSON.
 * @returns The record, frozen; `"newer"` if a later version of this program wrote it, so that it must stay unchanged;
 * `"corrupt"` if the string is no record.
 *
 * @example
 * ```ts
 * import { decode, encode } from "sessions/store";
 * import { assertEquals } from "@std/assert";
 *
 * const record = { data: { n: 1 }, created: 0, idle: 500, expires: 500, deadline: 1000 };
 * assertEquals(decode(encode(record)), record);
 * assertEquals([decode("{}"), decode('{"version":1000000}')], ["corrupt", "newer"]);
 * ```
 */
export function decode(text: string, expires?: number): SessionRecord | "corrupt" | "newer" {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "corrupt";
  }
  if (!isObject(value)) return "corrupt";
  const { version, ...record } = value as Partial<SessionRecord> & { version?: unknown };
  if (typeof version === "number" && version > VERSION) return "newer";
  const { created, idle, data, deadline, user, overrides, binding, flashes } = record;
  const isRecord = version === VERSION && isObject(data) &&
    [created, idle, record.expires, deadline].every(Number.isFinite) &&
    (user === undefined || typeof user === "string") && (overrides === undefined || isObject(overrides)) &&
    (binding === undefined || isObject(binding)) &&
    (flashes === undefined || (Array.isArray(flashes) && flashes.every(isObject)));
  if (!isRecord) return "corrupt";
  try {
    return freeze({ ...record, expires: expires ?? record.expires } as SessionRecord);
  } catch {
    // It nests so deep that the stack is too small. No session can hold such a value.
    return "corrupt";
  }
}

/**
 * Freezes a JSON value and everything in it, so that records can be shared between requests.
 *
 * @returns The same value.
 */
export function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

/** Whether a parsed JSON value is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
