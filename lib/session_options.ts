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
  /**
   * Binds sessions to the device that logged in, where the browser can: a stolen cookie opens nothing then. It needs
   * https, and a cookie with `secure` and without `domain`.
   */
  readonly bound?: BoundOptions | undefined;
  /** Called with every event: what is made, changed, ended, refused, failed. */
  readonly on?: Listener | undefined;
  /** Called with a line for each event that matters: standard error, from `warn` on, unless given. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** How sessions are bound to devices. */
export interface BoundOptions {
  /** The path below which the library answers the browser's requests, such as `/bound`. No page may lie there. */
  readonly path: string;
  /** Seconds that the second cookie lives, from 10 to 3,600: 300 unless given. The browser renews it in time. */
  readonly lifetime?: number | undefined;
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
  bound: OBJECT,
  on: FUNCTION,
  log: FUNCTION,
  now: FUNCTION,
};

const BOUND_RULES: Readonly<Record<string, Rule>> = {
  path: {
    needed: 'a path of letters, digits and _ . / - that begins with "/"',
    accepts: (value) => typeof value === "string" && /^(?:\/[\w.-]+)+\/?$/.test(value),
    isRequired: true,
  },
  lifetime: {
    needed: "a whole number of seconds from 10 to 3600",
    isRange: true,
    accepts: (value) => Number.isInteger(value) && (value as number) >= 10 && (value as number) <= 3600,
  },
};

/**
 * Refuses options that are unknown or cannot work; the cookie's are checked where they are used.
 *
 * @throws {TypeError} naming the option; {@linkcode RangeError} for a lifetime that is out of range.
 */
export function checkSessionOptions(options: SessionOptions): void {
  checkOptions("Cannot manage sessions", options, RULES);
  const { bound, cookie } = options;
  if (bound === undefined) return;
  checkOptions("Cannot bind sessions to devices", bound, BOUND_RULES);
  if (cookie?.secure !== true || cookie.domain !== undefined) {
    throw new TypeError('Cannot bind sessions to devices: the cookie must have "secure" and no "domain"');
  }
}
