/**
 * Session: one visitor's data during one request, and the changes that the request made.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { SessionTakenError } from "./errors.ts";
import { handleOf } from "./id.ts";
import { LIFETIME, toMilliseconds } from "./_lifetimes.ts";
import { BOOLEAN, checkOptions, COUNT, type Rule } from "./_options.ts";
import type { Json, LifetimeOverrides, SessionData, StoredFlash } from "./record.ts";
import type { SessionKey, Settable, SettableAs, Stored } from "./session_data.ts";
import { continuedRecord, type Draft, draftOf, NO_DATA, NO_FLASHES } from "./_session_state.ts";
import { replacing, type SessionState, valueOf } from "./_session_state.ts";

/** A message for the next page. */
export interface Flash {
  /** Its kind: `message` unless `flash` was called with another. */
  readonly category: string;
  /** The text to show. */
  readonly message: string;
}

/** Settings of one log-in that differ from the manager's, as for "remember me". */
export interface LogInOptions {
  /** Seconds the session lives after its last use. */
  readonly idle?: number | undefined;
  /** The most seconds that it lives, even if it is used. Unless given, the manager's, or `idle` if that is longer. */
  readonly absolute?: number | undefined;
  /** Whether the cookie stays when the browser is closed. */
  readonly permanent?: boolean | undefined;
  /**
   * The most sessions that the user may have, this one included: the least recently used of the others end. Of
   * concurrent log-ins, the latest stay.
   */
  readonly most?: number | undefined;
}

const LOG_IN_RULES: Readonly<Record<string, Rule>> = {
  idle: LIFETIME,
  absolute: LIFETIME,
  permanent: BOOLEAN,
  most: { needed: "a whole number, 1 or more", isRange: true, accepts: (value) => COUNT.accepts(value) && value !== 0 },
};

/** Returns the state of a session. It is not a member of the class, so that programs do not see it. */
export let stateOf: (session: object) => SessionState;

/** Notes that `wrap` or an adapter will commit the session. A followed session then waits longer for the commit. */
export function expectCommit(session: object): void {
  stateOf(session).willCommit = true;
}

/** Notes that the session must be stored even if it holds nothing. */
export function keepEmpty(session: object): void {
  stateOf(session).keepsEmpty = true;
}

/** Notes that the session will not be committed, for example because its handler threw. */
export function giveUpCommit(session: object): void {
  const state = stateOf(session);
  state.willCommit = false;
  state.onCommit?.(new TypeError("Cannot follow a session whose request stored nothing: its handler failed"));
}

/**
 * One visitor's data during one request. It does no input or output: the {@linkcode SessionManager} that opened it
 * stores its changes when the request is answered. After that, a change throws an error.
 *
 * A session keeps its changes as a list. The commit applies them to the data that are stored at that moment. So if two
 * requests change different keys at the same time, both changes are kept.
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
  // Data and messages before the changes of this request.
  #data: SessionData;
  #flashes: readonly StoredFlash[];
  // A copy of the data, made at the first change. Later changes use the same copy: one copy per change would be slow.
  #draft: Draft | undefined;
  // A frozen copy of the draft's data, for `data`.
  #snapshot: SessionData | undefined;

  /**
   * The manager's `open` makes sessions; programs do not call this.
   *
   * @param state The state that the session shares with the manager.
   */
  constructor(state: SessionState) {
    this.#state = state;
    this.#data = state.record?.data ?? NO_DATA;
    this.#flashes = state.record?.flashes ?? NO_FLASHES;
    // Without this, `session.cart = []` would be accepted, and lost without an error.
    Object.preventExtensions(this);
  }

  static {
    stateOf = (session) => {
      if (typeof session === "object" && session !== null && #state in session) return (session as Session).#state;
      throw new TypeError("Cannot use a session: needed one that open() of the same library returned");
    };
  }

  /**
   * All values by name, read-only, with the changes so far. The first read after a change copies all of them. In a loop
   * that changes values, read a single value with `get` instead.
   */
  get data(): Stored<Partial<Data>> {
    if (this.#draft === undefined) return this.#data as Stored<Partial<Data>>;
    this.#snapshot ??= Object.freeze(draftOf(this.#draft.data, NO_FLASHES).data);
    return this.#snapshot as Stored<Partial<Data>>;
  }

  /** The user who is logged in, or `undefined`. */
  get user(): string | undefined {
    return this.#state.user;
  }

  /** When the user logged in, in milliseconds since 1970, or `undefined` if no user is logged in. */
  get loggedInAt(): number | undefined {
    const { user, logIn, record } = this.#state;
    return user === undefined ? undefined : logIn?.at ?? record?.created;
  }

  /** Whether the session is bound to the device that logged in. Copies of its cookies soon stop working elsewhere. */
  get isBound(): boolean {
    return continuedRecord(this.#state)?.binding !== undefined;
  }

  /**
   * A name for this session that is safe to show, because it opens nothing. `sessions.of` returns the same name.
   * `undefined` while the session is not stored. If the request gives the session a new id, the handle changes at the
   * commit.
   */
  get handle(): string | undefined {
    return this.#state.key === undefined ? undefined : handleOf(this.#state.key);
  }

  /** Whether this request has changed or ended the session, or asked for a new id. */
  get changed(): boolean {
    const { changes, renews, endedBy } = this.#state;
    return changes.length > 0 || renews || endedBy !== undefined;
  }

  /**
   * The value of `key`, read-only, or `undefined` if there is none.
   *
   * @param key The name of the value.
   * @throws {TypeError} if the key is not a string. Every method with a key throws this.
   */
  get<K extends SessionKey<Data>>(key: K): Stored<Data[K]> | undefined {
    return valueOf(this.#values, key, "get") as Stored<Data[K]> | undefined;
  }

  /**
   * Whether there is a value for `key`.
   *
   * @param key The name of the value.
   */
  has(key: SessionKey<Data>): boolean {
    return valueOf(this.#values, key, "look for") !== undefined;
  }

  /**
   * Stores a value.
   *
   * @param key Its name.
   * @param value The value. It is copied, so later changes of the original have no effect. `undefined` removes the
   * value.
   * @throws {TypeError} if JSON cannot keep the value unchanged (a `Date`, a `Map`, `NaN`, a cycle), or if it nests
   * deeper than 200 levels.
   * @throws {Error} if the session was committed already.
   */
  set<K extends SessionKey<Data>, V>(key: K, value: SettableAs<Data[K], V>): void {
    this.#change("set", replacing(key, value, "set"));
  }

  /**
   * Computes a value from the current one. Use it to count or to add to a list: changes that another request makes at
   * the same time are not lost.
   *
   * @param key Its name.
   * @param fn Called with the value, or `undefined` if there is none. It returns the new value; `undefined` removes it.
   * It runs again at the commit, once or several times, with the value that is stored then. So it should have no other
   * effects. If it throws then, the commit rejects with the same error, and nothing is stored.
   * @throws {TypeError} if JSON cannot keep the new value unchanged.
   * @throws {Error} if the session was committed already.
   */
  update<K extends SessionKey<Data>>(
    key: K,
    fn: (value: Stored<Data[K]> | undefined) => Settable<Data[K]> | undefined,
  ): void {
    if (typeof fn !== "function") {
      throw new TypeError(`Cannot update "${String(key)}": needed a function, received ${typeof fn}`);
    }
    this.#change("update", (draft) => {
      replacing(key, fn(valueOf(draft.data, key, "update") as Stored<Data[K]> | undefined), "update")(draft);
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
   * Removes all values. The session itself stays; `end` ends it.
   *
   * @throws {Error} if the session was committed already.
   */
  clear(): void {
    this.#change("clear", (draft) => void (draft.data = Object.create(null)));
  }

  /**
   * Returns the value of a key and removes it. If another request has stored a different value under the key in
   * between, that value stays. If two requests take the same value at the same time, one of them succeeds. The commit
   * of the other throws a {@linkcode SessionTakenError}.
   *
   * @param key Its name.
   * @returns The value, or `undefined` if there is none.
   * @throws {Error} if the session was committed already.
   */
  take<K extends SessionKey<Data>>(key: K): Stored<Data[K]> | undefined {
    const taken = valueOf(this.#values, key, "take") as Stored<Data[K]> | undefined;
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
   * @param message The text to show.
   * @param category The kind of the message, such as `error`.
   * @throws {TypeError} if one of them is not a string.
   * @throws {Error} if the session was committed already.
   */
  flash(message: string, category = "message"): void {
    if (typeof message !== "string" || typeof category !== "string") {
      throw new TypeError(`Cannot flash a message: needed strings, received ${typeof message} and ${typeof category}`);
    }
    const id = randomBytes(8).toString("hex");
    this.#change("flash", (draft) => void draft.flashes.push(Object.freeze({ id, category, message })));
  }

  /**
   * Returns the messages that `flash` left, the oldest first, and removes exactly these. If another request took one of
   * them first, the commit throws a {@linkcode SessionTakenError}, so that no message is shown twice.
   *
   * @returns The messages with their categories; an empty list if there are none.
   * @throws {Error} if the session was committed already.
   */
  takeFlashes(): Flash[] {
    const taken = this.#draft === undefined ? this.#flashes : [...this.#draft.flashes];
    if (taken.length > 0) {
      const ids = new Set(taken.map(({ id }) => id));
      this.#change("take", (draft) => {
        const left = draft.flashes.filter(({ id }) => !ids.has(id));
        if (draft.flashes.length - left.length < taken.length) {
          throw new SessionTakenError("Cannot take the messages: another request took some of them first");
        }
        draft.flashes = left;
      });
    }
    return taken.map(({ category, message }) => Object.freeze({ category, message }));
  }

  /**
   * Gives the session a new id when the request is answered. The old id stops working. Call it when the visitor's
   * rights change, so that an id that an attacker planted opens nothing (session fixation; ASVS 5, 7.2.4). `logIn` and
   * `logOut` do this automatically.
   *
   * @throws {Error} if the session was committed already.
   */
  renew(): void {
    this.#checkOpen("renew");
    this.#state.renews = true;
  }

  /**
   * Logs a user in. The session gets a new id and belongs to the user, and its absolute lifetime starts again. If no
   * user or the same user was logged in, the data stay. If another user was logged in, all data are removed, even those
   * that this request has set before.
   *
   * @param user The user's name, or number as a string. Any string is valid.
   * @param options Lifetimes in seconds that differ from the manager's, for "remember me", and the most sessions that
   * the user may have.
   * @throws {TypeError} if the user is not a string, or an option is unknown or invalid.
   * @throws {RangeError} if a lifetime is not from 1 second to 400 days, or `most` is not a whole number from 1 on.
   * @throws {Error} if the session was committed already, or ended by `end`.
   */
  logIn(user: string, options: LogInOptions = {}): void {
    this.#checkOpen("log in to");
    if (typeof user !== "string") {
      throw new TypeError(`Cannot log in: the user must be a string: received ${typeof user}`);
    }
    checkOptions("Cannot log in", options, LOG_IN_RULES);
    const state = this.#state;
    if (state.endedBy === "end") {
      throw new Error("Cannot log in: end() has ended the session in this request; call logOut() instead of end()");
    }
    if (state.user !== undefined && state.user !== user) this.#startEmpty();
    const { idle, absolute, permanent, most } = options;
    const overrides: LifetimeOverrides = {
      ...(idle !== undefined && { idle: toMilliseconds(idle) }),
      ...(absolute !== undefined && { absolute: toMilliseconds(absolute) }),
      ...(permanent !== undefined && { permanent }),
    };
    state.renews = true;
    state.user = user;
    const hasOverrides = Object.keys(overrides).length > 0;
    state.logIn = { at: state.now(), overrides: hasOverrides ? Object.freeze(overrides) : undefined, most };
  }

  /**
   * Logs the user out. Data, messages and user are removed, and the old id stops working before the answer is sent.
   * Data and messages that are set afterwards, such as "You are logged out", are stored under a new id with the
   * manager's lifetimes. It also works if `sessions.end` or `endAll` has already ended this session in this process.
   *
   * @throws {Error} if the session was committed already.
   */
  logOut(): void {
    this.#endBy("logOut", "log out of");
  }

  /**
   * Ends the session. Its data are deleted on the server, and its cookie is deleted in the browser. Later changes in
   * this request have no effect; use `logOut` to leave a message.
   *
   * @throws {Error} if the session was committed already.
   */
  end(): void {
    this.#endBy("end", "end");
  }

  /** Removes the data and the user, and has the commit delete the stored session. */
  #endBy(method: "logOut" | "end", verb: string): void {
    this.#checkOpen(verb);
    if (this.#state.endedBy === "end") return;
    this.#state.endedBy = method;
    this.#state.user = this.#state.logIn = undefined;
    this.#state.renews = false;
    this.#startEmpty();
  }

  /** Drops all data, and the changes that this request has made. */
  #startEmpty(): void {
    this.#state.changes = [];
    this.#state.startsEmpty = true;
    this.#data = NO_DATA;
    this.#flashes = NO_FLASHES;
    this.#draft = this.#snapshot = undefined;
  }

  /** The data with the changes so far. */
  get #values(): SessionData {
    return this.#draft?.data ?? this.#data;
  }

  /** Makes a change now, and keeps it for the commit. */
  #change(verb: string, change: (draft: Draft) => void): void {
    this.#checkOpen(verb);
    if (this.#state.endedBy === "end") return;
    this.#draft ??= draftOf(this.#data, this.#flashes);
    change(this.#draft);
    this.#snapshot = undefined;
    this.#state.changes.push(change);
  }

  /** Refuses a change after the commit. */
  #checkOpen(verb: string): void {
    if (this.#state.isOpen) return;
    throw new Error(
      `Cannot ${verb} a session after its answer was committed: nothing would be stored. ` +
        "Do it before answering; in a stream or a socket use sessions.follow(session).change()",
    );
  }
}
