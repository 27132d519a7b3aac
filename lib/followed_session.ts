/**
 * FollowedSession: a session after its request was answered, for sockets and streams.
 *
 * @module
 */
import type { SessionGoneError } from "./errors.ts";
import type { Json, SessionRecord } from "./record.ts";
import { Session, stateOf } from "./session.ts";
import { applyChanges, newState, type SessionState } from "./_session_state.ts";
import type { Change } from "./store.ts";
import type { Watcher } from "./_watcher.ts";

/** The parts of the manager that a followed session needs. */
interface Access {
  readonly watcher: Watcher;
  read(key: string): Promise<SessionRecord | undefined>;
  update(key: string, change: Change): Promise<SessionRecord | undefined>;
  /** Reports that the session is gone. Returns the error to throw. */
  reportGone(key: string | undefined): SessionGoneError;
}

/** The longest wait for a commit by `wrap` or an adapter, in milliseconds. */
const MAX_EXPECTED_WAIT = 60_000;
/** The longest wait for a commit by the program, which may never come, in milliseconds. */
const MAX_WAIT = 5000;

const NOT_COMMITTED = "Cannot follow a session that no one commits: call sessions.save(session) first, as for a socket";

/**
 * A session after its request was answered. Each call reads or changes the record that is stored at that moment. Before
 * the commit, a call waits for it: at most a minute in `wrap` and the adapters, else 5 seconds. The manager's `follow`
 * returns it.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionGoneError, SessionManager } from "sessions";
 * import { assert, assertEquals, assertRejects } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager<{ messages: number }>({ store: new MemoryStore(), keys });
 * const session = await sessions.open(new Request("http://localhost/"));
 * session.logIn("Ada");
 * await sessions.commit(session, new Response());
 *
 * const followed = sessions.follow(session);
 * await followed.change((session) => session.update("messages", (messages = 0) => messages + 1));
 * assertEquals((await followed.read()).get("messages"), 1);
 *
 * const { signal } = followed; // aborts when the session ends: time to close the socket
 * await followed.read();
 * await sessions.endAll("Ada");
 * assert(signal.aborted);
 * await assertRejects(() => followed.read(), SessionGoneError);
 * ```
 */
export class FollowedSession<Data extends object = Record<string, Json>> {
  #state: SessionState;
  #access: Access;
  // Settles with the commit. `undefined` if the session was committed before it was followed.
  #committed: Promise<void> | undefined;
  #controller: AbortController | undefined;

  /**
   * The manager's `follow` makes followed sessions; programs do not call this.
   *
   * @param state What the manager knows about the session.
   * @param access The functions with which the manager reads and changes stored sessions.
   */
  constructor(state: SessionState, access: Access) {
    this.#state = state;
    this.#access = access;
    Object.preventExtensions(this);
    if (!state.isOpen && !state.isSaving) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // The commit itself reports its failure.
    promise.catch(() => {});
    const previous = state.onCommit;
    state.onCommit = (failure) => {
      previous?.(failure);
      if (failure === undefined) resolve();
      else reject(failure);
    };
    this.#committed = promise;
  }

  /**
   * A signal that aborts within about a second after the session ended, at this server or another one, or got a new id
   * from another request. The manager reads the session once per second, until the signal aborts, `close` is called, or
   * the manager is closed. If the commit stores no session, the signal never aborts. If the commit fails, or no one
   * commits the session, the signal aborts with the error.
   */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = this.#controller = new AbortController();
      this.#committedKey().then(
        (key) => key !== undefined && this.#controller === controller && this.#access.watcher.add(key, controller),
        (failure) => controller.abort(failure),
      );
    }
    return this.#controller.signal;
  }

  /** Stops the reads that `signal` started. Call it when the socket or stream closes. */
  close(): void {
    const { key } = this.#state;
    if (this.#controller !== undefined && key !== undefined) this.#access.watcher.remove(key, this.#controller);
    this.#controller = undefined;
  }

  /**
   * The session as it is stored now. It is for reading: to change it, use `change`. A session that was never stored has
   * no data.
   *
   * @throws {SessionGoneError} if it was ended, has expired, or got another id from another request.
   * @throws {SessionStoreError} if the store fails.
   * @throws {TypeError} if no one commits the session.
   * @throws The error of the commit, if it failed.
   */
  async read(): Promise<Session<Data>> {
    const key = await this.#committedKey();
    const { id, now } = this.#state;
    const record = key === undefined ? undefined : await this.#access.read(key);
    if (key !== undefined && record === undefined) throw this.#access.reportGone(key);
    const state = newState(now, { id, key, record });
    state.isOpen = false;
    return new Session(state);
  }

  /**
   * Changes the stored session, which counts as a use.
   *
   * @param fn Called with the session, which it changes. It runs again if another request stores something in between.
   * @returns The value that `fn` returns.
   * @throws {SessionGoneError} if the session was ended, has expired, or got another id.
   * @throws {SessionStoreError} if the store fails.
   * @throws {RecordTooLargeError} if the session is larger than the store can keep; nothing is stored then.
   * @throws {TypeError} if the session was never stored, or no one commits it; if `fn` returns a promise, or gives the
   * session a new id or ends it, as that needs a cookie.
   * @throws The error that `fn` throws, and that of the commit if it failed; nothing is stored then.
   */
  async change<T>(fn: (session: Session<Data>) => T): Promise<T> {
    if (typeof fn !== "function") {
      throw new TypeError(`Cannot change a followed session: needed a function, received ${typeof fn}`);
    }
    const key = await this.#committedKey();
    const { id, now } = this.#state;
    if (key === undefined || id === undefined) {
      throw new TypeError("Cannot change a followed session: nothing is stored of it; set a value before the answer");
    }
    let result: T;
    const updated = await this.#access.update(key, (record) => {
      const session = new Session<Data>(newState(now, { id, key, record }));
      result = fn(session);
      const state = stateOf(session);
      state.isOpen = false;
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new TypeError("Cannot change a followed session: the function must not return a promise");
      }
      if (state.renews || state.endedBy !== undefined) {
        throw new TypeError(
          "Cannot end a followed session or give it a new id: no cookie can be sent after the answer",
        );
      }
      return { ...record, ...applyChanges(state, record) };
    });
    if (updated === undefined) throw this.#access.reportGone(key);
    return result!;
  }

  /** The session's key after the commit; `undefined` if the session is not stored. */
  async #committedKey(): Promise<string | undefined> {
    const state = this.#state;
    if (!state.isOpen || this.#committed === undefined) await this.#committed;
    else if (state.willCommit === false) throw new TypeError(NOT_COMMITTED);
    else await withTimeout(this.#committed, state.willCommit === true ? MAX_EXPECTED_WAIT : MAX_WAIT);
    // Its own request ended the session.
    if (state.key === undefined && state.endedBy !== undefined) throw this.#access.reportGone(undefined);
    return state.key;
  }
}

/** Waits for a commit, but not longer than a time. */
async function withTimeout(committed: Promise<void>, milliseconds: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TypeError(NOT_COMMITTED)), milliseconds);
  });
  try {
    await Promise.race([committed, late]);
  } finally {
    clearTimeout(timer);
  }
}
