/**
 * SessionManager: opens the session of a request, and stores the changes that the request made.
 *
 * @module
 */
import { answerBoundRequest } from "./_bound_answers.ts";
import { type FoundSession, StoredSessions } from "./_stored_sessions.ts";
import type { DeviceBound } from "./device_bound.ts";
import type { ErrorAnswers } from "./error_answers.ts";
import { type Listener, logEvents, newCounters, type SessionCounters, type SessionEvent } from "./events.ts";
import { FollowedSession } from "./followed_session.ts";
import { addSessionHeaders, checkResponse, copyOf } from "./_headers.ts";
import { ReportingStore } from "./_reporting_store.ts";
import { type EndTimes, Lifetimes } from "./_lifetimes.ts";
import { standardErrorLog } from "./log.ts";
import { endOf, type Json, type SessionRecord } from "./record.ts";
import { checkOptions, OBJECT } from "./_options.ts";
import { withErrorReport } from "./_report.ts";
import { Session, stateOf } from "./session.ts";
import { SessionCookie, type SignedId } from "./session_cookie.ts";
import { checkSessionOptions, headersOf, type RequestLike, type SessionOptions } from "./session_options.ts";
import { continuedRecord, newState, NO_COOKIES } from "./_session_state.ts";
import { endSession, endSessions, showSessions, type UserSession } from "./_user_sessions.ts";
import { type Open, wrapHandler } from "./_wrap.ts";

/**
 * Server-side sessions for any handler from `Request` to `Response`. The browser gets a signed random id; the data stay
 * in the store.
 *
 * The store keeps a session under its key. A one-way hash makes the key from the id (id.ts), so that the store has no
 * id. The keys of the option `keys` are other ones: they are secret, and sign the ids.
 *
 * A visitor for whom nothing is stored gets no cookie and takes no space. A cookie that is forged, expired or unknown
 * is treated as no cookie: its id is never given to a new session.
 *
 * @example A counter
 * ```ts
 * import { MemoryStore, SessionManager } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const sessions = new SessionManager<{ visits: number }>({
 *   store: new MemoryStore(),
 *   keys: ["a secret key of at least 32 bytes"],
 * });
 *
 * const handler = sessions.wrap(async (_request, open) => {
 *   const session = await open();
 *   session.update("visits", (visits = 0) => visits + 1);
 *   return new Response(`Visit ${session.get("visits")}`);
 * });
 *
 * // Deno.serve(handler);
 * const first = await handler(new Request("http://localhost/"));
 * assertEquals(await first.text(), "Visit 1");
 * const [cookie = ""] = first.headers.getSetCookie();
 * const second = await handler(new Request("http://localhost/", { headers: { cookie } }));
 * assertEquals(await second.text(), "Visit 2");
 * ```
 */
export class SessionManager<Data extends object = Record<string, Json>> {
  /** The number of events of each type since the manager was made. */
  readonly counters: SessionCounters = newCounters();

  #store: ReportingStore;
  #cookie: SessionCookie;
  #lifetimes: Lifetimes;
  #sessions: StoredSessions;
  #now: () => number;
  #loadDeviceBound: (() => Promise<DeviceBound>) | undefined;
  #boundPath: string | undefined;

  /**
   * Makes a manager. It does not use the store yet.
   *
   * @param options The store, the keys, and the options that differ from the defaults.
   * @throws {TypeError} if there is no store or key, or an option is unknown or invalid.
   * @throws {RangeError} if a key is under 32 bytes, or a lifetime is not from 1 second to 400 days
   * (`bound.lifetime`: from 10 seconds to an hour).
   */
  constructor(options: SessionOptions) {
    checkSessionOptions(options);
    const { store, keys, cookie, idle = 1800, refresh = true, permanent = true } = options;
    const { absolute = Math.max(43_200, idle), log = standardErrorLog, on, now = Date.now, bound } = options;
    const listeners = [logEvents(withErrorReport("The log of sessions", log))];
    if (on !== undefined) listeners.push(withErrorReport("A listener of session events", on));
    const emit: Listener = (event: SessionEvent) => {
      Object.freeze(event);
      this.counters[event.type]++;
      for (const listener of listeners) listener(event);
    };
    this.#now = now;
    this.#store = new ReportingStore(store, emit);
    this.#cookie = new SessionCookie(cookie, keys);
    this.#lifetimes = new Lifetimes(idle, absolute, now);
    if (bound !== undefined) {
      const { path, lifetime = 300 } = bound;
      // The module is loaded at its first use, so that programs without bound sessions never load it.
      let loaded: Promise<DeviceBound> | undefined;
      this.#loadDeviceBound = () =>
        loaded ??= import("./device_bound.ts").then(({ DeviceBound }) =>
          new DeviceBound({ path, lifetime, keys, cookieName: this.#cookie.name, now })
        );
      this.#boundPath = `${path.replace(/\/$/, "")}/`;
    }
    this.#sessions = new StoredSessions({
      store: this.#store,
      cookie: this.#cookie,
      lifetimes: this.#lifetimes,
      refresh,
      permanent,
      now,
      emit,
      loadDeviceBound: this.#loadDeviceBound,
    });
  }

  /**
   * Opens the visitor's session: the stored one if the request has a valid cookie for it, else a new, empty one. The
   * store is queried only if the request has a validly signed cookie. A new session is stored by its commit, and only
   * if it has data or messages by then, or a user logged in.
   *
   * @param request The request, or anything with its headers.
   * @returns The session. Give it to `commit` together with the answer.
   * @throws {TypeError} if the request has no `Headers`.
   * @throws {SessionStoreError} if the store fails.
   */
  async open(request: RequestLike): Promise<Session<Data>> {
    const headers = headersOf("Cannot open a session", request);
    const { ids, hasInvalid, hasTooMany } = this.#cookie.read(headers.get("cookie"));
    // More than four session cookies of the right form come only after an attack. None is used, and all are deleted.
    if (hasTooMany) return this.#openWithoutCookies(request.url);
    const [signed] = ids;
    if (signed === undefined) {
      if (hasInvalid) this.#sessions.reportRefusal("bad signature");
      return new Session(newState(this.#now));
    }
    if (ids.length > 1) return await this.#openIfOneIsLive(ids, request);
    const found = await this.#sessions.read(signed.key);
    if (found === undefined) {
      // The new session gets a new id if it is stored. So no session ever gets an id that an attacker has chosen.
      this.#sessions.reportRefusal("unknown session", signed.key);
      return new Session(newState(this.#now));
    }
    // Most sessions have no binding. Their requests need not wait for `#mayUse`.
    if (found.record.binding !== undefined && !await this.#mayUse(found.record, signed.key, request)) {
      return new Session(newState(this.#now));
    }
    return this.#sessionOf(signed, found);
  }

  /**
   * Stores the changes of the request, and adds headers to the answer. Later changes of the session throw an error. The
   * headers are:
   * - `Vary: Cookie`, and `Cache-Control: no-store` unless the answer has a `Cache-Control`.
   * - `Set-Cookie`, in these cases: the session is new, has ended, or got a new id or deadline; an older key signed the
   *   cookie of the request; the request had several session cookies and none could be used, so they are deleted.
   *   Unless `permanent` is `false`, the browser keeps the cookie until the deadline. If a cookie is set, `private`
   *   replaces `public` and `s-maxage` in `Cache-Control`.
   * - `Secure-Session-Registration`, after a log-in with the option `bound` (device-bound sessions).
   *
   * @param session The session that `open` returned. It can be committed once.
   * @param response The answer. Its body is cancelled if the commit fails.
   * @returns The answer to send: a copy with the headers. An answer of status 101 cannot be copied: the headers are
   * added to it. Send an answer of status 101 even if `commit` throws, as `wrap` does: Deno ends the server otherwise.
   * @throws {SessionGoneError} if another request ended the session in between; nothing was stored.
   * @throws {StoreFullError} if the session is new and the store is full.
   * @throws {SessionStoreError} if the store fails. Usually nothing was stored. After `end`, `logOut` or `logIn`, the
   * old session may be gone. After a log-in with `most`, the new session may stay, but its cookie is not sent.
   * @throws {RecordTooLargeError} if the session is larger than the store can keep; nothing was stored.
   * @throws {TypeError} if the session did not come from `open` or was committed before, or if the answer is no
   * `Response` that can be sent. Nothing is stored then.
   */
  async commit(session: Session<Data>, response: Response): Promise<Response> {
    checkResponse(response);
    let cookies: readonly string[];
    try {
      cookies = await this.save(session);
    } catch (error) {
      // The body may read a file, which would otherwise stay open.
      await response.body?.cancel().catch(() => {});
      throw error;
    }
    const answer = copyOf(response);
    addSessionHeaders(answer.headers, cookies, this.registrationHeader(session));
    return answer;
  }

  /**
   * Stores the changes of the request, as `commit` does, for a program that makes the answer afterwards. Give that
   * answer `Vary: Cookie` and the header of `registrationHeader`. If it shows data of the session, give it
   * `Cache-Control: no-store`, too.
   *
   * @param session The session that `open` returned. It can be saved once.
   * @returns The `Set-Cookie` headers that the answer must have: usually none or one. There are two when a bound
   * session ends. If the browser sent several session cookies and none could be used, further headers delete them.
   * @throws What `commit` throws.
   */
  async save(session: Session<Data>): Promise<readonly string[]> {
    const state = stateOf(session);
    if (!state.isOpen) throw new TypeError("Cannot commit a session: it was committed before");
    state.isOpen = false;
    try {
      const cookies = this.#sessions.needsSave(state) ? await this.#sessions.save(state) : NO_COOKIES;
      state.onCommit?.();
      return state.cookieDeletions.length === 0 ? cookies : [...state.cookieDeletions, ...cookies];
    } catch (failure) {
      state.onCommit?.(failure);
      throw failure;
    } finally {
      this.#store.sweep(); // removes some expired sessions in the background, if that is due
    }
  }

  /**
   * Wraps a handler, which gets the request and a function that opens its session. If the handler opens the session,
   * `wrap` commits it with the answer. If the handler throws, nothing is stored. `wrap` turns errors of the library
   * into answers: 409 if another request ended the session in between, 413 if the session is too large, 503 with
   * `Retry-After` if the store is full or fails.
   *
   * @param handler Answers a request. `await open()` returns the session. Further arguments are passed on after `open`.
   * If it calls another wrapped handler with the same request, they share the session, and the outer one stores it.
   * @param options Your own answers for 409 and 503, in place of plain text. The answer for 413 is always plain text.
   * @returns A handler for `Deno.serve` and the like. It throws other errors of your handler unchanged.
   */
  wrap<Rest extends unknown[]>(
    handler: (request: Request, open: Open<Data>, ...rest: Rest) => Response | Promise<Response>,
    options: ErrorAnswers<Request> = {},
  ): (request: Request, ...rest: Rest) => Promise<Response> {
    return wrapHandler(this, handler, options);
  }

  /**
   * Follows a session after its request: for sockets and streams, whose messages come after the commit.
   *
   * @param session A session that `open` returned. If it is not committed yet, `read` and `change` wait until it is.
   * @returns An object that reads and changes the session as it is stored at the time of each call.
   */
  follow(session: Session<Data>): FollowedSession<Data> {
    return new FollowedSession(stateOf(session), {
      watcher: this.#sessions.watcher,
      read: async (key) => (await this.#sessions.read(key))?.record,
      update: (key, change) => this.#sessions.update(key, change),
      reportGone: (key) => this.#sessions.reportGone(key),
    });
  }

  /**
   * The live sessions of a user, such as the devices that are logged in.
   *
   * @param user The user, as given to `logIn`.
   * @returns The sessions, in no particular order. If a log-in was answered before the call, its session is included.
   * @throws {TypeError} if the store cannot find the sessions of a user (memcached).
   * @throws {SessionStoreError} during the iteration, if the store fails.
   */
  of(user: string): AsyncIterable<UserSession<Data>> {
    checkString("find the sessions of a user", user);
    return showSessions(this.#sessions.users, user);
  }

  /**
   * Ends all sessions of a user, as after a change of password (ASVS 5, 7.4.3). When it resolves, they have ended at
   * every server. If a log-in is still under way at the call, its session may remain.
   *
   * If the session of this request is one of them, a change of it is answered 409. `session.logOut()` is an exception:
   * you can call it before or after `endAll`. What you set or flash after `logOut()` is stored in a new session.
   *
   * @param user The user, as given to `logIn`.
   * @param options `except`: a session that stays live, such as that of the request.
   * @returns How many sessions were ended.
   * @throws {TypeError} if the store cannot find the sessions of a user (memcached).
   * @throws {SessionStoreError} if the store fails; some of the sessions may have been ended.
   */
  async endAll(user: string, options: { readonly except?: Session<Data> | undefined } = {}): Promise<number> {
    checkString("end the sessions of a user", user);
    checkOptions("Cannot end the sessions of a user", options, { except: OBJECT });
    const { except } = options;
    return await endSessions(this.#sessions.users, user, except && stateOf(except).key);
  }

  /**
   * Ends one session of a user, such as a lost device (ASVS 5, 7.5.2).
   *
   * @param user The user, as given to `logIn`.
   * @param handle The session's handle, as `of` gives it.
   * @returns Whether it was ended; `false` if the user has no session with that handle.
   * @throws {TypeError} if one of them is no string, or the store cannot find the sessions of a user.
   * @throws {SessionStoreError} if the store fails.
   */
  async end(user: string, handle: string): Promise<boolean> {
    checkString("end a session of a user", user);
    checkString("end a session of a user", handle, "handle");
    return await endSession(this.#sessions.users, user, handle);
  }

  /**
   * The times at which a session ends: those that are stored now, and those after a commit of the changes so far.
   *
   * @param session A session that `open` returned.
   * @returns `storedExpires`, the end that is stored now; `expires`, the end after the commit; and `deadline`, the end
   * in any case, however often the session is used. All are in milliseconds since 1970.
   */
  endTimes(session: Session<Data>): EndTimes {
    const state = stateOf(session);
    // Without a record to continue (a new session, a log-in, a log-out), the times are those of a new session.
    const continued = continuedRecord(state);
    const newTimes = continued === undefined
      ? this.#lifetimes.begin(this.#now(), state.logIn?.overrides)
      : this.#lifetimes.extend(continued);
    const storesNewTimes = continued === undefined || session.changed ||
      this.#sessions.isExtensionDue(state, continued);
    const timesAfter = storesNewTimes ? newTimes : continued;
    return Object.freeze({
      storedExpires: state.record && endOf(state.record),
      expires: endOf(timesAfter),
      deadline: timesAfter.deadline,
    });
  }

  /**
   * Answers a browser that binds a session to its device, or renews the second cookie of a bound session (Device Bound
   * Session Credentials, device_bound.ts). `wrap` and the adapters call this. If your program has the option `bound`
   * and calls `open` and `commit` itself, call this method first.
   *
   * @param request The request.
   * @returns The answer, or `undefined` if the request is not for one of the two addresses below the option's path.
   * @throws {TypeError} if the argument is no request, or if it is for one of these addresses and has no `Headers`.
   */
  answerBound(request: RequestLike & { readonly method: string }): Promise<Response> | undefined {
    const [loadDeviceBound, path] = [this.#loadDeviceBound, this.#boundPath];
    if (loadDeviceBound === undefined || path === undefined) return undefined;
    // Most requests are for other addresses. In Node, reading their headers would take time.
    if (request?.url?.includes(path) === false) return undefined;
    headersOf("Cannot answer a request", request);
    const pathname = URL.parse(request.url ?? "")?.pathname;
    const address = (["register", "refresh"] as const).find((name) => pathname === path + name);
    if (address === undefined) return undefined;
    return answerBoundRequest({ loadDeviceBound, stored: this.#sessions, cookie: this.#cookie }, request, address);
  }

  /**
   * The `Secure-Session-Registration` header that the answer to a log-in must have with the option `bound`. `commit`,
   * `wrap` and the adapters set it. A program that calls `save` must set it.
   *
   * @param session A session that was saved.
   * @returns The header's value, or `undefined` if the answer needs no such header.
   */
  registrationHeader(session: Session<Data>): string | undefined {
    return stateOf(session).registration;
  }

  /** The time by the manager's clock, in milliseconds since 1970. */
  now(): number {
    return this.#now();
  }

  /** Finishes background work of the store and closes its connections. */
  async close(): Promise<void> {
    this.#sessions.watcher.close();
    await this.#store.close();
  }

  /** Opens the session of a request with two to four valid cookies: the live one, if exactly one is live. */
  async #openIfOneIsLive(ids: readonly SignedId[], request: RequestLike): Promise<Session<Data>> {
    const live: { readonly id: SignedId; readonly found: FoundSession }[] = [];
    for (const id of ids) {
      const found = await this.#sessions.read(id.key);
      if (found !== undefined && await this.#mayUse(found.record, id.key, request)) live.push({ id, found });
    }
    const [only] = live;
    if (only === undefined || live.length > 1) return this.#openWithoutCookies(request.url);
    return this.#sessionOf(only.id, only.found);
  }

  #sessionOf({ value, key, signedByOlderKey }: SignedId, found: FoundSession): Session<Data> {
    return new Session(newState(this.#now, { id: value, key, signedByOlderKey, ...found }));
  }

  /** Whether a request may use a session. With the option `bound`, a bound session needs its second cookie. */
  async #mayUse({ binding, user }: SessionRecord, key: string, { headers }: RequestLike): Promise<boolean> {
    if (binding === undefined || this.#loadDeviceBound === undefined) return true;
    if ((await this.#loadDeviceBound()).allows(headers.get("cookie"), binding)) return true;
    this.#sessions.reportRefusal("another device", key, user);
    return false;
  }

  /**
   * Opens a new session for a request with several cookies, when it is not clear which one is the visitor's. An
   * attacker may have planted one of them, for any path of the address. The answer deletes them all, because the
   * browser would send them again.
   */
  #openWithoutCookies(url: string | undefined): Session<Data> {
    this.#sessions.reportRefusal("several cookies");
    return new Session(newState(this.#now, { cookieDeletions: this.#cookie.clearAll(url) }));
  }
}

function checkString(verb: string, value: string, name = "user"): void {
  if (typeof value === "string") return;
  throw new TypeError(`Cannot ${verb}: the ${name} must be a string: received ${typeof value}`);
}
