/**
 * MemoryStore: sessions in this process's memory, gone when it ends. For tests, examples, and servers of one process.
 *
 * @module
 */
import { type Apply, freeze, type SessionRecord, type SessionStore, StoreFullError } from "../store.ts";

/** What a {@linkcode MemoryStore} may be told. */
export interface MemoryStoreOptions {
  /** Live sessions at most: 1,000,000 unless given. */
  readonly max?: number;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: () => number;
}

/** How many stored sessions each new one pays to have looked at, so that dead ones stay under a seventh of the live. */
const LOOKS_PER_CREATE = 8;

/**
 * Sessions in memory.
 *
 * @example
 * ```ts
 * import { MemoryStore } from "session-server";
 * import { assertEquals } from "@std/assert";
 *
 * let now = 0;
 * const store = new MemoryStore({ now: () => now });
 * await store.create("a1", { data: { user: "Ada" }, created: 0, ends: 1000, expires: 500 });
 * now = 499;
 * assertEquals((await store.read("a1"))?.data, { user: "Ada" });
 * now = 500;
 * assertEquals(await store.read("a1"), undefined);
 * ```
 */
export class MemoryStore implements SessionStore {
  #records = new Map<string, SessionRecord>();
  #walk = this.#records.keys();
  #max: number;
  #now: () => number;

  /**
   * Makes an empty store.
   *
   * @param options What differs from the defaults.
   */
  constructor(options: MemoryStoreOptions = {}) {
    this.#max = options.max ?? 1_000_000;
    this.#now = options.now ?? Date.now;
  }

  /** How many sessions it holds, those that are over but not yet swept included. */
  get size(): number {
    return this.#records.size;
  }

  // deno-lint-ignore require-await -- a failure rejects
  async create(id: string, record: SessionRecord, replaces = false): Promise<void> {
    this.#sweep(LOOKS_PER_CREATE);
    if (this.#records.size >= this.#max) this.#sweep(this.#records.size);
    if (this.#records.size >= this.#max && !replaces) {
      throw new StoreFullError(`It may hold ${this.#max} live sessions`);
    }
    if (this.#live(id)) throw new Error("Cannot create a session: its id is already there");
    this.#records.set(id, freeze(structuredClone(record)));
  }

  read(id: string): Promise<SessionRecord | undefined> {
    return Promise.resolve(this.#live(id));
  }

  // deno-lint-ignore require-await -- a failure rejects
  async update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined> {
    const record = this.#live(id);
    if (record === undefined) return undefined;
    const updated = freeze({ ...record, data: structuredClone(apply(record.data)), expires });
    this.#records.set(id, updated);
    return updated;
  }

  touch(id: string, expires: number): Promise<boolean> {
    const record = this.#live(id);
    if (record !== undefined) this.#records.set(id, freeze({ ...record, expires }));
    return Promise.resolve(record !== undefined);
  }

  delete(id: string): Promise<SessionRecord | undefined> {
    const record = this.#live(id);
    this.#records.delete(id);
    return Promise.resolve(record);
  }

  #live(id: string): SessionRecord | undefined {
    const record = this.#records.get(id);
    return record !== undefined && this.#isLive(record) ? record : undefined;
  }

  #isLive(record: SessionRecord): boolean {
    return this.#now() < Math.min(record.expires, record.ends);
  }

  /** Looks at some records, going on where the last sweep stopped, and drops those that are over. */
  #sweep(looks: number): void {
    for (; looks > 0; looks--) {
      let { value: id } = this.#walk.next();
      if (id === undefined) {
        this.#walk = this.#records.keys();
        id = this.#walk.next().value;
        if (id === undefined) return;
      }
      if (!this.#isLive(this.#records.get(id)!)) this.#records.delete(id);
    }
  }
}
