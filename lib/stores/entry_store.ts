/**
 * EntryStore: the base of stores on engines such as Redis or PostgreSQL. These engines keep entries by key, and write
 * an entry only if its version has not changed since it was read.
 *
 * @module
 */
import type { Log } from "../log.ts";
import { encode, freeze, isLive, MAX_RECORD_BYTES, type SessionRecord } from "../record.ts";
import { type Change, KeyTakenError, type SessionStore, type StoredSession } from "../store.ts";
import { logCorrupt } from "./_corrupt.ts";
import { within } from "./_deadline.ts";
import { Estimate } from "./_estimate.ts";
import { isOver, MarkedEntries, NOTHING, type Seen, type Step } from "./_marked_entries.ts";
import { HEAD_BYTES } from "./_marks.ts";
import { UpdateBatcher } from "./_update_batcher.ts";
import { hashOf } from "./_user_hash.ts";
import type { Entries } from "./entries.ts";

/** The options of an {@linkcode EntryStore}. */
export interface EntryStoreOptions {
  /** The name of the engine, for messages. It must not contain a password. */
  readonly name: string;
  /** The most live sessions. It has no effect if the engine has neither `list` nor `count`. */
  readonly max: number;
  /** Called when a record is corrupt, and when a count fails. */
  readonly log: Log;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** The most bytes that the engine keeps under a key: a record and the 209 bytes that the store adds to it. */
  readonly maxBytes?: number | undefined;
  /**
   * The number of the engine's connections. While the engine is slow, only so many verbs use it at the same time.
   * Further verbs wait for their turn, up to 2.5 seconds. Unless given, no verb waits.
   */
  readonly connections?: number | undefined;
}

/** The key under which `ready` writes an ended session, to test the engine. */
const READY_KEY = "0".repeat(40);
/** How long the engine may take for a count, in milliseconds. A connection that fell silent would never answer. */
const COUNT_DEADLINE = 60_000;

/**
 * A store on an engine that keeps entries by key. An {@linkcode Entries} object calls the engine. It reads an entry,
 * and writes it if its version has not changed since it was read. It moves an entry to another key, lists all entries,
 * and finds those of a user. This class does everything else.
 *
 * Each store object is a writer. Every entry names its last eight writers and the last write of each. If the answer to
 * a write is lost, the store reads the entry again. The entry shows whether the write was done, even if other writers
 * wrote after it. If eight other writers wrote in between, the entry no longer shows it, and the verb fails.
 *
 * If several changes of one session wait in the same process, the store makes all of them in one write.
 *
 * @example
 * ```ts
 * import { checkStoreOptions, type Entries, EntryStore, type EntryWrite, type NewEntry } from "sessions/store";
 * import { newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * class MapEntries implements Entries {
 *   #entries = new Map<string, NewEntry>();
 *
 *   get(key: string) {
 *     return Promise.resolve(this.#entries.get(key));
 *   }
 *
 *   put(write: EntryWrite) {
 *     return Promise.resolve(this.#write(write));
 *   }
 *
 *   putBoth(from: EntryWrite, to: EntryWrite) {
 *     return Promise.resolve(this.#write(from, to));
 *   }
 *
 *   #write(...writes: EntryWrite[]) {
 *     const isAsSeen = writes.every(({ entry, seen }) => this.#entries.get(entry.key)?.version === seen);
 *     if (isAsSeen) for (const { entry } of writes) this.#entries.set(entry.key, entry);
 *     return isAsSeen;
 *   }
 * }
 *
 * const store = new EntryStore(new MapEntries(), { name: "a map", ...checkStoreOptions("MapStore", {}) });
 * const key = newId();
 * const now = Date.now();
 * await store.create(key, { data: { n: 1 }, created: now, idle: 1000, expires: now + 1000, deadline: now + 5000 });
 * await store.update(key, (record) => ({ ...record, data: { n: 2 } }));
 * assertEquals((await store.read(key))?.data, { n: 2 });
 * ```
 */
export class EntryStore implements SessionStore {
  /** Finds the live sessions of a user; `undefined` if the engine cannot find entries by user. */
  readonly sessionsOf?: (user: string) => AsyncGenerator<StoredSession>;
  /** Lists all live sessions; `undefined` if the engine cannot list its entries. */
  readonly list?: () => AsyncGenerator<readonly [key: string, record: SessionRecord]>;
  /** Removes sessions that are over, and returns how many; `undefined` if the engine can neither list nor sweep. */
  readonly sweepAll?: (onRemoved?: (count: number) => void) => Promise<number>;
  /** Ends several sessions, and returns the keys of those it ended; `undefined` without `getMany` and `putMany`. */
  readonly deleteMany?: (keys: readonly string[]) => Promise<readonly string[]>;
  #entries: Entries;
  #marked: MarkedEntries;
  #name: string;
  #log: Log;
  #now: () => number;
  #maxRecordBytes: number;
  #updates = new UpdateBatcher((key, change) => this.#change(key, change, (seen, made) => [{ key, seen, ...made }]));
  #estimate: Estimate;
  #isClosed = false;

  /**
   * Makes a store. It does not call the engine before the first verb.
   *
   * @param entries The engine.
   * @param options The engine's name, and the options that every store has.
   */
  constructor(entries: Entries, options: EntryStoreOptions) {
    const { name, log, max, now, maxBytes = MAX_RECORD_BYTES + HEAD_BYTES, connections = Infinity } = options;
    this.#entries = entries;
    this.#marked = new MarkedEntries(entries, name, now, connections);
    this.#name = name;
    this.#log = log;
    this.#now = now;
    this.#maxRecordBytes = maxBytes - HEAD_BYTES;
    const { list, ofUser, count, sweep, getMany, putMany } = entries;
    const isCounted = list !== undefined || count !== undefined;
    this.#estimate = new Estimate({ count: () => this.#count(), max: isCounted ? max : Infinity, name, log });
    if (ofUser) this.sessionsOf = (user) => this.#sessionsOf(user);
    if (list) this.list = () => this.#list();
    if (sweep || list) this.sweepAll = (onRemoved) => this.#sweepAll(onRemoved);
    if (getMany && putMany) this.deleteMany = (keys) => this.#deleteMany(keys);
  }

  async ready(): Promise<void> {
    await this.#marked.open();
    await this.#marked.put({ key: READY_KEY, seen: await this.#marked.get(READY_KEY) });
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    const text = encode(record, this.#maxRecordBytes);
    await this.#estimate.make(() =>
      // No other request knows the new key, so the store writes without reading first.
      this.#marked.settle<void>(key, NOTHING, (seen) => {
        if (seen.version !== undefined) throw new KeyTakenError();
        return { outcome: undefined, drafts: [{ key, seen, record, text }] };
      })
    );
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    return this.#recordOf(await this.#marked.get(key));
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#updates.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    return await this.update(key, (record) => ({ ...record, expires })) !== undefined;
  }

  async delete(key: string): Promise<boolean> {
    const isEnded = await this.#end(key);
    if (isEnded) this.#estimate.ended(1);
    return isEnded;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#change(from, change, (seen, made) => [
      { key: from, seen, movedTo: to },
      { key: to, seen: NOTHING, ...made },
    ]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#estimate.close();
    await this.#marked.close();
  }

  /** Changes the record of a live session, and stores it in one step: the one or two writes that `draft` returns. */
  async #change(
    key: string,
    change: Change,
    draft: (seen: Seen, made: { record: SessionRecord; text: string }) => Step<unknown>["drafts"],
  ): Promise<SessionRecord | undefined> {
    return await this.#marked.settle(key, undefined, (seen) => {
      const before = this.#recordOf(seen);
      if (before === undefined) return { outcome: undefined };
      const record = freeze(change(before));
      return { outcome: record, drafts: draft(seen, { record, text: encode(record, this.#maxRecordBytes) })! };
    });
  }

  async #end(key: string): Promise<boolean> {
    return await this.#marked.settle(key, undefined, (seen) => {
      return this.#isThere(seen) ? { outcome: true, drafts: [{ key, seen }] } : { outcome: false };
    });
  }

  async *#sessionsOf(user: string): AsyncGenerator<StoredSession> {
    const known = new Set<string>();
    for await (let [key, seen] of this.#marked.each(() => this.#entries.ofUser!(hashOf(user)))) {
      // If the session has moved since the search began, its old entry names the new key. The loop follows the new key.
      while (!known.has(key)) {
        known.add(key);
        const record = seen.record === "newer" ? undefined : this.#recordOf(seen);
        if (seen.record === "newer" || record?.user === user) yield [key, record];
        if (seen.movedTo === undefined) break;
        [key, seen] = [seen.movedTo, await this.#marked.get(seen.movedTo)];
      }
    }
  }

  async *#list(): AsyncGenerator<readonly [string, SessionRecord]> {
    for await (const [key, seen] of this.#marked.each(() => this.#entries.list!())) {
      const record = this.#recordOf(seen);
      if (record !== undefined) yield [key, record];
    }
  }

  async #count(): Promise<number> {
    await this.#marked.connect();
    const counted = await within(this.#name, Promise.resolve(this.#entries.count?.()), COUNT_DEADLINE);
    if (counted !== undefined) return counted;
    let count = 0;
    for await (const _ of this.#list()) {
      if (this.#isClosed) break;
      count++;
    }
    return count;
  }

  async #sweepAll(onRemoved: (count: number) => void = () => {}): Promise<number> {
    await this.#marked.connect();
    if (this.#entries.sweep) return await this.#entries.sweep(onRemoved);
    let swept = 0;
    for await (const [key, seen] of this.#marked.each(() => this.#entries.list!())) {
      if (!isOver(seen, this.#now()) || !await this.#marked.put({ key, seen })) continue;
      swept++;
      onRemoved(1);
    }
    return swept;
  }

  async #deleteMany(keys: readonly string[]): Promise<readonly string[]> {
    const there = (await this.#marked.getMany(keys)).filter(([, seen]) => this.#isThere(seen));
    const ended = await this.#marked.putMany(there.map(([key, seen]) => ({ key, seen })), (key) => this.#end(key));
    this.#estimate.ended(ended.length);
    return ended;
  }

  /** The record, if it is one of a live session. */
  #recordOf({ record }: Seen): SessionRecord | undefined {
    if (record === "corrupt") logCorrupt(this.#log, this.#name);
    return typeof record === "object" && isLive(record, this.#now()) ? record : undefined;
  }

  /** Whether there is a session to end. One that a later version of the library wrote may be live, so it counts. */
  #isThere(seen: Seen): boolean {
    return seen.record === "newer" || this.#recordOf(seen) !== undefined;
  }
}
