/**
 * DenoKvStore: sessions in Deno KV, in a file on this machine or in a database elsewhere.
 *
 * @module
 */
import { type Log, silent } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, endOf, isLive, type SessionRecord } from "../../record.ts";
import type { Change, SessionStore } from "../../store.ts";
import { type Kv, type KvAtomic, KvDatabase, type KvFound } from "./database.ts";
import { Estimate } from "../_estimate.ts";
import { newMark, settle } from "../settle.ts";
import { logCorrupt } from "../_corrupt.ts";
import { checkPrefix } from "../_names.ts";
import { hashOf } from "../_user_hash.ts";

export type { Kv, KvAtomic, KvFound };

/** The options of a {@linkcode DenoKvStore}. */
export interface DenoKvStoreOptions {
  /**
   * Where the database is: `denokv:PATH` for a file, which is made if missing; `denokv::memory:` for none;
   * `https://HOST/…` for one elsewhere, whose access token is in the environment variable `DENO_KV_ACCESS_TOKEN`.
   * Without it, the one that Deno keeps for the program, or that the program has on Deno Deploy.
   */
  readonly url?: string | undefined;
  /** A database that the program has opened, instead of `url`; the program closes it. */
  readonly client?: Kv | undefined;
  /** The first part of every key; programs with different ones can share a database. `"session:"` unless given. */
  readonly prefix?: string | undefined;
  /** Live sessions at most: 1,000,000 unless given. Counted now and then, so that a few more may get in. */
  readonly max?: number | undefined;
  /** Told of corrupt records and of counts that failed. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** The most bytes that Deno KV keeps under a key. */
const MAX_VALUE_BYTES = 64 * 1024;
/** The digits of a mark and the line's end after it. */
const MARK_BYTES = 17;
/** How long the mark of an ended session is kept, in milliseconds: longer than anybody asks for it. */
const MARK_AGE = 60_000;

/** What stands under a session's key: the mark of the last write, and the record's text; none once it was ended. */
interface Stored {
  readonly versionstamp: string | null;
  readonly mark?: string;
  readonly record?: SessionRecord | undefined;
}

const NOTHING: Stored = { versionstamp: null };

/**
 * Sessions in Deno KV. The program must run with `--unstable-kv`, or have `"unstable": ["kv"]` in its deno.json.
 *
 * A session may take 65,519 bytes as JSON. Using a session writes it anew.
 *
 * @example
 * ```ts
 * import { DenoKvStore } from "sessions/deno-kv";
 * import { newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const store = new DenoKvStore({ url: "denokv::memory:" });
 * const id = newId();
 * const now = Date.now();
 * await store.create(id, { data: { n: 1 }, created: now, idle: 1000, expires: now + 1000, deadline: now + 5000 });
 * assertEquals((await store.read(id))?.data, { n: 1 });
 * await store.close();
 * ```
 */
export class DenoKvStore implements SessionStore {
  #database: KvDatabase;
  #name: string;
  #prefix: string;
  #log: Log;
  #now: () => number;
  #estimate: Estimate;
  #isClosed = false;

  /**
   * Makes a store; the database is opened at the first use.
   *
   * @param options Where it is, and what differs from the defaults.
   * @throws {TypeError} if the address or the prefix is none that can be used.
   */
  constructor(options: DenoKvStoreOptions = {}) {
    this.#database = new KvDatabase(options.url, options.client);
    this.#name = this.#database.name;
    this.#prefix = checkPrefix(options.prefix ?? "session:");
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    this.#estimate = new Estimate({
      count: () => this.#count(),
      max: options.max ?? 1_000_000,
      name: this.#name,
      log: this.#log,
    });
  }

  async ready(): Promise<void> {
    await this.#database.call((kv) => kv.get(this.#session("")));
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const text = this.#encode(record);
    await this.#estimate.check();
    const mark = newMark();
    let isFirst = true;
    // Nobody knows a new id, so the first look is left out.
    const read = async () => isFirst ? NOTHING : await this.#get(id);
    await settle<Stored, void>(read, async (stored, write) => {
      isFirst = false;
      if (stored.mark === mark) return;
      if (stored.versionstamp !== null) throw new Error("Cannot create a session: its id is already there");
      const isDone = await write(() =>
        this.#commit((atomic) => this.#put(atomic.check(this.#at(id, stored)), id, record, mark, text))
      );
      if (!isDone) return "again";
    });
    this.#estimate.add(1);
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return this.#live(await this.#get(id));
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    const mark = newMark();
    return await settle(() => this.#get(id), async (stored, write) => {
      if (stored.mark === mark) return stored.record;
      const record = this.#live(stored);
      if (record === undefined) return undefined;
      const text = this.#encode(change(record));
      const changed = decode(text) as SessionRecord;
      const isDone = await write(() =>
        this.#commit((atomic) => this.#put(atomic.check(this.#at(id, stored)), id, changed, mark, text))
      );
      return isDone ? changed : "again";
    });
  }

  async touch(id: string, expires: number): Promise<boolean> {
    return await this.update(id, (record) => ({ ...record, expires })) !== undefined;
  }

  async delete(id: string): Promise<boolean> {
    const mark = newMark();
    const isEnded = await settle(() => this.#get(id), async (stored, write) => {
      // What stays for a while is the mark of who ended it, so that of several one is told so.
      if (stored.mark === mark) return true;
      const record = this.#live(stored);
      if (record === undefined) return false;
      const isDone = await write(() =>
        this.#commit((atomic) => this.#end(atomic.check(this.#at(id, stored)), id, record, mark))
      );
      return isDone ? true : "again";
    });
    if (isEnded) this.#estimate.add(-1);
    return isEnded;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    const mark = newMark();
    const read = async () => {
      const stored = await this.#get(from);
      // Both changes are one step: with this mark on the old id, the session has moved.
      return { stored, moved: stored.mark === mark ? await this.#get(to) : undefined };
    };
    return await settle(read, async ({ stored, moved }, write) => {
      if (moved !== undefined) return moved.record;
      const record = this.#live(stored);
      if (record === undefined) return undefined;
      const text = this.#encode(change(record));
      const changed = decode(text) as SessionRecord;
      const isDone = await write(() =>
        this.#commit((atomic) => {
          atomic.check(this.#at(from, stored), this.#at(to, NOTHING));
          this.#end(atomic, from, record, mark);
          return this.#put(atomic, to, changed, mark, text);
        })
      );
      return isDone ? changed : "again";
    });
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    for await (const { key } of this.#walk(this.#user(user))) {
      const id = String(key.at(-1));
      const record = await this.read(id);
      if (record?.user === user) yield [id, record];
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    for await (const entry of this.#walk(this.#session())) {
      const record = this.#live(this.#parse(entry));
      if (record !== undefined) yield [String(entry.key.at(-1)), record];
    }
  }

  async sweepAll(): Promise<number> {
    let swept = 0;
    for await (const entry of this.#walk(this.#session())) {
      const id = String(entry.key.at(-1));
      const stored = this.#parse(entry);
      if (stored.record === undefined || this.#live(stored) !== undefined) continue;
      const isDone = await this.#commit((atomic) =>
        this.#end(atomic.check(this.#at(id, stored)), id, stored.record!, newMark())
      );
      if (isDone) swept++;
    }
    return swept;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#estimate.close();
    await this.#database.close();
  }

  #session(...id: string[]): string[] {
    return [this.#prefix, "session", ...id];
  }

  /** Names can be longer than a key may be. */
  #user(user: string, ...id: string[]): string[] {
    return [this.#prefix, "user", hashOf(user), ...id];
  }

  #at(id: string, { versionstamp }: Stored): { key: string[]; versionstamp: string | null } {
    return { key: this.#session(id), versionstamp };
  }

  /** Both end at once, by the engine's clock, which may go differently: by then nobody counts it as a session. */
  #put(atomic: KvAtomic, id: string, record: SessionRecord, mark: string, text: string): KvAtomic {
    const expireIn = Math.max(1, endOf(record) - this.#now()) + CLOCK_SKEW;
    atomic.set(this.#session(id), new TextEncoder().encode(`${mark}\n${text}`), { expireIn });
    return record.user === undefined ? atomic : atomic.set(this.#user(record.user, id), true, { expireIn });
  }

  #end(atomic: KvAtomic, id: string, { user }: SessionRecord, mark: string): KvAtomic {
    atomic.set(this.#session(id), new TextEncoder().encode(`${mark}\n`), { expireIn: MARK_AGE });
    return user === undefined ? atomic : atomic.delete(this.#user(user, id));
  }

  #encode(record: SessionRecord): string {
    return encode(record, MAX_VALUE_BYTES - MARK_BYTES);
  }

  #parse({ value, versionstamp }: KvFound): Stored {
    if (value === null) return { versionstamp };
    const content = value instanceof Uint8Array ? new TextDecoder().decode(value) : "";
    const [, mark = "", text] = /^([0-9a-f]{16})\n(.*)$/s.exec(content) ?? [];
    if (text === "") return { versionstamp, mark };
    const record = text === undefined ? "corrupt" : decode(text);
    if (record === "corrupt") logCorrupt(this.#log, this.#name);
    return { versionstamp, mark, record: typeof record === "string" ? undefined : record };
  }

  #live({ record }: Stored): SessionRecord | undefined {
    return record !== undefined && isLive(record, this.#now()) ? record : undefined;
  }

  async #get(id: string): Promise<Stored> {
    return this.#parse(await this.#database.call((kv) => kv.get(this.#session(id))));
  }

  async #commit(changes: (atomic: KvAtomic) => KvAtomic): Promise<boolean> {
    try {
      return (await this.#database.call((kv) => changes(kv.atomic()).commit())).ok;
    } catch (error) {
      // Another process was writing to the file, so nothing was done: it is no failure, but asks for another try.
      if (String(error).endsWith("database is locked")) return false;
      throw error;
    }
  }

  async *#walk(prefix: string[]): AsyncGenerator<KvFound> {
    const walk = await this.#database.call((kv) =>
      Promise.resolve(kv.list({ prefix }, { batchSize: 500 })[Symbol.asyncIterator]())
    );
    while (true) {
      const { done, value } = await this.#database.call(() => walk.next());
      if (done) return;
      yield value;
    }
  }

  async #count(): Promise<number> {
    let count = 0;
    for await (const entry of this.#walk(this.#session())) {
      if (this.#isClosed) break;
      if (this.#live(this.#parse(entry)) !== undefined) count++;
    }
    return count;
  }
}
