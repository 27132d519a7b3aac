/** GuardedStore: a store's verbs for the manager. Their failures are counted, logged, and made into errors for programs. */
import { SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import type { Log } from "./log.ts";
import { RecordTooLargeError } from "./errors.ts";
import type { SessionRecord } from "./record.ts";
import type { Change, SessionStore, StoredSession } from "./store.ts";

/** What a {@linkcode SessionManager} has done since it was made; only ever counted up. */
export interface SessionCounters {
  /** Sessions opened with a valid cookie and found in the store. */
  found: number;
  /** Sessions made. */
  created: number;
  /** Sessions whose data were changed. */
  updated: number;
  /** Sessions whose life was extended without a change. */
  touched: number;
  /** Sessions that got a new id. */
  renewed: number;
  /** Sessions ended. */
  ended: number;
  /** Cookies refused for their signature or form. */
  badSignature: number;
  /** Cookies with a right signature whose session is not stored. */
  unknown: number;
  /** Requests refused because their session was ended while they were under way. */
  gone: number;
  /** Sessions refused because the store was full. */
  full: number;
  /** Failures of the store. */
  failed: number;
}

/** Counters at zero. */
export function newCounters(): SessionCounters {
  return {
    found: 0,
    created: 0,
    updated: 0,
    touched: 0,
    renewed: 0,
    ended: 0,
    badSignature: 0,
    unknown: 0,
    gone: 0,
    full: 0,
    failed: 0,
  };
}

/** A store that throws what programs can be told: {@linkcode SessionStoreError} and the store's own two. */
export class GuardedStore {
  #store: SessionStore;
  #counters: SessionCounters;
  #log: Log;

  /**
   * @param store The store.
   * @param counters Where failures are counted.
   * @param log Told of failures.
   */
  constructor(store: SessionStore, counters: SessionCounters, log: Log) {
    this.#store = store;
    this.#counters = counters;
    this.#log = log;
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    await this.#try("create", this.#store.create(key, record));
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    return await this.#try("read", this.#store.read(key));
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changing("update", change, (change) => this.#store.update(key, change));
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changing("move", change, (change) => this.#store.move(from, to, change));
  }

  async touch(key: string, expires: number): Promise<boolean> {
    return await this.#try("touch", this.#store.touch(key, expires));
  }

  async delete(key: string): Promise<boolean> {
    const isEnded = await this.#try("delete", this.#store.delete(key));
    if (isEnded) this.#counters.ended++;
    return isEnded;
  }

  /** The group for a new id of a user's session, if the store wants one. */
  async groupOf(user: string | undefined): Promise<string | undefined> {
    if (user === undefined || this.#store.groupOf === undefined) return undefined;
    return await this.#try("find a user's place", Promise.try(() => this.#store.groupOf!(user)));
  }

  /** @throws {TypeError} at once if the store keeps no index of users. */
  sessionsOf(user: string): AsyncIterable<StoredSession> {
    if (this.#store.sessionsOf === undefined) {
      throw new TypeError("Cannot find the sessions of a user: this store keeps no index of users; use one that does");
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
        const { value, done } = await this.#try("list", iterator.next());
        if (done) return;
        yield value;
      }
    } finally {
      await iterator.return?.();
    }
  }

  /** Has the store make a change. An error of the change itself comes out as it is, whatever the store makes of it. */
  async #changing<T>(verb: string, change: Change, work: (change: Change) => Promise<T>): Promise<T> {
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
      if (own === undefined) throw this.#failure(verb, cause);
      if (own.error instanceof SessionGoneError) this.#counters.gone++;
      throw own.error;
    }
  }

  async #try<T>(verb: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (cause) {
      throw this.#failure(verb, cause);
    }
  }

  /** What to throw for an error of the store. */
  #failure(verb: string, cause: unknown): unknown {
    if (cause instanceof RecordTooLargeError) return cause;
    if (cause instanceof StoreFullError) {
      this.#counters.full++;
      this.#log("warn", "A new session was refused: the store is full", cause.message);
      return cause;
    }
    this.#counters.failed++;
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#log("error", `The session store failed to ${verb}`, reason);
    return new SessionStoreError(`The session store failed to ${verb}: ${reason}`, { cause });
  }
}
