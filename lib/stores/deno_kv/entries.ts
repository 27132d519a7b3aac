/** KvEntries: one entry per session, and for each user one entry per session of the user. */
import { CLOCK_SKEW } from "../../record.ts";
import type { Entries, Entry, EntryWrite } from "../entries.ts";
import type { KvAtomic, KvDatabase, KvEntry } from "./database.ts";

/** The most entries that one call of Deno KV's `getMany` reads. */
const READS = 10;
/** How many sessions of a user are read together. */
const BATCH = 100;

/** Sessions as entries in Deno KV. */
export class KvEntries implements Entries {
  #database: KvDatabase;
  #prefix: string;
  #now: () => number;

  /**
   * @param database The database.
   * @param prefix The first part of every key.
   * @param now The clock, in milliseconds since 1970.
   */
  constructor(database: KvDatabase, prefix: string, now: () => number) {
    this.#database = database;
    this.#prefix = prefix;
    this.#now = now;
  }

  open(): Promise<unknown> | undefined {
    return this.#database.open();
  }

  reconnect(): void {
    this.#database.reconnect();
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async get(key: string): Promise<Entry | undefined> {
    const kv = this.#database.forRead();
    const entry = toEntry(await kv.get(this.#session(key)));
    if (entry === undefined) this.#database.look();
    return entry;
  }

  async getMany(keys: readonly string[]): Promise<Entry[]> {
    const kv = this.#database.forRead();
    const reads = [];
    for (let start = 0; start < keys.length; start += READS) {
      reads.push(kv.getMany(keys.slice(start, start + READS).map((key) => this.#session(key))));
    }
    return (await Promise.all(reads)).flat().map(toEntry).filter((entry) => entry !== undefined);
  }

  async put(write: EntryWrite): Promise<boolean> {
    return await this.#commit([write]);
  }

  async putBoth(from: EntryWrite, to: EntryWrite): Promise<boolean> {
    return await this.#commit([from, to]);
  }

  async putMany(writes: readonly EntryWrite[]): Promise<boolean> {
    return await this.#commit(writes);
  }

  async *list(): AsyncGenerator<Entry> {
    for await (const entry of this.#walk(this.#session())) yield toEntry(entry)!;
  }

  async *ofUser(user: string): AsyncGenerator<Entry> {
    let keys: string[] = [];
    for await (const { key } of this.#walk(this.#user(user))) {
      keys.push(String(key.at(-1)));
      if (keys.length < BATCH) continue;
      yield* await this.getMany(keys);
      keys = [];
    }
    yield* await this.getMany(keys);
  }

  #session(...key: string[]): string[] {
    return [this.#prefix, "session", ...key];
  }

  #user(user: string, ...key: string[]): string[] {
    return [this.#prefix, "user", user, ...key];
  }

  #walk(prefix: string[]): AsyncIterable<KvEntry> {
    return this.#database.forWrite().list({ prefix }, { batchSize: 500 });
  }

  /** Makes several writes in one step. */
  async #commit(writes: readonly EntryWrite[]): Promise<boolean> {
    const atomic = this.#database.forWrite().atomic();
    for (const write of writes) this.#add(atomic, write);
    try {
      return (await atomic.commit()).ok;
    } catch (error) {
      // Another process was writing to the file, so nothing was done.
      if (String(error).endsWith("database is locked")) return false;
      throw error;
    }
  }

  #add(atomic: KvAtomic, { entry: { key, content, until, user }, seen }: EntryWrite): void {
    // Deno KV removes both entries by its own clock, which may differ. `CLOCK_SKEW` makes sure that the session is then
    // over for every server.
    const options = { expireIn: Math.max(1, until - this.#now()) + CLOCK_SKEW };
    atomic.check({ key: this.#session(key), versionstamp: seen === undefined ? null : String(seen) });
    atomic.set(this.#session(key), new TextEncoder().encode(content), options);
    if (user !== undefined) atomic.set(this.#user(user, key), true, options);
  }
}

function toEntry({ key, value, versionstamp }: KvEntry): Entry | undefined {
  if (versionstamp === null) return undefined;
  const content = value instanceof Uint8Array ? new TextDecoder().decode(value) : "";
  return { key: String(key.at(-1)), content, version: versionstamp };
}
