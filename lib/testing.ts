/**
 * Helpers for tests of programs with sessions: the cookie of a stored session, a clock that a test can move, and the
 * tests that every store passes.
 *
 * @module
 */
import { checkOptions, MANAGER, OBJECT, STRING } from "./_options.ts";
import { keepEmpty } from "./session.ts";
import type { SessionManager } from "./session_manager.ts";
import type { SessionKey, Settable } from "./session_data.ts";

export { type StoreSubject, testStore, type WriteHooks } from "./store_suite.ts";

/**
 * A clock that stands still until a test moves it. Give its `now` to the store and the manager, so that both use it.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionManager } from "sessions";
 * import { Clock, cookieFor } from "sessions/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const { now, pass } = new Clock();
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager({ store: new MemoryStore({ now }), keys, idle: 60, now });
 * const cookie = await cookieFor(sessions, { theme: "dark" });
 * const open = async () => await sessions.open(new Request("http://localhost/", { headers: { cookie } }));
 *
 * assertEquals((await open()).get("theme"), "dark");
 * pass(60);
 * assertEquals((await open()).get("theme"), undefined);
 * ```
 */
export class Clock {
  /** The time, in milliseconds since 1970. A test can set it. */
  time: number;

  /**
   * Makes a clock.
   *
   * @param time The time at the start, in milliseconds since 1970.
   * @throws {TypeError} if the time is not a finite number.
   */
  constructor(time: number = Date.UTC(2030, 0, 1)) {
    checkOptions("Cannot make a clock", { time }, { time: { needed: "a finite number", accepts: Number.isFinite } });
    this.time = time;
  }

  /** The time, in milliseconds since 1970. */
  readonly now = (): number => this.time;

  /**
   * Moves the clock.
   *
   * @param seconds How far. A negative number moves it back.
   */
  readonly pass = (seconds: number): void => void (this.time += seconds * 1000);
}

/**
 * Stores a session, and returns the `Cookie` header that its browser would send.
 *
 * @param sessions The manager of the program under test.
 * @param data The session's data.
 * @param options `user`: the user who is logged in, if any.
 * @returns The value of a `Cookie` header.
 * @throws {TypeError} if the manager, the data or an option is invalid.
 * @throws The errors of `save`.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionManager } from "sessions";
 * import { cookieFor } from "sessions/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager<{ cart: string[] }>({ store: new MemoryStore(), keys });
 * const handler = sessions.wrap(async (_request, open) => {
 *   const session = await open();
 *   return Response.json([session.user, session.get("cart")]);
 * });
 *
 * const cookie = await cookieFor(sessions, { cart: ["tea"] }, { user: "Ada" });
 * const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
 * assertEquals(await response.json(), ["Ada", ["tea"]]);
 * ```
 */
export async function cookieFor<Data extends object>(
  sessions: SessionManager<Data>,
  data: { readonly [K in keyof Data]?: Settable<Data[K]> },
  options: { readonly user?: string | undefined } = {},
): Promise<string> {
  const failure = "Cannot make a cookie";
  checkOptions(failure, { sessions, data }, { sessions: MANAGER, data: { ...OBJECT, isRequired: true } });
  checkOptions(failure, options, { user: STRING });
  const session = await sessions.open({ headers: new Headers() });
  for (const [key, value] of Object.entries(data)) session.set(key as SessionKey<Data>, value as never);
  if (options.user !== undefined) session.logIn(options.user);
  keepEmpty(session);
  const [cookie = ""] = await sessions.save(session);
  return cookie.split(";")[0]!;
}
