/**
 * MemoryStore: sessions in this process's memory, gone when it ends. For tests, examples, and servers of one process.
 *
 * @module
 */
import { freeze, isLive, type SessionRecord } from "../record.ts";
import { type Change, type SessionStore, StoreFullError } from "../store.ts";

/** The options of a {@linkcode MemoryStore}. */
export interface MemoryStoreOptions {
  /** Live sessions at most: 1,000,000 unless given. */
  readonly max?: number | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** How many stored sessions are looked at for each new one, so that dead ones stay under a seventh of the live. */
const LOOKS_PER_CREATE = 8;

/**
 * Sessions in memory.
 *
 * @example
 * ```ts
 * import { MemoryStore, newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * let now = 0;
 * const store = new MemoryStore({ now: () => now });
 * const id = newId();
 * await store.create(id, { data: { user: "Ada" }, created: 0, idle: 500, expires: 500, deadline: 1000 });
 * now = 499;
 * assertEquals((await store.read(id))?.data, { user: "Ada" });
 * now = 500;
 * assertEquals(await store.read(id), undefined);
 * ```
 */
export class MemoryStore implements SessionStore {
  #records = new Map<string, SessionRecord>();
  #users = new Map<string, Set<string>>();
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
  async create(id: string, record: SessionRecord): Promise<void> {
    this.#sweep(LOOKS_PER_CREATE);
    if (this.#records.size >= this.#max) this.#sweep(this.#records.size);
    if (this.#records.size >= this.#max) {
      throw new StoreFullError(`Cannot create a session: the store may hold ${this.#max} live sessions`);
    }
    if (this.#get(id)) throw new Error("Cannot create a session: its id is already there");
    this.#set(id, record);
  }

  read(id: string): Promise<SessionRecord | undefined> {
    return Promise.resolve(this.#get(id));
  }

  // deno-lint-ignore require-await -- a failure rejects
  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    const record = this.#get(id);
    return record && this.#set(id, change(record));
  }

  touch(id: string, expires: number): Promise<boolean> {
    const record = this.#get(id);
    if (record !== undefined) this.#records.set(id, Object.freeze({ ...record, expires }));
    return Promise.resolve(record !== undefined);
  }

  delete(id: string): Promise<boolean> {
    const isThere = this.#get(id) !== undefined;
    this.#remove(id);
    return Promise.resolve(isThere);
  }

  // deno-lint-ignore require-await -- a failure rejects
  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    const record = this.#get(from);
    if (record === undefined) return undefined;
    const moved = this.#set(to, change(record));
    this.#remove(from);
    return moved;
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    yield* this.#live([...this.#users.get(user) ?? []]);
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    yield* this.#live([...this.#records.keys()]);
  }

  // deno-lint-ignore require-await -- a failure rejects
  async sweepAll(): Promise<number> {
    const { size } = this.#records;
    this.#sweep(size);
    return size - this.#records.size;
  }

  /** Those that are live now, all looked at before the first is given out. */
  #live(ids: string[]): (readonly [string, SessionRecord])[] {
    return ids.flatMap((id) => {
      const record = this.#get(id);
      return record === undefined ? [] : [[id, record] as const];
    });
  }

  #get(id: string): SessionRecord | undefined {
    const record = this.#records.get(id);
    return record !== undefined && isLive(record, this.#now()) ? record : undefined;
  }

  #set(id: string, record: SessionRecord): SessionRecord {
    const kept = freeze(structuredClone(record));
    this.#records.set(id, kept);
    if (kept.user !== undefined) {
      const ids = this.#users.get(kept.user) ?? new Set();
      this.#users.set(kept.user, ids.add(id));
    }
    return kept;
  }

  #remove(id: string): void {
    const user = this.#records.get(id)?.user;
    this.#records.delete(id);
    if (user === undefined) return;
    const ids = this.#users.get(user);
    ids?.delete(id);
    if (ids?.size === 0) this.#users.delete(user);
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
      if (this.#get(id) === undefined) this.#remove(id);
    }
  }
}
