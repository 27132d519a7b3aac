/** SessionOptions: the options of a SessionManager, and their check. */
import type { Listener } from "./events.ts";
import { LIFETIME } from "./_lifetimes.ts";
import type { Log } from "./log.ts";
import { BOOLEAN, checkOptions, FUNCTION, kindOf, OBJECT, type Rule } from "./_options.ts";
import type { CookieOptions } from "./session_cookie.ts";
import type { SessionStore } from "./store.ts";

/** The options of a {@linkcode SessionManager}. An option that is `undefined` counts as not given. */
export interface SessionOptions {
  /** The store that keeps the sessions. */
  readonly store: SessionStore;
  /** The keys that sign the cookie, at least 32 bytes each. The first one signs; older ones are still accepted. */
  readonly keys: readonly string[];
  /** How the cookie is sent. */
  readonly cookie?: CookieOptions | undefined;
  /** Seconds a session lives after its last use: 1,800 unless given. */
  readonly idle?: number | undefined;
  /**
   * The most seconds that a session lives, even if it is used: 43,200 (twelve hours) unless given, or `idle` if that is
   * longer.
   */
  readonly absolute?: number | undefined;
  /**
   * Whether a use extends the session's life even if it changes nothing: `true` unless given. Such a use is stored only
   * if it moves the session's end by a tenth of the idle lifetime or more.
   */
  readonly refresh?: boolean | undefined;
  /** Whether the cookie stays when the browser is closed: `true` unless given. */
  readonly permanent?: boolean | undefined;
  /**
   * Binds sessions to the device that logged in, if the browser can. Stolen cookies then work only until the second,
   * short-lived cookie expires. It needs https, and a cookie with `secure` and without `domain`.
   */
  readonly bound?: BoundOptions | undefined;
  /** Called with every event, such as a session that was made, changed or ended, a refusal or a failure. */
  readonly on?: Listener | undefined;
  /** Called for each line of the log. Unless given, lines of level `warn` and above go to standard error. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** How sessions are bound to devices. */
export interface BoundOptions {
  /** The path below which the library answers the browser's requests, such as `/bound`. Keep your pages out of it. */
  readonly path: string;
  /**
   * Seconds that the second cookie of a bound session lives, from 10 to 3,600: 300 unless given. The browser renews it
   * in time, with a key that cannot leave the device. Servers accept it a minute longer, because clocks differ.
   */
  readonly lifetime?: number | undefined;
}

/** A request, or any object with its headers. `open` uses the address to delete cookies if a browser sends several. */
export interface RequestLike {
  /** The headers. `Cookie` is read. */
  readonly headers: Headers;
  /** The address. */
  readonly url?: string | undefined;
}

const RULES: Readonly<Record<string, Rule>> = {
  store: { ...OBJECT, needed: "a session store", isRequired: true },
  keys: {
    needed: "a list of strings, at least one key",
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((key) => typeof key === "string"),
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

/** The methods that every store has. */
const VERBS = ["create", "read", "update", "touch", "delete", "move"] as const;

const BOUND_RULES: Readonly<Record<string, Rule>> = {
  path: {
    needed: 'a path of letters, digits and _ . / - that begins with "/", without the parts "." and ".."',
    // The URL parser removes these parts, so no address would match.
    accepts: (value) => typeof value === "string" && /^(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)+\/?$/.test(value),
    isRequired: true,
  },
  lifetime: {
    needed: "a whole number of seconds from 10 to 3600",
    isRange: true,
    accepts: (value) => Number.isInteger(value) && (value as number) >= 10 && (value as number) <= 3600,
  },
};

/**
 * Refuses unknown and invalid options. `SessionCookie` checks the options of the cookie, and the length of the keys.
 *
 * @throws {TypeError} naming the option; {@linkcode RangeError} for a lifetime that is out of range.
 */
export function checkSessionOptions(options: SessionOptions): void {
  checkOptions("Cannot manage sessions", options, RULES);
  const { store, bound, cookie } = options;
  const missing = VERBS.filter((verb) => typeof store[verb] !== "function");
  if (missing.length > 0) {
    throw new TypeError(`Cannot manage sessions: "store" must be a session store: it has no ${missing.join(", ")}`);
  }
  if (bound === undefined) return;
  checkOptions("Cannot bind sessions to devices", bound, BOUND_RULES);
  if (cookie?.secure !== true || cookie.domain !== undefined) {
    throw new TypeError('Cannot bind sessions to devices: the cookie must have "secure" and no "domain"');
  }
}

/** Returns the headers of a request. Throws if they are no `Headers` object, as those of a `node:http` request. */
export function headersOf(failure: string, request: RequestLike): Headers {
  const headers = request?.headers;
  if (typeof headers?.get === "function") return headers;
  throw new TypeError(
    `${failure}: needed a request whose "headers" are a Headers object: received ${kindOf(request)}; ` +
      'for Express, Fastify and node:http use nodeSessions of "sessions/node"',
  );
}
