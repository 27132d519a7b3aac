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

/** What a followed session needs of its manager. */
interface Access {
  read(key: string): Promise<SessionRecord | undefined>;
  update(key: string, change: Change): Promise<SessionRecord | undefined>;
  gone(): SessionGoneError;
}

/**
 * A session after its request was answered: what is stored of it at the moment it is asked. It comes from `follow`.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionGoneError, SessionManager } from "sessions";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager<{ messages: number }>({ store: new MemoryStore(), keys });
 * const session = await sessions.open(new Request("http://localhost/"));
 * session.logIn("Ada");
 * const followed = sessions.follow(session);
 * await sessions.commit(session, new Response());
 *
 * await followed.change((session) => session.update("messages", (messages = 0) => messages + 1));
 * assertEquals((await followed.read()).get("messages"), 1);
 *
 * await sessions.endAll("Ada");
 * await assertRejects(() => followed.read(), SessionGoneError);
 * ```
 */
export class FollowedSession<Data extends object = Record<string, Json>> {
  #state: SessionState;
  #access: Access;
  #committed: Promise<void> | undefined;

  /**
   * Followed sessions come from `follow`; programs have no need to make one.
   *
   * @param state What the manager knows of the session.
   * @param access How the manager reads and changes what is stored.
   */
  constructor(state: SessionState, access: Access) {
    this.#state = state;
    this.#access = access;
    if (!state.isOpen) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever commits is told of a failure anyway.
    promise.catch(() => {});
    const told = state.onCommit;
    state.onCommit = (failure) => {
      told?.(failure);
      if (failure === undefined) resolve();
      else reject(failure);
    };
    this.#committed = promise;
  }

  /**
   * The session as it is stored now. It is for reading: to change it, use `change`.
   *
   * @throws {SessionGoneError} if it was ended, has expired, got another id by another request, or was never stored.
   * @throws {SessionStoreError} if the store fails.
   */
  async read(): Promise<Session<Data>> {
    const key = await this.#key();
    const record = await this.#access.read(key);
    if (record === undefined) throw this.#access.gone();
    const state = newState(this.#state.id, record);
    state.isOpen = false;
    return new Session(state);
  }

  /**
   * Changes what is stored now, which counts as a use.
   *
   * @param fn Gets the session, and changes it at once. It may run again if another request stores something meanwhile.
   * @returns What `fn` returns.
   * @throws {SessionGoneError} if the session was ended, has expired, got another id, or was never stored.
   * @throws {SessionStoreError} if the store fails.
   * @throws {TypeError} if `fn` asks for a new id or an end, which need a cookie, or returns a promise.
   * @throws What `fn` throws; nothing is stored then.
   */
  async change<T>(fn: (session: Session<Data>) => T): Promise<T> {
    const key = await this.#key();
    let result: T;
    const updated = await this.#access.update(key, (record) => {
      const session = new Session<Data>(newState(this.#state.id, record));
      result = fn(session);
      const state = stateOf(session);
      state.isOpen = false;
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new TypeError("Cannot change a followed session: the function must not return a promise");
      }
      if (state.renews || state.isOver !== false) {
        throw new TypeError("Cannot give a followed session a new id or an end: no cookie can be sent any more");
      }
      return { ...record, ...applyChanges(state, record) };
    });
    if (updated === undefined) throw this.#access.gone();
    return result!;
  }

  /** The key that the request ended with. */
  async #key(): Promise<string> {
    await this.#committed;
    if (this.#state.key === undefined) throw this.#access.gone();
    return this.#state.key;
  }
}
