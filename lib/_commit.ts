/** Commit: brings the store in line with what a request did to its session, and says which cookie the answer needs. */
import { Cache } from "./_cache.ts";
import type { DeviceBound } from "./device_bound.ts";
import { SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import type { EventType, Listener, Refusal } from "./events.ts";
import type { GuardedStore } from "./_guarded_store.ts";
import { handleOf, keyOf, newId } from "./id.ts";
import type { Lifetimes } from "./_lifetimes.ts";
import { type Binding, isLive, type SessionRecord } from "./record.ts";
import type { SessionCookie } from "./session_cookie.ts";
import { applyChanges, assign, type SessionState } from "./_session_state.ts";
import type { Change } from "./store.ts";
import { endOldest, rank, type Ranking, timeAfter, type UserAccess } from "./_user_sessions.ts";
import { Watch } from "./_watch.ts";

/** What a commit needs. */
export interface CommitOptions {
  readonly store: GuardedStore;
  readonly cookie: SessionCookie;
  readonly lifetimes: Lifetimes;
  /** Whether a mere use extends the life. */
  readonly refresh: boolean;
  /** Whether the cookie outlives the browser's run. */
  readonly permanent: boolean;
  readonly now: () => number;
  /** Binds sessions to devices, where that is asked for. */
  readonly bound: (() => Promise<DeviceBound>) | undefined;
  /** Called with every event. */
  readonly tell: Listener;
}

/** A record as it was read. */
export interface ReadRecord {
  /** The record, under the manager's lifetimes. */
  readonly record: SessionRecord;
  /** Whether the store still has longer lifetimes. */
  readonly isShortened: boolean;
  /** The deadline as it is stored, which the browser was told. */
  readonly deadline: number;
}

/** Bytes of memory, about, for the keys of sessions that this process ended by `end` and `endAll`. */
const ENDED_BYTES = 8 * 1024 * 1024;
const KEY_BYTES = 150;

/** Reads, stores and ends sessions for the manager. */
export class Commit {
  /** Aborts the signals of followed sessions. */
  readonly watch: Watch = new Watch(async (key) => await this.read(key) !== undefined);
  /** What the sessions of a user are found and ended with. */
  readonly users: UserAccess;

  #options: CommitOptions;
  // A log-out may come after `endAll` in the same request. Then its session has not moved: it was ended here.
  #ended = new Cache<true>(ENDED_BYTES);

  /** @param options What it works with. */
  constructor(options: CommitOptions) {
    this.#options = options;
    const { store, lifetimes, now } = options;
    this.users = { store, lifetimes, now, ended: (keys, user) => this.#noteEnded(keys, user) };
  }

  /** The record under a key; `undefined` if the session is over under the lifetimes of this manager. */
  async read(key: string): Promise<ReadRecord | undefined> {
    const { store, lifetimes, now } = this.#options;
    const stored = await store.read(key);
    if (stored === undefined) return undefined;
    const record = lifetimes.clamp(stored);
    const { deadline } = stored;
    if (record === stored) return { record, isShortened: false, deadline };
    return isLive(record, now()) ? { record, isShortened: true, deadline } : undefined;
  }

  /** Changes a session, which counts as a use. */
  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    const { store, lifetimes } = this.#options;
    const updated = await store.update(key, (now) => lifetimes.extend(change(now)));
    if (updated !== undefined) this.tell("changed", key, updated.user);
    return updated;
  }

  /** Whether a mere use is stored: seldom, but always if the store has longer lifetimes than the manager. */
  isDue({ isShortened }: SessionState, record: SessionRecord): boolean {
    const { refresh, lifetimes } = this.#options;
    return refresh && (isShortened || lifetimes.isDue(record));
  }

  /**
   * Stores the binding of a session, which is no use of it.
   *
   * @param isRight Whether the record that is stored at that moment may take it.
   * @returns Whether it was stored.
   */
  async bind(key: string, binding: Binding, isRight: (record: SessionRecord) => boolean): Promise<boolean> {
    let isTaken = false;
    const updated = await this.#options.store.update(key, (now) => {
      isTaken = isRight(now);
      return isTaken ? { ...now, binding } : now;
    });
    return updated !== undefined && isTaken;
  }

  /** What to throw where a session is gone. */
  gone(key: string, user?: string): SessionGoneError {
    this.refuse("session gone", key, user);
    if (this.#ended.get(key)) {
      return new SessionGoneError(
        "Cannot store a session: end() or endAll() has ended it; call session.logOut() after that, then set or flash",
      );
    }
    return new SessionGoneError("Cannot store a session: another request has ended it, or given it a new id");
  }

  /** Tells that something was refused. */
  refuse(reason: Refusal, key?: string, user?: string): void {
    const handle = key ? handleOf(key) : undefined;
    this.#options.tell(Object.freeze({ type: "refused", handle, user, reason }));
  }

  /** Whether there is anything to store, or a cookie to send: a page that only reads has nothing, as a rule. */
  isNeeded(state: SessionState): boolean {
    const { record, changes, renews, isOver, isStale, keepsEmpty } = state;
    return changes.length > 0 || renews || keepsEmpty || isOver !== false || isStale ||
      (record !== undefined && this.isDue(state, record));
  }

  /** Stores what a request did to its session. Returns the `Set-Cookie` headers that the answer must have. */
  async save(state: SessionState): Promise<readonly string[]> {
    const { id, key, record } = state;
    if (id === undefined || key === undefined || record === undefined) {
      const cookie = await this.#create(state);
      return cookie === undefined ? [] : [cookie];
    }
    if (state.isOver !== false) {
      const cookie = await this.#end(state, key, record);
      const second = record.binding && (await this.#options.bound?.())?.clear();
      return second === undefined ? [cookie] : [second, cookie];
    }
    if (state.renews) return [await this.#move(state, key)];
    const stored = await this.#change(state, key, record);
    // A cookie for a mere use could arrive after that of a log-in, and put the old id back.
    const isMoved = stored !== undefined && stored.deadline !== state.deadline;
    return state.isStale || isMoved ? [this.#issue(id, stored ?? record)] : [];
  }

  /** Stores changes or a use, if there is anything to store. */
  async #change(state: SessionState, key: string, record: SessionRecord): Promise<SessionRecord | undefined> {
    const { store, lifetimes } = this.#options;
    if (state.changes.length > 0) {
      const updated = await this.update(key, (now) => ({ ...now, ...applyChanges(state, now) }));
      if (updated === undefined) throw this.gone(key, state.user);
      return updated;
    }
    if (!this.isDue(state, record)) return undefined;
    const extended = lifetimes.extend(record);
    // `touch` moves the idle limit alone.
    const isSame = record.idle === extended.idle && record.deadline === extended.deadline && !state.isShortened;
    // A page that only reads is right even if its session could not be extended.
    const isThere = isSame
      ? await store.touch(key, extended.expires).catch(() => false)
      : await store.update(key, (now) => lifetimes.extend(now)).catch(() => undefined) !== undefined;
    if (!isThere) return undefined;
    this.tell("used", key, record.user);
    return extended;
  }

  /** Stores a new session, if there is anything to keep. */
  async #create(state: SessionState): Promise<string | undefined> {
    const { store } = this.#options;
    const { user } = state;
    const content = applyChanges(state);
    if (!isKept(state, content)) return undefined;
    const id = newId(await store.groupOf(user));
    const before = await this.#rank(state);
    const record = { ...content, ...this.#begin(state, before), user };
    const key = keyOf(id);
    await store.create(key, record);
    assign(state, id);
    this.tell("made", key, user);
    await this.#loggedIn(state, key, record, before);
    return this.#issue(id, record);
  }

  async #move(state: SessionState, from: string): Promise<string> {
    const { store, lifetimes } = this.#options;
    const id = newId(await store.groupOf(state.user));
    const before = await this.#rank(state);
    const to = keyOf(id);
    const times = state.logIn && this.#begin(state, before);
    const moved = await store.move(from, to, (now) => {
      const changed = { ...now, ...applyChanges(state, now) };
      return times === undefined
        ? lifetimes.extend(changed)
        : { ...changed, ...times, user: state.user, binding: undefined };
    });
    if (moved === undefined) throw this.gone(from, state.user);
    this.watch.ended([from]);
    assign(state, id);
    this.tell("new id", to, moved.user);
    await this.#loggedIn(state, to, moved, before);
    return this.#issue(id, moved);
  }

  /** Ends the stored session first: that needs no space. What is kept after a log-out is a new session. */
  async #end(state: SessionState, key: string, { user }: SessionRecord): Promise<string> {
    const { store, cookie } = this.#options;
    if (await store.delete(key)) {
      this.watch.ended([key]);
      this.tell(state.isOver === "logged out" && user !== undefined ? "logged out" : "ended", key, user);
    } else if (!this.#ended.get(key)) throw this.gone(key, user);
    assign(state, undefined);
    try {
      return await this.#create(state) ?? cookie.clear();
    } catch (error) {
      const isStores = error instanceof StoreFullError || error instanceof SessionStoreError;
      // The log-out is done, which matters more than its last words.
      if (state.logIn !== undefined || !isStores) throw error;
      return cookie.clear();
    }
  }

  /** The sessions that the user of a log-in has before it, if their number is limited. */
  async #rank({ user, logIn }: SessionState): Promise<Ranking> {
    return user === undefined || logIn?.most === undefined ? new Map() : await rank(this.users, user);
  }

  async #loggedIn(state: SessionState, key: string, record: SessionRecord, before: Ranking): Promise<void> {
    const { user, logIn } = state;
    if (user === undefined || logIn === undefined) return;
    state.registration = (await this.#options.bound?.())?.registration(record);
    this.tell("logged in", key, user);
    if (logIn.most !== undefined) await endOldest(this.users, user, logIn.most, before);
  }

  /** The times of a session that begins now, later than all that the user has before. */
  #begin(state: SessionState, before: Ranking): ReturnType<Lifetimes["begin"]> {
    const times = this.#options.lifetimes.begin(timeAfter(before, this.#options.now()), state.logIn?.terms);
    if (state.logIn !== undefined) state.logIn = { ...state.logIn, at: times.created };
    return times;
  }

  /** The `Set-Cookie` header of a session. The browser keeps it until the deadline; the idle end is the server's. */
  #issue(id: string, { terms, deadline }: SessionRecord): string {
    const { cookie, permanent, now } = this.#options;
    if (!(terms?.permanent ?? permanent)) return cookie.issue(id);
    return cookie.issue(id, Math.ceil((deadline - now()) / 1000));
  }

  #noteEnded(keys: readonly string[], user: string): void {
    this.watch.ended(keys);
    for (const key of keys) {
      this.#ended.set(key, true, KEY_BYTES);
      this.tell("ended", key, user);
    }
  }

  /** Tells that something happened. */
  tell(type: EventType, key: string, user: string | undefined): void {
    this.#options.tell(Object.freeze({ type, handle: handleOf(key), user, reason: undefined }));
  }
}

/** Whether a session that begins with this request is stored: a log-in, or one that holds something in the end. */
function isKept(
  { isOver, logIn, keepsEmpty }: SessionState,
  { data, flashes }: ReturnType<typeof applyChanges>,
): boolean {
  if (isOver === "for good") return false;
  return logIn !== undefined || keepsEmpty || flashes !== undefined || Object.keys(data).length > 0;
}
