/**
 * Session: one visitor's data during one request, and the changes that the request made.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { SessionTakenError } from "./errors.ts";
import { handleOf } from "./id.ts";
import { put, toJson } from "./_json.ts";
import { lifetime } from "./_lifetimes.ts";
import { endOf, type Json, type SessionData, type StoredFlash, type Terms } from "./record.ts";
import { type Draft, draftOf, NO_FLASHES, NOTHING, type SessionState } from "./_session_state.ts";

/** The names that a session of this type has values for. */
export type SessionKey<Data> = Extract<keyof Data, string>;

/** A value as it is read from a session: read-only, however deep. Change it with `set` or `update`. */
export type Stored<T> = [Json] extends [T] ? T : T extends object ? { readonly [K in keyof T]: Stored<T[K]> } : T;

/** What a value of this type must be to be set: functions, dates, maps, `bigint` and the like are refused. */
export type Settable<T> = [Json] extends [T] ? T
  : T extends null | undefined | boolean | number | string ? T
  : T extends (...args: never[]) => unknown ? never
  : T extends object ? { readonly [K in keyof T]: Settable<T[K]> }
  : never;

/** The keys that take any JSON, as all do in a session without a type of its own. */
export type AnyJsonKey<Data> = { [K in SessionKey<Data>]: [Json] extends [Data[K]] ? K : never }[SessionKey<Data>];

/** A message for the next page. */
export interface Flash {
  /** What kind of message it is: `message` unless it was given another. */
  readonly category: string;
  /** Its text. */
  readonly message: string;
}

/** The lifetimes of a session that differ from the manager's, as for "remember me". */
export interface LogInOptions {
  /** Seconds the session lives after its last use. */
  readonly idle?: number | undefined;
  /** Seconds it lives at most, from this log-in on. */
  readonly absolute?: number | undefined;
  /** Whether its cookie outlives the browser's run. */
  readonly permanent?: boolean | undefined;
}

/** The state of a session. A function, so that it is no member that programs see. */
export let stateOf: (session: object) => SessionState;

/**
 * One visitor's data during one request. It does no input or output: the {@linkcode SessionManager} that opened it
 * stores its changes when the request is answered. After that it takes no more changes and says so.
 *
 * A session keeps what was done to it as a list of changes. They are made to what is stored at that moment, so two
 * requests that change different keys at once both keep theirs.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionManager } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager<{ theme: string; visits: number }>({ store: new MemoryStore(), keys });
 * const session = await sessions.open(new Request("http://localhost/"));
 * session.set("theme", "dark");
 * session.update("visits", (visits = 0) => visits + 1);
 * assertEquals(session.data, { theme: "dark", visits: 1 });
 * ```
 */
export class Session<Data extends object = Record<string, Json>> {
  #state: SessionState;
  #data: SessionData;
  #flashes: readonly StoredFlash[];

  /**
   * Sessions come from `open`; programs have no need to make one.
   *
   * @param state What the manager knows of it.
   */
  constructor(state: SessionState) {
    this.#state = state;
    this.#data = state.record?.data ?? NOTHING;
    this.#flashes = state.record?.flashes ?? NO_FLASHES;
  }

  static {
    stateOf = (session) => {
      if (#state in session) return (session as Session).#state;
      throw new TypeError("Cannot use a session: needed one that open() of the same library returned");
    };
  }

  /** All values by name, read-only. */
  get data(): Stored<Partial<Data>> {
    return this.#data as Stored<Partial<Data>>;
  }

  /** The user who is logged in, or `undefined`. */
  get user(): string | undefined {
    return this.#state.user;
  }

  /**
   * A name for this session that can be shown and is nobody's key, the same that `sessions.of` gives; `undefined` while
   * nothing is stored of it.
   */
  get handle(): string | undefined {
    return this.#state.key === undefined ? undefined : handleOf(this.#state.key);
  }

  /**
   * When the session ends if this request is not counted as a use, in milliseconds since 1970; `undefined` while nothing
   * is stored of it. `SessionManager.expires` counts the request.
   */
  get expires(): number | undefined {
    return this.#state.record && endOf(this.#state.record);
  }

  /** Whether anything was done that is to be stored. */
  get changed(): boolean {
    const { changes, renews, isOver } = this.#state;
    return changes.length > 0 || renews || isOver !== false;
  }

  /**
   * The value of `key`, read-only, or `undefined` if there is none.
   *
   * @param key The name of the value.
   */
  get<K extends SessionKey<Data>>(key: K): Stored<Data[K]> | undefined {
    return Object.hasOwn(this.#data, key) ? this.#data[key] as Stored<Data[K]> : undefined;
  }

  /**
   * Whether there is a value for `key`.
   *
   * @param key The name of the value.
   */
  has(key: SessionKey<Data>): boolean {
    return Object.hasOwn(this.#data, key);
  }

  /**
   * Stores a value.
   *
   * @param key Its name.
   * @param value The value. It is copied: changing the original afterwards changes nothing here. `undefined` removes
   * what is there.
   * @throws {TypeError} if JSON does not keep the value as it is (a `Date`, a `Map`, `NaN`, a cycle), or nests it deeper
   * than 200 levels.
   * @throws {Error} if the session was committed already.
   */
  set<K extends SessionKey<Data>>(key: K, value: Settable<Data[K]>): void;
  /** The same for a key that takes any JSON: an interface, too, whose values JSON keeps. */
  set<V>(key: AnyJsonKey<Data>, value: V & Settable<V>): void;
  set(key: string, value: unknown): void {
    this.#change("set", replacing(key, value, "set"));
  }

  /**
   * Computes a value from the one that is stored: the way to count, or to add to a list, without losing what another
   * request does at the same time.
   *
   * @param key Its name.
   * @param fn Gets the value, or `undefined`, and returns the new one; `undefined` removes it. It may run again on what
   * another request stored meanwhile, so it should do nothing else. What it throws then reaches whoever commits, as it
   * is, and nothing is stored.
   * @throws {TypeError} if JSON does not keep the new value as it is.
   * @throws {Error} if the session was committed already.
   */
  update<K extends SessionKey<Data>>(
    key: K,
    fn: (value: Stored<Data[K]> | undefined) => Settable<Data[K]> | undefined,
  ): void {
    this.#change("update", (draft) => {
      const value = Object.hasOwn(draft.data, key) ? draft.data[key] as Stored<Data[K]> : undefined;
      replacing(key, fn(value), "update")(draft);
    });
  }

  /**
   * Removes a value; does nothing if there is none.
   *
   * @param key Its name.
   * @throws {Error} if the session was committed already.
   */
  delete(key: SessionKey<Data>): void {
    this.#change("delete", replacing(key, undefined, "delete"));
  }

  /**
   * Removes all values. The session itself goes on; `end` ends it.
   *
   * @throws {Error} if the session was committed already.
   */
  clear(): void {
    this.#change("clear", (draft) => void (draft.data = {}));
  }

  /**
   * Gives the value of a key and removes it. A value that another request stored under the key meanwhile stays. Of two
   * requests that take the same value at once one succeeds: the other's commit throws a {@linkcode SessionTakenError}.
   *
   * @param key Its name.
   * @returns The value, or `undefined` if there is none.
   * @throws {Error} if the session was committed already.
   */
  take<K extends SessionKey<Data>>(key: K): Stored<Data[K]> | undefined {
    const taken = this.get(key);
    if (taken === undefined) return undefined;
    const text = JSON.stringify(taken);
    this.#change("take", ({ data }) => {
      if (!Object.hasOwn(data, key)) throw new SessionTakenError(`Cannot take "${key}": another request took it first`);
      if (JSON.stringify(data[key]) === text) delete data[key];
    });
    return taken;
  }

  /**
   * Leaves a message for the next page that reads it with `takeFlashes`.
   *
   * @param message Its text.
   * @param category What kind of message it is.
   * @throws {TypeError} if one of them is no text.
   * @throws {Error} if the session was committed already.
   */
  flash(message: string, category = "message"): void {
    if (typeof message !== "string" || typeof category !== "string") {
      throw new TypeError(`Cannot flash a message: needed a text, received ${typeof message}, ${typeof category}`);
    }
    const id = randomBytes(8).toString("hex");
    this.#change("flash", (draft) => void (draft.flashes = [...draft.flashes, { id, category, message }]));
  }

  /**
   * Gives the messages that `flash` left, the oldest first, and removes exactly those. If another request took one of
   * them first, the commit throws a {@linkcode SessionTakenError}, so that none is shown twice.
   *
   * @throws {Error} if the session was committed already.
   */
  takeFlashes(): Flash[] {
    const taken = this.#flashes;
    if (taken.length > 0) {
      this.#change("take", (draft) => {
        const left = draft.flashes.filter(({ id }) => !taken.some((one) => one.id === id));
        if (draft.flashes.length - left.length < taken.length) {
          throw new SessionTakenError("Cannot take the messages: another request took some of them first");
        }
        draft.flashes = left;
      });
    }
    return taken.map(({ category, message }) => ({ category, message }));
  }

  /**
   * Gives the session a new id when the request is answered, and ends the old one. Call it whenever what the session is
   * trusted with changes, so that an id planted beforehand is worth nothing (session fixation; ASVS 5, 7.2.4). `logIn`
   * and `logOut` do it by themselves.
   *
   * @throws {Error} if the session was committed already.
   */
  renew(): void {
    this.#check("renew");
    this.#state.renews = true;
  }

  /**
   * Logs a user in: the session gets a new id and becomes the user's, its absolute lifetime starts anew, its data stay.
   *
   * @param user The user's name or number: any text.
   * @param options Lifetimes in seconds that differ from the manager's, for "remember me".
   * @throws {TypeError} if the user is no text, or `permanent` neither `true` nor `false`.
   * @throws {RangeError} if a lifetime is not from 1 second to 400 days.
   * @throws {Error} if the session was committed already.
   */
  logIn(user: string, options: LogInOptions = {}): void {
    this.#check("log in to");
    if (typeof user !== "string") {
      throw new TypeError(`Cannot log in: the user must be a text: received ${typeof user}`);
    }
    const { idle, absolute, permanent } = options;
    if (permanent !== undefined && typeof permanent !== "boolean") {
      throw new TypeError(`Cannot log in: "permanent" must be true or false: received ${typeof permanent}`);
    }
    const terms: Terms = {
      ...(idle !== undefined && { idle: lifetime("Cannot log in", "idle", idle) }),
      ...(absolute !== undefined && { absolute: lifetime("Cannot log in", "absolute", absolute) }),
      ...(permanent !== undefined && { permanent }),
    };
    this.#state.renews = true;
    this.#state.user = user;
    this.#state.logIn = { terms: Object.keys(terms).length > 0 ? Object.freeze(terms) : undefined };
  }

  /**
   * Logs the user out: data, messages and user are gone, and the old id is dead before the answer leaves. What is set or
   * flashed afterwards, such as a word of goodbye, is kept under a new id with the manager's lifetimes.
   *
   * @throws {Error} if the session was committed already.
   */
  logOut(): void {
    this.#forget("log out of", "starting anew");
  }

  /**
   * Ends the session: its data are deleted on the server and its cookie in the browser. Later changes do nothing; use
   * `logOut` to leave a message.
   *
   * @throws {Error} if the session was committed already.
   */
  end(): void {
    this.#forget("end", "for good");
  }

  #forget(verb: string, isOver: SessionState["isOver"]): void {
    this.#check(verb);
    if (this.#state.isOver === "for good") return;
    this.#state.isOver = isOver;
    this.#state.changes = [];
    this.#state.user = this.#state.logIn = undefined;
    this.#state.renews = false;
    this.#data = NOTHING;
    this.#flashes = NO_FLASHES;
  }

  #change(verb: string, change: (draft: Draft) => void): void {
    this.#check(verb);
    if (this.#state.isOver === "for good") return;
    const draft = draftOf(this.#data, this.#flashes);
    change(draft);
    // The values are frozen already.
    this.#data = Object.freeze(draft.data);
    this.#flashes = draft.flashes;
    this.#state.changes.push(change);
  }

  #check(verb: string): void {
    if (this.#state.isOpen) return;
    throw new Error(
      `Cannot ${verb} a session after its answer was committed: nothing would be stored. ` +
        "Do it before answering; in a stream or a socket use sessions.follow(session).change()",
    );
  }
}

/** The change that sets a key to a value, or removes it. */
function replacing(key: string, value: unknown, verb: string): (draft: Draft) => void {
  if (value === undefined) return ({ data }) => void delete data[key];
  const copy = toJson(value, `Cannot ${verb} "${key}"`);
  return ({ data }) => put(data, key, copy);
}
