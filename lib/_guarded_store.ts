/** GuardedStore: a store's verbs for the manager. It turns their failures into errors of the library, and events. */
import { RecordTooLargeError, SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import { type Listener, refusalOf } from "./events.ts";
import { handleOf } from "./id.ts";
import type { SessionRecord } from "./record.ts";
import type { Change, SessionStore, StoredSession } from "./store.ts";

/** A store that throws only errors of this library, and errors that a change itself throws. */
export class GuardedStore {
  #store: SessionStore;
  #tell: Listener;

  /**
   * @param store The store.
   * @param tell Called when the store fails or refuses.
   */
  constructor(store: SessionStore, tell: Listener) {
    this.#store = store;
    this.#tell = tell;
  }

  /** The group for a new id of a user's session; `undefined` if the store uses no groups. */
  async groupOf(user: string | undefined): Promise<string | undefined> {
    if (user === undefined || this.#store.groupOf === undefined) return undefined;
    return await this.#try("find the place of a user", async () => await this.#store.groupOf!(user));
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    await this.#try("create", () => this.#store.create(key, record), key, record.user);
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    // `#try` is not used here, because it would make one more promise per request.
    try {
      return await this.#store.read(key);
    } catch (cause) {
      throw this.#failure("read", cause, key);
    }
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changing("update", key, change, (change) => this.#store.update(key, change));
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changing("move", from, change, (change) => this.#store.move(from, to, change));
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
      throw new TypeError("Cannot find the sessions of a user: this store has no index of users; use one that has");
    }
    return this.#listing(this.#store.sessionsOf(user));
  }

  sweep(): void {
    this.#store.sweep?.();
  }

  async close(): Promise<void> {
    await this.#store.close?.();
  }

  async *#listing<T>(listed: AsyncIterable<T>): AsyncGenerator<T> {
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

  /**
   * Lets the store make a change. If the change itself throws, that error is thrown, even if the store throws another.
   */
  async #changing<T>(verb: string, key: string, change: Change, work: (change: Change) => Promise<T>): Promise<T> {
    let own: { readonly error: unknown } | undefined;
    const guarded: Change = (record) => {
      own = undefined;
      try {
        return change(record);
      } catch (error) {
        own = { error };
        throw error;
      }
    };
    try {
      return await work(guarded);
    } catch (cause) {
      if (own === undefined) throw this.#failure(verb, cause, key);
      if (own.error instanceof SessionGoneError) this.#refuse(own.error, key);
      throw own.error;
    }
  }

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
      this.#refuse(cause, key, user);
      return cause;
    }
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#tell({ type: "failed", handle: key && handleOf(key), user, verb, reason: message });
    return new SessionStoreError(`The session store failed to ${verb}: ${message}`, { cause });
  }

  #refuse(error: unknown, key?: string, user?: string): void {
    this.#tell({ type: "refused", handle: key && handleOf(key), user, reason: refusalOf(error) });
  }
}
