/**
 * MemoryStore: sessions in this process's memory, gone when it ends. For tests, examples, and servers of one process.
 *
 * @module
 */
import { decode, encode, isLive, type SessionRecord } from "../record.ts";
import { type Change, KeyTakenError, type SessionStore, StoreFullError } from "../store.ts";
import { eachOf } from "./_each_of.ts";
import { checkStoreOptions, type StoreOptions } from "./_options.ts";
import { Slices } from "./_pause.ts";

/** How many sessions the sweep looks at for each new one, so that expired ones stay under a seventh of the live. */
const LOOKS_PER_CREATE = 8;
/** How many it looks at for a new one that finds no room: some milliseconds of work. */
const LOOKS_WHEN_FULL = 10_000;

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
   * @param options What differs from the defaults.
   * @throws {TypeError} if an option is unknown or invalid; {@linkcode RangeError} if a number is.
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

  // deno-lint-ignore require-await -- a failure rejects
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

  // deno-lint-ignore require-await -- a failure rejects
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

  // deno-lint-ignore require-await -- a failure rejects
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
    const slices = new Slices();
    // Sessions made in between come last, and are left out.
    let left = this.#records.size;
    for (const [key, record] of this.#records) {
      if (left-- === 0) return;
      if (isLive(record, this.#now())) yield [key, record];
      await slices.next();
    }
  }

  async sweepAll(): Promise<number> {
    const slices = new Slices();
    let swept = 0;
    for (let left = this.#records.size; left > 0; left -= LOOKS_PER_CREATE) {
      swept += this.#sweep(Math.min(left, LOOKS_PER_CREATE));
      await slices.next();
    }
    return swept;
  }

  #get(key: string): SessionRecord | undefined {
    const record = this.#records.get(key);
    return record !== undefined && isLive(record, this.#now()) ? record : undefined;
  }

  /** Keeps a copy, as any other store would read it back. */
  #set(key: string, record: SessionRecord): SessionRecord {
    const kept = decode(encode(record));
    if (typeof kept === "string") throw new TypeError("Cannot store a session: its record is not one, or not JSON");
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

  /** Looks at some records, from where the last sweep stopped, and removes those that are over. Returns how many. */
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
