/**
 * Session: one visitor's data during one request, and the changes that the request made.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { SessionTakenError } from "./errors.ts";
import { handleOf } from "./id.ts";
import { LIFETIME, lifetime } from "./_lifetimes.ts";
import { BOOLEAN, checkOptions, COUNT, type Rule } from "./_options.ts";
import type { Json, SessionData, StoredFlash, Terms } from "./record.ts";
import type { SessionKey, Settable, SettableAs, Stored } from "./session_data.ts";
import { continued, type Draft, draftOf, NO_DATA, NO_FLASHES } from "./_session_state.ts";
import { replacing, type SessionState, valueOf } from "./_session_state.ts";

/** A message for the next page. */
export interface Flash {
  /** What kind of message it is: `message` unless it was given another. */
  readonly category: string;
  /** Its words. */
  readonly message: string;
}

/** How a log-in differs from the manager's settings, as for "remember me". */
export interface LogInOptions {
  /** Seconds the session lives after its last use. */
  readonly idle?: number | undefined;
  /** Seconds it lives at most, from this log-in on. */
  readonly absolute?: number | undefined;
  /** Whether its cookie outlives the browser's run. */
  readonly permanent?: boolean | undefined;
  /** How many of the user's sessions live on at most, this one included; the least lately used of the others end. */
  readonly most?: number | undefined;
}

const LOG_IN_RULES: Readonly<Record<string, Rule>> = {
  idle: LIFETIME,
  absolute: LIFETIME,
  permanent: BOOLEAN,
  most: { needed: "a whole number, 1 or more", isRange: true, accepts: (value) => COUNT.accepts(value) && value !== 0 },
};

/** The state of a session. A function, so that it is no member that programs see. */
export let stateOf: (session: object) => SessionState;

/** Notes that the session will be committed with the answer, so that it can be followed before that. */
export function expectCommit(session: object): void {
  stateOf(session).willCommit = true;
}

/** Notes that the session is to be stored although it holds nothing. */
export function keepEmpty(session: object): void {
  stateOf(session).keepsEmpty = true;
}

/** Notes that no one will commit the session, as after a handler that threw. */
export function giveUpCommit(session: object): void {
  const state = stateOf(session);
  state.willCommit = false;
  state.onCommit?.(new TypeError("Cannot follow a session whose request stored nothing: its handler failed"));
}

/**
 * One visitor's data during one request. It does no input or output: the {@linkcode SessionManager} that opened it
 * stores its changes when the request is answered. After that it takes no more changes and says so.
 *
 * A session keeps its changes as a list. At the commit they are made again to what is stored at that moment, so two
 * requests that change different keys at the same time both keep their changes.
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
  // Made at the first change and changed from then on: a copy for each change would cost more the more there are.
  #draft: Draft | undefined;
  #snapshot: SessionData | undefined;

  /**
   * Sessions come from `open`; programs have no need to make one.
   *
   * @param state What the manager knows of it.
   */
  constructor(state: SessionState) {
    this.#state = state;
    this.#data = state.record?.data ?? NO_DATA;
    this.#flashes = state.record?.flashes ?? NO_FLASHES;
    // `session.cart = []` would be lost without a word.
    Object.preventExtensions(this);
  }

  static {
    stateOf = (session) => {
      if (typeof session === "object" && session !== null && #state in session) return (session as Session).#state;
      throw new TypeError("Cannot use a session: needed one that open() of the same library returned");
    };
  }

  /**
   * All values by name, read-only, as they are now. After a change they are copied, so in a loop of changes read one
   * value with `get`.
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

  /** Whether it is bound to the device that logged in, so that a copy of its cookie opens nothing. */
  get isBound(): boolean {
    return continued(this.#state)?.binding !== undefined;
  }

  /**
   * A name for this session that can be shown and opens nothing, the same that `sessions.of` gives; `undefined` while
   * nothing is stored of it.
   */
  get handle(): string | undefined {
    return this.#state.key === undefined ? undefined : handleOf(this.#state.key);
  }

  /** Whether there is anything to store. */
  get changed(): boolean {
    const { changes, renews, isOver } = this.#state;
    return changes.length > 0 || renews || isOver !== false;
  }

  /**
   * The value of `key`, read-only, or `undefined` if there is none.
   *
   * @param key The name of the value.
   * @throws {TypeError} if the key is not a string, as in every method that takes one.
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
   * @param value The value. It is copied: changing the original afterwards changes nothing here. `undefined` removes
   * what is there.
   * @throws {TypeError} if JSON does not keep the value as it is (a `Date`, a `Map`, `NaN`, a cycle), or nests it deeper
   * than 200 levels.
   * @throws {Error} if the session was committed already.
   */
  set<K extends SessionKey<Data>, V>(key: K, value: SettableAs<Data[K], V>): void {
    this.#change("set", replacing(key, value, "set"));
  }

  /**
   * Computes a value from the one that is stored: the way to count, or to add to a list, without losing what another
   * request does at the same time.
   *
   * @param key Its name.
   * @param fn Gets the value, or `undefined`, and returns the new one; `undefined` removes it. It may run again on what
   * another request stored in between, so it should do nothing else. If it throws then, the commit rejects with the same
   * error, and nothing is stored.
   * @throws {TypeError} if JSON does not keep the new value as it is.
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
   * Removes all values. The session itself goes on; `end` ends it.
   *
   * @throws {Error} if the session was committed already.
   */
  clear(): void {
    this.#change("clear", (draft) => void (draft.data = Object.create(null)));
  }

  /**
   * Gives the value of a key and removes it. A value that another request stored under the key in between stays. Of two
   * requests that take the same value at the same time, one succeeds: the other's commit throws a
   * {@linkcode SessionTakenError}.
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
   * @param message Its words.
   * @param category What kind of message it is.
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
   * Gives the messages that `flash` left, the oldest first, and removes exactly those. If another request took one of
   * them first, the commit throws a {@linkcode SessionTakenError}, so that none is shown twice.
   *
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
   * Logs a user in: the session gets a new id and becomes the user's, and its absolute lifetime starts again. The data of
   * a guest and of the same user stay. The data of another user are gone, both what is stored and what this request set
   * before.
   *
   * @param user The user's name or number: any string.
   * @param options Lifetimes in seconds that differ from the manager's, for "remember me", and how many sessions of the
   * user live on at most.
   * @throws {TypeError} if the user is not a string, or an option is unknown or cannot work.
   * @throws {RangeError} if a lifetime is not from 1 second to 400 days, or `most` is not 1 or more.
   * @throws {Error} if the session was committed already, or ended by `end`.
   */
  logIn(user: string, options: LogInOptions = {}): void {
    this.#check("log in to");
    if (typeof user !== "string") {
      throw new TypeError(`Cannot log in: the user must be a string: received ${typeof user}`);
    }
    checkOptions("Cannot log in", options, LOG_IN_RULES);
    const state = this.#state;
    if (state.isOver === "for good") {
      throw new Error("Cannot log in: end() has ended the session in this request; call logOut() instead of end()");
    }
    if (state.user !== undefined && state.user !== user) this.#startEmpty();
    const { idle, absolute, permanent, most } = options;
    const terms: Terms = {
      ...(idle !== undefined && { idle: lifetime(idle) }),
      ...(absolute !== undefined && { absolute: lifetime(absolute) }),
      ...(permanent !== undefined && { permanent }),
    };
    state.renews = true;
    state.user = user;
    state.logIn = { at: state.now(), terms: Object.keys(terms).length > 0 ? Object.freeze(terms) : undefined, most };
  }

  /**
   * Logs the user out: data, messages and user are gone, and the old id is dead before the answer leaves. What is set or
   * flashed afterwards, such as a word of goodbye, is kept under a new id with the manager's lifetimes. It may come after
   * `sessions.endAll(user)`, which has ended this session, too.
   *
   * @throws {Error} if the session was committed already.
   */
  logOut(): void {
    this.#forget("log out of", "logged out");
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
    this.#state.user = this.#state.logIn = undefined;
    this.#state.renews = false;
    this.#startEmpty();
  }

  /** Drops all data, and the changes so far. */
  #startEmpty(): void {
    this.#state.changes = [];
    this.#state.startsEmpty = true;
    this.#data = NO_DATA;
    this.#flashes = NO_FLASHES;
    this.#draft = this.#snapshot = undefined;
  }

  get #values(): SessionData {
    return this.#draft?.data ?? this.#data;
  }

  #change(verb: string, change: (draft: Draft) => void): void {
    this.#check(verb);
    if (this.#state.isOver === "for good") return;
    this.#draft ??= draftOf(this.#data, this.#flashes);
    change(this.#draft);
    this.#snapshot = undefined;
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
