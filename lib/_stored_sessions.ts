/** StoredSessions: reads sessions, stores the changes of a request, and returns the cookies that its answer needs. */
import { Cache } from "./_cache.ts";
import type { DeviceBound } from "./device_bound.ts";
import { SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import type { EventType, Listener, Refusal } from "./events.ts";
import type { ReportingStore } from "./_reporting_store.ts";
import { handleOf, keyOf, newId } from "./id.ts";
import type { Lifetimes } from "./_lifetimes.ts";
import { type Binding, isLive, type SessionRecord } from "./record.ts";
import type { SessionCookie } from "./session_cookie.ts";
import { applyChanges, type SessionState, setId } from "./_session_state.ts";
import type { Change } from "./store.ts";
import { endSurplus, listTimes, timeAfter, type TimesByKey, type UserAccess } from "./_user_sessions.ts";
import { Watcher } from "./_watcher.ts";

/** The parts and settings of the manager that a commit needs. */
interface StoredSessionsOptions {
  readonly store: ReportingStore;
  readonly cookie: SessionCookie;
  readonly lifetimes: Lifetimes;
  /** Whether a use without a change extends the life. */
  readonly refresh: boolean;
  /** Whether the cookie stays when the browser is closed. */
  readonly permanent: boolean;
  readonly now: () => number;
  /** Loads the part that binds sessions to devices, if the option `bound` is given. */
  readonly loadDeviceBound: (() => Promise<DeviceBound>) | undefined;
  /** Called with every event. */
  readonly emit: Listener;
}

/** A session that was found in the store. */
export interface FoundSession {
  /** The record, limited to the manager's lifetimes. */
  readonly record: SessionRecord;
  /** Whether this record was shortened: the stored one has longer lifetimes than the manager. */
  readonly isLifeShortened: boolean;
  /** The deadline in the stored record. The browser keeps the cookie until then. */
  readonly storedDeadline: number;
}

/** About how many bytes of memory the keys of ended sessions may take. */
const ENDED_BYTES = 8 * 1024 * 1024;
/** About how many bytes one of these keys takes. */
const KEY_BYTES = 150;

/** Reads, stores and ends sessions for the manager. */
export class StoredSessions {
  /** Aborts the signals of followed sessions. */
  readonly watcher: Watcher = new Watcher(async (key) => await this.read(key) !== undefined);
  /** The parts of the manager that find and end the sessions of a user. */
  readonly users: UserAccess;

  #options: StoredSessionsOptions;
  // The keys of sessions that the manager's `end` or `endAll`, or the maximum of a log-in, ended in this process. If a
  // request then ends such a session or logs out of it, the commit succeeds.
  #endedKeys = new Cache<true>(ENDED_BYTES);

  /** @param options The parts and settings of the manager. */
  constructor(options: StoredSessionsOptions) {
    this.#options = options;
    const { store, lifetimes, now } = options;
    this.users = { store, lifetimes, now, onEnded: (keys, user) => this.#noteEnded(keys, user) };
  }

  /** Reads a session's record; `undefined` if there is none, or if it is over by the lifetimes of this manager. */
  async read(key: string): Promise<FoundSession | undefined> {
    const stored = await this.#options.store.read(key);
    const record = stored && this.#clamp(stored);
    return record && { record, isLifeShortened: record !== stored, storedDeadline: stored!.deadline };
  }

  /** The record, limited to the lifetimes of this manager; `undefined` if it is over by them. */
  #clamp(stored: SessionRecord): SessionRecord | undefined {
    const { lifetimes, now } = this.#options;
    const record = lifetimes.clamp(stored);
    return record === stored || isLive(record, now()) ? record : undefined;
  }

  /** Returns the stored record. Throws if it is over by this manager's lifetimes, because a use would revive it. */
  #live(stored: SessionRecord): SessionRecord {
    if (this.#clamp(stored) !== undefined) return stored;
    throw new SessionGoneError("Cannot store a session: it is over by the lifetimes of this manager");
  }

  /** Changes a stored session. The change counts as a use. */
  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    const { store, lifetimes } = this.#options;
    const updated = await store.update(key, (stored) => lifetimes.extend(change(this.#live(stored))));
    if (updated !== undefined) this.emit("changed", key, updated.user);
    return updated;
  }

  /** Whether a use without a change must be stored: always if the record was shortened, never without `refresh`. */
  isExtensionDue({ isLifeShortened }: SessionState, record: SessionRecord): boolean {
    const { refresh, lifetimes } = this.#options;
    return refresh && (isLifeShortened || lifetimes.isExtensionDue(record));
  }

  /**
   * Stores the binding of a session. This does not count as a use.
   *
   * @param mayBind Called with the record that is stored at that moment. Returns whether it may get the binding.
   * @returns Whether the binding was stored.
   */
  async bind(key: string, binding: Binding, mayBind: (record: SessionRecord) => boolean): Promise<boolean> {
    let isBound = false;
    const updated = await this.#options.store.update(key, (stored) => {
      isBound = mayBind(stored);
      return isBound ? { ...stored, binding } : stored;
    });
    return updated !== undefined && isBound;
  }

  /** Reports a refusal because the session is gone. Returns the error to throw. */
  reportGone(key: string | undefined, user?: string): SessionGoneError {
    this.reportRefusal("session gone", key, user);
    if (key !== undefined && this.#endedKeys.get(key)) {
      return new SessionGoneError(
        "Cannot store a session: end() or endAll() has ended it; call session.logOut() after that, then set or flash",
      );
    }
    return new SessionGoneError(
      "Cannot read or store a session: it has ended, or another request has given it a new id",
    );
  }

  /** Reports a refusal. */
  reportRefusal(reason: Refusal, key?: string, user?: string): void {
    const handle = key ? handleOf(key) : undefined;
    this.#options.emit({ type: "refused", handle, user, reason });
  }

  /** Whether there is a change to store or a cookie to send. It is usually `false` for a request that only reads. */
  needsSave(state: SessionState): boolean {
    const { record, changes, renews, endedBy, signedByOlderKey, keepsEmpty } = state;
    return changes.length > 0 || renews || keepsEmpty || endedBy !== undefined || signedByOlderKey ||
      (record !== undefined && this.isExtensionDue(state, record));
  }

  /** Stores the changes of a request. Returns the `Set-Cookie` headers that the answer must have. */
  async save(state: SessionState): Promise<readonly string[]> {
    state.isSaving = true;
    try {
      return await this.#save(state);
    } finally {
      state.isSaving = false;
    }
  }

  async #save(state: SessionState): Promise<readonly string[]> {
    const { id, key, record } = state;
    if (id === undefined || key === undefined || record === undefined) {
      const cookie = await this.#create(state);
      return cookie === undefined ? [] : [cookie];
    }
    if (state.endedBy !== undefined) {
      const cookie = await this.#end(state, key, record);
      const secondCookie = record.binding && (await this.#options.loadDeviceBound?.())?.clear();
      return secondCookie === undefined ? [cookie] : [secondCookie, cookie];
    }
    if (state.renews) return [await this.#move(state, key)];
    const stored = await this.#change(state, key, record);
    // A mere use sends no cookie: it could arrive after the cookie of a log-in, and restore the old id.
    const hasNewDeadline = stored !== undefined && stored.deadline !== state.storedDeadline;
    return state.signedByOlderKey || hasNewDeadline ? [this.#issue(id, stored ?? record)] : [];
  }

  /** Stores the changes, or else the use if it must be stored. Returns the new record if it stored one. */
  async #change(state: SessionState, key: string, record: SessionRecord): Promise<SessionRecord | undefined> {
    const { store, lifetimes } = this.#options;
    if (state.changes.length > 0) {
      const updated = await this.update(key, (stored) => ({ ...stored, ...applyChanges(state, stored) }));
      if (updated === undefined) throw this.reportGone(key, state.user);
      return updated;
    }
    if (!this.isExtensionDue(state, record)) return undefined;
    const extended = lifetimes.extend(record);
    // `touch` changes only the idle limit.
    const canTouch = record.idle === extended.idle && record.deadline === extended.deadline && !state.isLifeShortened;
    // A failure is reported, but not thrown: a page that only reads is correct even if its session was not extended.
    const isExtended = canTouch
      ? await store.touch(key, extended.expires).catch(() => false)
      : await store.update(key, (stored) => lifetimes.extend(this.#live(stored))).catch(() => undefined) !== undefined;
    if (!isExtended) return undefined;
    this.emit("used", key, record.user);
    return extended;
  }

  /** Stores a new session and returns its cookie; `undefined` if there is nothing to store. */
  async #create(state: SessionState): Promise<string | undefined> {
    const { store } = this.#options;
    const { user } = state;
    const content = applyChanges(state);
    if (!isKept(state, content)) return undefined;
    const id = newId(await store.groupOf(user));
    const before = await this.#timesBefore(state);
    const record = { ...content, ...this.#begin(state, before), user };
    const key = keyOf(id);
    await store.create(key, record);
    setId(state, id);
    this.emit("made", key, user);
    await this.#finishLogIn(state, key, record, before);
    return this.#issue(id, record);
  }

  /** Moves the stored session to a new id, and returns its cookie. */
  async #move(state: SessionState, from: string): Promise<string> {
    const { store, lifetimes } = this.#options;
    const id = newId(await store.groupOf(state.user));
    const before = await this.#timesBefore(state);
    const to = keyOf(id);
    const times = state.logIn && this.#begin(state, before);
    const moved = await store.move(from, to, (stored) => {
      const changed = { ...stored, ...applyChanges(state, this.#live(stored)) };
      return times === undefined
        ? lifetimes.extend(changed)
        : { ...changed, ...times, user: state.user, binding: undefined };
    });
    if (moved === undefined) throw this.reportGone(from, state.user);
    this.watcher.abort([from]);
    setId(state, id);
    this.emit("new id", to, moved.user);
    await this.#finishLogIn(state, to, moved, before);
    return this.#issue(id, moved);
  }

  /** Ends the stored session, then stores a new one for data that were set after a log-out. Returns the cookie. */
  async #end(state: SessionState, key: string, { user }: SessionRecord): Promise<string> {
    const { store, cookie } = this.#options;
    // The end comes first, because it needs no space.
    if (await store.delete(key)) {
      this.watcher.abort([key]);
      this.emit(state.endedBy === "logOut" && user !== undefined ? "logged out" : "ended", key, user);
    } else if (!this.#endedKeys.get(key)) throw this.reportGone(key, user);
    setId(state, undefined);
    try {
      return await this.#create(state) ?? cookie.clear();
    } catch (error) {
      const isStoreError = error instanceof StoreFullError || error instanceof SessionStoreError;
      // The log-out is done. That matters more than the message for the next page, which could not be stored.
      if (state.logIn !== undefined || !isStoreError) throw error;
      return cookie.clear();
    }
  }

  /** The sessions that the user has before a log-in that limits their number; otherwise an empty map. */
  async #timesBefore({ user, logIn }: SessionState): Promise<TimesByKey> {
    return user === undefined || logIn?.most === undefined ? new Map() : await listTimes(this.users, user);
  }

  /** Called after a log-in was stored. Reports it, sets the registration header, and ends sessions above a maximum. */
  async #finishLogIn(state: SessionState, key: string, record: SessionRecord, before: TimesByKey): Promise<void> {
    const { user, logIn } = state;
    if (user === undefined || logIn === undefined) return;
    state.registration = (await this.#options.loadDeviceBound?.())?.registration(record);
    this.emit("logged in", key, user);
    if (logIn.most !== undefined) await endSurplus(this.users, user, logIn.most, before);
  }

  /** The times of a session that begins now, but later than the sessions in `before`. A log-in gets the same time. */
  #begin(state: SessionState, before: TimesByKey): ReturnType<Lifetimes["begin"]> {
    const times = this.#options.lifetimes.begin(timeAfter(before, this.#options.now()), state.logIn?.overrides);
    if (state.logIn !== undefined) state.logIn = { ...state.logIn, at: times.created };
    return times;
  }

  /** The `Set-Cookie` header of a session. The browser keeps its cookie until the deadline, not the idle limit. */
  #issue(id: string, { overrides, deadline }: SessionRecord): string {
    const { cookie, permanent, now } = this.#options;
    if (!(overrides?.permanent ?? permanent)) return cookie.issue(id);
    return cookie.issue(id, Math.ceil((deadline - now()) / 1000));
  }

  /** Aborts the signals of a user's sessions that were ended, and reports their ends. */
  #noteEnded(keys: readonly string[], user: string): void {
    this.watcher.abort(keys);
    for (const key of keys) {
      this.#endedKeys.set(key, true, KEY_BYTES);
      this.emit("ended", key, user);
    }
  }

  /** Emits an event of a session. */
  emit(type: EventType, key: string, user: string | undefined): void {
    this.#options.emit({ type, handle: handleOf(key), user, reason: undefined });
  }
}

/** Whether a session that begins with this request is stored: after a log-in, or if it has data or messages. */
function isKept(
  { endedBy, logIn, keepsEmpty }: SessionState,
  { data, flashes }: ReturnType<typeof applyChanges>,
): boolean {
  if (endedBy === "end") return false;
  return logIn !== undefined || keepsEmpty || flashes !== undefined || Object.keys(data).length > 0;
}
