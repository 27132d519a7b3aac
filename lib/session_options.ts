/** SessionOptions: the options of a SessionManager, and the check that they can work. */
import type { Log } from "./log.ts";
import type { CookieOptions } from "./session_cookie.ts";
import type { SessionStore } from "./store.ts";

/** The options of a {@linkcode SessionManager}. An option that is `undefined` is the same as one not given. */
export interface SessionOptions {
  /** Where sessions are kept. */
  readonly store: SessionStore;
  /** The keys that sign the cookie, at least 32 bytes each: the first signs, older ones are still accepted. */
  readonly keys: readonly string[];
  /** How the cookie is sent. */
  readonly cookie?: CookieOptions | undefined;
  /** Seconds a session lives after its last use: 1,800 unless given. */
  readonly idle?: number | undefined;
  /** Seconds a session lives at most, however much it is used: 43,200 (twelve hours) unless given. */
  readonly absolute?: number | undefined;
  /** Whether use extends the life (`true` unless given), or only a change of the data does. */
  readonly refresh?: boolean | undefined;
  /** Whether the cookie outlives the browser's run: `true` unless given. */
  readonly permanent?: boolean | undefined;
  /** Told of what is refused or fails. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** A request, or anything with its headers; the address is of use where several cookies of the name come. */
export interface RequestLike {
  /** Its headers, of which `Cookie` is read. */
  readonly headers: Headers;
  /** Its address. */
  readonly url?: string | undefined;
}

/**
 * Refuses what cannot work, typed or not; lifetimes and cookie are checked where they are used.
 *
 * @throws {TypeError} naming the option.
 */
export function checkOptions({ store, keys, refresh, permanent, log, now }: SessionOptions): void {
  if (typeof store?.create !== "function") throw refused("store", "a session store", store);
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) {
    throw refused("keys", "a list of texts", keys);
  }
  for (const [option, value] of Object.entries({ refresh, permanent })) {
    if (value !== undefined && typeof value !== "boolean") throw refused(option, "true or false", value);
  }
  for (const [option, value] of Object.entries({ log, now })) {
    if (value !== undefined && typeof value !== "function") throw refused(option, "a function", value);
  }
}

function refused(option: string, needed: string, received: unknown): TypeError {
  return new TypeError(`Cannot manage sessions: "${option}" must be ${needed}: received ${typeof received}`);
}
