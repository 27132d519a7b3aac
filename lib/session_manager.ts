/**
 * SessionManager: opens the session of a request, and stores what the request did to it.
 *
 * @module
 */
import { SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import { FollowedSession } from "./followed_session.ts";
import { GuardedStore, newCounters, type SessionCounters } from "./_guarded_store.ts";
import { keyOf, newId } from "./id.ts";
import { Lifetimes } from "./_lifetimes.ts";
import { type Log, silent } from "./log.ts";
import { endOf, isLive, type Json, type SessionRecord } from "./record.ts";
import { Session, stateOf } from "./session.ts";
import { SessionCookie, type SignedId } from "./session_cookie.ts";
import { checkOptions, type RequestLike, type SessionOptions } from "./session_options.ts";
import { applyChanges, assign, continued, newState, type SessionState } from "./_session_state.ts";
import type { Change } from "./store.ts";
import { endSession, endSessions, showSessions, type UserSession } from "./_user_sessions.ts";
import { addSessionHeaders, type Open, wrapHandler, type WrapOptions } from "./_wrap.ts";

/**
 * Server-side sessions for anything that turns a `Request` into a `Response`. The browser gets a signed random id; the
 * data stay in the store.
 *
 * A visitor for whom nothing is ever stored gets no cookie and takes no space. A cookie that is forged, expired or
 * unknown is the same as none, and its id is never adopted.
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
  /** What was done so far, for whoever exports it. */
  readonly counters: SessionCounters = newCounters();

  #store: GuardedStore;
  #cookie: SessionCookie;
  #lifetimes: Lifetimes;
  #refresh: boolean;
  #permanent: boolean;
  #log: Log;
  #now: () => number;
  // Records that were read under longer lifetimes than this manager's: what is stored still has those.
  #clamped = new WeakSet<SessionRecord>();

  /**
   * Makes a manager; touches nothing yet.
   *
   * @param options The store, the keys, and what differs from the defaults.
   * @throws {TypeError} if there is no store or key, or an option is none that can work.
   * @throws {RangeError} if a key is under 32 bytes, or a lifetime not from 1 second to 400 days.
   */
  constructor(options: SessionOptions) {
    checkOptions(options);
    const { store, keys, cookie, idle = 1800, absolute = 43_200, refresh = true, permanent = true } = options;
    const { log = silent, now = Date.now } = options;
    this.#log = log;
    this.#now = now;
    this.#store = new GuardedStore(store, this.counters, log);
    this.#cookie = new SessionCookie(cookie, keys);
    this.#lifetimes = new Lifetimes(idle, absolute, now);
    this.#refresh = refresh;
    this.#permanent = permanent;
  }

  /**
   * Opens the visitor's session: the stored one if the request has a valid cookie for it, else a new, empty one of
   * which nothing is stored until something is put into it. A request with no validly signed cookie causes no call of
   * the store.
   *
   * @param request The request, or anything with its headers.
   * @returns The session, to be given to `commit` with the answer.
   * @throws {SessionStoreError} if the store fails.
   */
  async open(request: RequestLike): Promise<Session<Data>> {
    const { ids, refused } = this.#cookie.read(request.headers.get("cookie"));
    const [id] = ids;
    if (id === undefined) {
      if (refused) {
        this.counters.badSignature++;
        this.#log("warn", "A session cookie was refused: its signature is not one of ours");
      }
      return new Session(newState());
    }
    if (ids.length > 1) return await this.#openOneOf(ids, request.url);
    const record = await this.#read(keyOf(id.value));
    if (record === undefined) {
      // Not adopted: the visitor gets a fresh id when something is stored (strict mode; CVE-2015-5143).
      this.counters.unknown++;
      this.#log("info", "A session cookie named a session that is not stored");
      return new Session(newState());
    }
    this.counters.found++;
    return new Session(newState(id.value, record, id.stale));
  }

  /**
   * Stores what the request did to the session, and gives the answer its headers: a `Set-Cookie` if the session is
   * new, got a new id, was extended or ended; `Vary: Cookie`; and `Cache-Control: no-store` unless the answer has a
   * `Cache-Control` of its own. After that the session takes no more changes.
   *
   * @param session The session that `open` returned, once.
   * @param response The answer. It is left as it is; if the commit fails, its body is cancelled.
   * @returns The answer to send: a copy with the headers. (An answer of status 101 cannot be copied: that one itself.)
   * @throws {SessionGoneError} if the session was ended by another request meanwhile, so that nothing was stored.
   * @throws {StoreFullError} if the session is new and the store is full.
   * @throws {SessionStoreError} if the store fails; what was asked was done completely or not at all.
   * @throws {RecordTooLargeError} if the data take more than a store can keep; nothing was stored.
   * @throws {TypeError} if the session did not come from `open`, or was committed before.
   */
  async commit(session: Session<Data>, response: Response): Promise<Response> {
    let cookies: readonly string[];
    try {
      cookies = await this.save(session);
    } catch (error) {
      // An open file behind it would stay open.
      await response.body?.cancel().catch(() => {});
      throw error;
    }
    const answer = response.status === 101 ? response : new Response(response.body, response);
    addSessionHeaders(answer.headers, cookies);
    return answer;
  }

  /**
   * Stores what the request did to the session, as `commit` does, for whoever makes the answer afterwards. That answer
   * should have `Vary: Cookie`, and `Cache-Control: no-store` if it shows anything of the session.
   *
   * @param session The session that `open` returned, once.
   * @returns The `Set-Cookie` headers that the answer must have: none or one, and more only where cookies that did not
   * count are deleted.
   * @throws What `commit` throws.
   */
  async save(session: Session<Data>): Promise<readonly string[]> {
    const state = stateOf(session);
    if (!state.isOpen) throw new TypeError("Cannot commit a session: it was committed before");
    state.isOpen = false;
    try {
      const cookie = await this.#save(state);
      state.onCommit?.();
      return cookie === undefined ? state.strays : [...state.strays, cookie];
    } catch (failure) {
      state.onCommit?.(failure);
      throw failure;
    } finally {
      this.#store.sweep();
    }
  }

  /**
   * Makes a handler with sessions out of one that takes a request and a function that opens its session. If it opens
   * it, the session is committed with the answer; if it throws, nothing is stored. What the session itself fails with
   * becomes an answer: 409 if it was ended meanwhile, 503 with `Retry-After` if the store is full or fails.
   *
   * @param handler Answers a request. Awaiting `open()` gives the session.
   * @param options Other answers than plain text.
   * @returns A handler for `Deno.serve` and the like. It throws what the handler throws.
   */
  wrap<Rest extends unknown[]>(
    handler: (request: Request, open: Open<Data>, ...rest: Rest) => Response | Promise<Response>,
    options: WrapOptions = {},
  ): (request: Request, ...rest: Rest) => Promise<Response> {
    return wrapHandler(this, handler, options);
  }

  /**
   * Follows a session beyond its request: for sockets and streams, whose messages come after the commit.
   *
   * @param session A session that `open` returned. If it was not committed yet, `read` and `change` wait until it is.
   * @returns What reads and changes the session as it is stored by then.
   */
  follow(session: Session<Data>): FollowedSession<Data> {
    return new FollowedSession(stateOf(session), {
      read: (key) => this.#read(key),
      update: (key, change) => this.#update(key, change),
      gone: () => this.#gone(),
    });
  }

  /**
   * The live sessions of a user, such as the devices that are logged in.
   *
   * @param user The user, as given to `logIn`.
   * @returns The sessions, in no order. None is missing whose log-in was answered before.
   * @throws {TypeError} if the store keeps no index of users.
   * @throws {SessionStoreError} while it is iterated, if the store fails.
   */
  of(user: string): AsyncIterable<UserSession<Data>> {
    return showSessions(this.#store, this.#lifetimes, user, this.#now);
  }

  /**
   * Ends all sessions of a user, as after a change of password (ASVS 5, 7.4.3). When it resolves, no session whose
   * log-in was answered before it was called is of use anywhere.
   *
   * @param user The user, as given to `logIn`.
   * @param options A session to leave alone: the one that asks.
   * @returns How many were ended.
   * @throws {TypeError} if the store keeps no index of users.
   * @throws {SessionStoreError} if the store fails; some sessions may have been ended.
   */
  async endAll(user: string, options: { readonly except?: Session<Data> | undefined } = {}): Promise<number> {
    const { except } = options;
    return await endSessions(this.#store, user, except && stateOf(except).key);
  }

  /**
   * Ends one session of a user, such as a lost device (ASVS 5, 7.5.2).
   *
   * @param user The user, as given to `logIn`.
   * @param handle The session's handle, as `of` gives it.
   * @returns Whether it was ended; `false` if there is none of that handle.
   * @throws {TypeError} if the store keeps no index of users.
   * @throws {SessionStoreError} if the store fails.
   */
  async end(user: string, handle: string): Promise<boolean> {
    return await endSession(this.#store, user, handle);
  }

  /**
   * When the session ends unless it is used again, this use counted, in milliseconds since 1970.
   *
   * @param session A session that `open` returned.
   */
  expires(session: Session<Data>): number {
    const record = continued(stateOf(session));
    if (record === undefined) return endOf(this.#begin(stateOf(session)));
    return endOf(session.changed || this.#isNoted(record) ? this.#lifetimes.extend(record) : record);
  }

  /**
   * When the session ends however much it is used, in milliseconds since 1970.
   *
   * @param session A session that `open` returned.
   */
  deadline(session: Session<Data>): number {
    const record = continued(stateOf(session));
    return (record === undefined ? this.#begin(stateOf(session)) : this.#lifetimes.extend(record)).deadline;
  }

  /** The time by the clock of the sessions, in milliseconds since 1970. */
  now(): number {
    return this.#now();
  }

  /** Finishes what the store does in the background and lets go of its connections. */
  async close(): Promise<void> {
    await this.#store.close();
  }

  async #openOneOf(ids: readonly SignedId[], url: string | undefined): Promise<Session<Data>> {
    const found = await Promise.all(ids.map(async (id) => ({ ...id, record: await this.#read(keyOf(id.value)) })));
    const live = found.filter(({ record }) => record !== undefined);
    const [one] = live;
    if (one !== undefined && live.length === 1) {
      this.counters.found++;
      return new Session(newState(one.value, one.record, one.stale));
    }
    // Somebody may have planted one of them; which, cannot be told. Left alone, they would keep the visitor out.
    this.counters.unknown++;
    this.#log("info", "Several session cookies came at once, and were deleted", `${live.length} of them were live`);
    return new Session(newState(undefined, undefined, false, this.#cookie.clearAll(url)));
  }

  /** What is stored under a key, under the lifetimes of this manager; `undefined` if that is over. */
  async #read(key: string): Promise<SessionRecord | undefined> {
    const record = await this.#store.read(key);
    if (record === undefined) return undefined;
    const clamped = this.#lifetimes.clamp(record);
    if (clamped === record) return record;
    this.#clamped.add(clamped);
    return isLive(clamped, this.#now()) ? clamped : undefined;
  }

  /** Brings the store in line with the session. Returns the `Set-Cookie` header that the answer must have, if any. */
  async #save(state: SessionState): Promise<string | undefined> {
    const { id, key, record, changes } = state;
    if (id === undefined || key === undefined || record === undefined) {
      if (state.isOver === "for good" || (changes.length === 0 && !state.logIn)) return undefined;
      return await this.#create(state);
    }
    if (state.isOver !== false) return await this.#end(state, key);
    if (state.renews) return await this.#move(state, key);

    if (changes.length > 0) {
      const updated = await this.#update(key, (now) => ({ ...now, ...applyChanges(state, now) }));
      if (updated === undefined) throw this.#gone();
      return this.#issue(id, updated, state.isStale);
    }
    if (this.#isNoted(record)) {
      const extended = this.#lifetimes.extend(record);
      // A page that only reads is right even if its session could not be extended.
      if (!await this.#touch(key, record, extended).catch(() => false)) return undefined;
      this.counters.touched++;
      return this.#issue(id, extended, state.isStale);
    }
    return state.isStale ? this.#issue(id, record, true) : undefined;
  }

  /** Whether a mere use is stored: seldom, but at once if the record was written under longer lifetimes. */
  #isNoted(record: SessionRecord): boolean {
    return this.#refresh && (this.#lifetimes.isDue(record) || this.#clamped.has(record));
  }

  /** Changes a session, which counts as a use. */
  async #update(key: string, change: Change): Promise<SessionRecord | undefined> {
    const updated = await this.#store.update(key, (now) => this.#lifetimes.extend(change(now)));
    if (updated !== undefined) this.counters.updated++;
    return updated;
  }

  /** Moves the end of a session that is used. Under other lifetimes than it was written under, those are written. */
  async #touch(key: string, record: SessionRecord, extended: SessionRecord): Promise<boolean> {
    const isSame = record.idle === extended.idle && record.deadline === extended.deadline;
    if (isSame && !this.#clamped.has(record)) {
      return await this.#store.touch(key, extended.expires);
    }
    return await this.#store.update(key, (now) => this.#lifetimes.extend(now)) !== undefined;
  }

  async #create(state: SessionState): Promise<string> {
    const { user } = state;
    const id = newId(await this.#store.groupOf(user));
    const record = { ...applyChanges(state), ...this.#begin(state), user };
    await this.#store.create(keyOf(id), record);
    assign(state, id);
    this.counters.created++;
    return this.#issue(id, record, true)!;
  }

  /** Ends what is stored first: that needs no space. What is kept after a log-out is a new session. */
  async #end(state: SessionState, key: string): Promise<string> {
    if (!await this.#store.delete(key)) throw this.#gone();
    assign(state, undefined);
    if (state.isOver === "for good" || (state.changes.length === 0 && !state.logIn)) return this.#cookie.clear();
    try {
      return await this.#create(state);
    } catch (error) {
      if (state.logIn !== undefined || !(error instanceof StoreFullError || error instanceof SessionStoreError)) {
        throw error;
      }
      this.#log("warn", "A visitor was logged out, but what was to be said of it could not be stored", error.message);
      return this.#cookie.clear();
    }
  }

  async #move(state: SessionState, from: string): Promise<string> {
    const to = newId(await this.#store.groupOf(state.user));
    const change: Change = (now) => {
      const changed = { ...now, ...applyChanges(state, now) };
      if (state.logIn === undefined) return this.#lifetimes.extend(changed);
      return { ...changed, ...this.#begin(state), user: state.user };
    };
    const moved = await this.#store.move(from, keyOf(to), change);
    if (moved === undefined) throw this.#gone();
    assign(state, to);
    this.counters.renewed++;
    return this.#issue(to, moved, true)!;
  }

  #begin({ logIn }: SessionState): ReturnType<Lifetimes["begin"]> {
    return this.#lifetimes.begin(logIn?.terms);
  }

  /** The `Set-Cookie` header of a session: always if it is `needed`, else only if it tells the browser a new end. */
  #issue(id: string, record: SessionRecord, needed: boolean): string | undefined {
    const isPermanent = record.terms?.permanent ?? this.#permanent;
    if (!isPermanent) return needed ? this.#cookie.issue(id) : undefined;
    return this.#cookie.issue(id, Math.ceil((endOf(record) - this.#now()) / 1000));
  }

  #gone(): SessionGoneError {
    this.counters.gone++;
    this.#log("info", "A session was ended while a request of it was under way; the request stored nothing");
    return new SessionGoneError("Cannot store a session: it was ended while the request was under way");
  }
}
