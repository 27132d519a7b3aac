/** SessionOptions: the options of a SessionManager, and the check that they can work. */
import type { Listener } from "./events.ts";
import { LIFETIME } from "./_lifetimes.ts";
import type { Log } from "./log.ts";
import { BOOLEAN, checkOptions, FUNCTION, OBJECT, type Rule } from "./_options.ts";
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
  /** Called with every event: what is made, changed, ended, refused, failed. It must not throw. */
  readonly on?: Listener | undefined;
  /** Called with a line for each event that matters: standard error, from `warn` on, unless given. */
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

const RULES: Readonly<Record<string, Rule>> = {
  store: {
    needed: "a session store",
    accepts: (value) => typeof (value as SessionStore | null)?.create === "function",
    isRequired: true,
  },
  keys: {
    needed: "a list of strings",
    accepts: (value) => Array.isArray(value) && value.every((key) => typeof key === "string"),
    isRequired: true,
    isSecret: true,
  },
  cookie: OBJECT,
  idle: LIFETIME,
  absolute: LIFETIME,
  refresh: BOOLEAN,
  permanent: BOOLEAN,
  on: FUNCTION,
  log: FUNCTION,
  now: FUNCTION,
};

/**
 * Refuses options that are unknown or cannot work; the cookie's are checked where they are used.
 *
 * @throws {TypeError} naming the option; {@linkcode RangeError} for a lifetime that is out of range.
 */
export function checkSessionOptions(options: SessionOptions): void {
  checkOptions("Cannot manage sessions", options, RULES);
}
