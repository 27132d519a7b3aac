/**
 * MemoryStore: sessions in the memory of this process. They are lost when it ends. It is for tests, examples, and
 * servers of one process.
 *
 * @module
 */
import { decode, encode, isLive, type SessionRecord } from "../record.ts";
import { type Change, KeyTakenError, type SessionStore, StoreFullError } from "../store.ts";
import { eachOf } from "./_each_of.ts";
import { checkStoreOptions, type StoreOptions } from "./_options.ts";
import { TimeSlice } from "./_pause.ts";

/** How many sessions are checked for each new one. So there is less than one expired session per seven live ones. */
const LOOKS_PER_CREATE = 8;
/** How many sessions are checked for a new session if the store is full. This takes some milliseconds. */
const LOOKS_WHEN_FULL = 10_000;

/**
 * A store of sessions in the memory of this process.
 *
 * @example
 * ```ts
 * import { MemoryStore, newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * let now = 0;
 * const store = new MemoryStore({ now: () => now });
 * const key = newId();
 * await store.create(key, { data: { user: "Ada" }, created: 0, idle: 500, expires: 500, deadline: 1000 });
 * now = 499;
 * assertEquals((await store.read(key))?.data, { user: "Ada" });
 * now = 500;
 * assertEquals(await store.read(key), undefined);
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
   * @param options The options that differ from their defaults.
   * @throws {TypeError} if an option is unknown or invalid; the message names it.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: StoreOptions = {}) {
    const { max, now } = checkStoreOptions("MemoryStore", options);
    this.#max = max;
    this.#now = now;
  }

  /** The number of sessions in memory. Expired sessions count until they are swept. */
  get size(): number {
    return this.#records.size;
  }

  // deno-lint-ignore require-await -- with `async`, it rejects and does not throw
  async create(key: string, record: SessionRecord): Promise<void> {
    this.#sweep(LOOKS_PER_CREATE);
    if (this.#records.size >= this.#max) this.#sweep(LOOKS_WHEN_FULL);
    if (this.#records.size >= this.#max) {
      throw new StoreFullError(`Cannot create a session: the store may hold ${this.#max} live sessions`);
    }
    if (this.#get(key)) throw new KeyTakenError();
    this.#set(key, record);
  }

  read(key: string): Promise<SessionRecord | undefined> {
    return Promise.resolve(this.#get(key));
  }

  // deno-lint-ignore require-await -- with `async`, it rejects and does not throw
  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    const record = this.#get(key);
    return record && this.#set(key, change(record));
  }

  touch(key: string, expires: number): Promise<boolean> {
    const record = this.#get(key);
    if (record !== undefined) this.#records.set(key, Object.freeze({ ...record, expires }));
    return Promise.resolve(record !== undefined);
  }

  delete(key: string): Promise<boolean> {
    const isThere = this.#get(key) !== undefined;
    this.#remove(key);
    return Promise.resolve(isThere);
  }

  // deno-lint-ignore require-await -- with `async`, it rejects and does not throw
  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    const record = this.#get(from);
    if (record === undefined) return undefined;
    const moved = this.#set(to, change(record));
    this.#remove(from);
    return moved;
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    const found = eachOf(() => [...this.#users.get(user) ?? []], (key) => this.#records.get(key));
    for await (const [key, record] of found) if (isLive(record, this.#now())) yield [key, record];
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    const slice = new TimeSlice();
    // New sessions are added at the end of the map. Those that were made during the listing are left out.
    let left = this.#records.size;
    for (const [key, record] of this.#records) {
      if (left-- === 0) return;
      if (isLive(record, this.#now())) yield [key, record];
      await slice.yieldIfOver();
    }
  }

  async sweepAll(): Promise<number> {
    const slice = new TimeSlice();
    let swept = 0;
    for (let left = this.#records.size; left > 0; left -= LOOKS_PER_CREATE) {
      swept += this.#sweep(Math.min(left, LOOKS_PER_CREATE));
      await slice.yieldIfOver();
    }
    return swept;
  }

  #get(key: string): SessionRecord | undefined {
    const record = this.#records.get(key);
    return record !== undefined && isLive(record, this.#now()) ? record : undefined;
  }

  /** Stores a copy of the record: the record that any other store would read after this write. */
  #set(key: string, record: SessionRecord): SessionRecord {
    const kept = decode(encode(record));
    if (typeof kept === "string") throw new TypeError("Cannot store a session: its record is invalid, or is not JSON");
    this.#records.set(key, kept);
    if (kept.user !== undefined) {
      const keys = this.#users.get(kept.user) ?? new Set();
      this.#users.set(kept.user, keys.add(key));
    }
    return kept;
  }

  #remove(key: string): void {
    const user = this.#records.get(key)?.user;
    this.#records.delete(key);
    if (user === undefined) return;
    const keys = this.#users.get(user);
    keys?.delete(key);
    if (keys?.size === 0) this.#users.delete(user);
  }

  /** Checks the next records after those of the last sweep. Removes those that are over, and returns how many. */
  #sweep(looks: number): number {
    const { size } = this.#records;
    for (; looks > 0; looks--) {
      let { value: key } = this.#walk.next();
      if (key === undefined) {
        this.#walk = this.#records.keys();
        key = this.#walk.next().value;
        if (key === undefined) break;
      }
      if (this.#get(key) === undefined) this.#remove(key);
    }
    return size - this.#records.size;
  }
}
