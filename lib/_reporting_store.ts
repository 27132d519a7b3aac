/** ReportingStore: the store as the manager calls it. It turns failures into errors of the library, and into events. */
import { RecordTooLargeError, SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import { type Listener, refusalOf } from "./events.ts";
import { handleOf } from "./id.ts";
import { reasonOf } from "./_reason.ts";
import type { SessionRecord } from "./record.ts";
import type { Change, SessionStore, StoredSession } from "./store.ts";

/** A store that reports its failures as events. It throws only errors of this library, and those of a change itself. */
export class ReportingStore {
  #store: SessionStore;
  #emit: Listener;

  /**
   * @param store The store.
   * @param emit Called with an event when the store fails or refuses.
   */
  constructor(store: SessionStore, emit: Listener) {
    this.#store = store;
    this.#emit = emit;
  }

  /** The group for a new id of a user's session; `undefined` for a guest, and if the store uses no groups. */
  async groupOf(user: string | undefined): Promise<string | undefined> {
    if (user === undefined || this.#store.groupOf === undefined) return undefined;
    return await this.#try("find the group of a user", async () => await this.#store.groupOf!(user));
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    await this.#try("create", () => this.#store.create(key, record), key, record.user);
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    // `#try` would make one more promise per request.
    try {
      return await this.#store.read(key);
    } catch (cause) {
      throw this.#failure("read", cause, key);
    }
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#tryChange("update", key, change, (change) => this.#store.update(key, change));
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#tryChange("move", from, change, (change) => this.#store.move(from, to, change));
  }

  async touch(key: string, expires: number): Promise<boolean> {
    return await this.#try("touch", () => this.#store.touch(key, expires), key);
  }

  async delete(key: string): Promise<boolean> {
    return await this.#try("delete", () => this.#store.delete(key), key);
  }

  /** Ends several sessions. Returns the keys of those that this call ended. */
  async deleteMany(keys: readonly string[]): Promise<readonly string[]> {
    if (this.#store.deleteMany !== undefined) {
      return await this.#try("delete", () => this.#store.deleteMany!(keys));
    }
    const ended: string[] = [];
    for (const key of keys) if (await this.delete(key)) ended.push(key);
    return ended;
  }

  /** @throws {TypeError} immediately if the store cannot find the sessions of a user. */
  sessionsOf(user: string): AsyncIterable<StoredSession> {
    if (this.#store.sessionsOf === undefined) {
      throw new TypeError("Cannot find the sessions of a user: this store has no index of users; use a store with one");
    }
    return this.#list(this.#store.sessionsOf(user));
  }

  sweep(): void {
    this.#store.sweep?.();
  }

  async close(): Promise<void> {
    await this.#store.close?.();
  }

  /** Passes on the sessions that the store lists, and reports its failure at any step. */
  async *#list<T>(listed: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = listed[Symbol.asyncIterator]();
    try {
      while (true) {
        const { value, done } = await this.#try("list", () => iterator.next());
        if (done) return;
        yield value;
      }
    } finally {
      await iterator.return?.();
    }
  }

  /** Calls a verb with a change. If the change throws, that error is thrown, even if the store throws another. */
  async #tryChange<T>(verb: string, key: string, change: Change, work: (change: Change) => Promise<T>): Promise<T> {
    // The error of the change at its last run: the store may run it again.
    let thrown: { readonly error: unknown } | undefined;
    const observed: Change = (record) => {
      thrown = undefined;
      try {
        return change(record);
      } catch (error) {
        thrown = { error };
        throw error;
      }
    };
    try {
      return await work(observed);
    } catch (cause) {
      if (thrown === undefined) throw this.#failure(verb, cause, key);
      if (thrown.error instanceof SessionGoneError) this.#reportRefusal(thrown.error, key);
      throw thrown.error;
    }
  }

  /** Calls a verb, and reports its failure. */
  async #try<T>(verb: string, work: () => Promise<T>, key?: string, user?: string): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw this.#failure(verb, cause, key, user);
    }
  }

  /** Reports an error of the store. Returns the error to throw. */
  #failure(verb: string, cause: unknown, key?: string, user?: string): unknown {
    if (cause instanceof RecordTooLargeError || cause instanceof StoreFullError) {
      this.#reportRefusal(cause, key, user);
      return cause;
    }
    const reason = reasonOf(cause);
    this.#emit({ type: "failed", handle: key && handleOf(key), user, verb, reason });
    return new SessionStoreError(`The session store failed to ${verb}: ${reason}`, { cause });
  }

  /** Reports a refusal. */
  #reportRefusal(error: unknown, key?: string, user?: string): void {
    this.#emit({ type: "refused", handle: key && handleOf(key), user, reason: refusalOf(error) });
  }
}
