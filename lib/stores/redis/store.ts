/**
 * RedisStore: sessions in Redis or Valkey, alone, behind Sentinel or as a Cluster.
 *
 * @module
 */
import { ADDRESS } from "../../_options.ts";
import { isId } from "../../id.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, endOf, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, KeyTakenError, type SessionStore, type StoredSession } from "../../store.ts";
import { checkStoreOptions, clientWith, NAME, type StoreOptions } from "../_options.ts";
import { compareAndSet } from "../_compare_and_set.ts";
import { logCorrupt } from "../_corrupt.ts";
import { within } from "../_deadline.ts";
import { Estimate } from "../_estimate.ts";
import { type Content, isPushedOut, type Mark, newWriter, readContent, withMark, writeContent } from "../_marks.ts";
import { checkPrefix } from "../_names.ts";
import { Together } from "../_together.ts";
import { hashOf } from "../_user_hash.ts";
import { LostAnswerError, type RedisClient, RedisConnection } from "./connection.ts";
import { tryCommands } from "./ready.ts";
import { CREATE, END, EXPIRE, FORGET, KEEP, NOTE, RELEASE, REPLACE, TOUCH } from "./scripts.ts";

export type { RedisClient };

/** The options of a {@linkcode RedisStore}: where Redis is, or a client of it. */
export interface RedisStoreOptions extends StoreOptions {
  /**
   * Where Redis is: `redis://user:password@host:port/database`, `rediss://` with TLS, `redis+unix:///path?db=0` for a
   * socket. `?sentinel=NAME` makes the host a Sentinel that knows the master of that name, `?cluster` a node of a
   * Cluster; `&node=host:port` adds another one.
   */
  readonly url?: string | undefined;
  /** A client that the program has already, connected or not. The store does not close it. */
  readonly client?: RedisClient | undefined;
  /** What the keys begin with: `session:` unless given. Another one for each application that shares this Redis. */
  readonly prefix?: string | undefined;
}

/** How long the mark of an ended session is kept, in milliseconds: twice as long as any verb may take, or more. */
const MARK_AGE = 10_000;
/** How long to wait until an entry of a user's is removed, in milliseconds. */
const FORGET_WAIT = 500;
/** How many sessions are read at once. */
const BATCH = 50;
/** How often, in milliseconds, a full store looks for sessions that can go. */
const SWEEP_AGE = 60_000;
/** How long a count waits for that, in milliseconds. */
const SWEEP_WAIT = 500;

/** What is stored under a key. */
interface Entry extends Pick<Content, "marks"> {
  readonly record: SessionRecord | "newer";
  /** The marks and the record's text, as Redis has them. */
  readonly content: string;
}

/** The entry of a session that is live. */
type LiveEntry = Entry & { readonly record: SessionRecord };

/**
 * Sessions in Redis 6.2 or later, or Valkey.
 *
 * Redis must be told to keep what it has: `maxmemory-policy noeviction`, and `appendonly yes` if sessions are to
 * outlive it (`appendfsync always` if every last one is). Behind Sentinel and in a Cluster, what was acknowledged just
 * before a failover may be undone by it, because replicas lag behind; `min-replicas-to-write` narrows that.
 *
 * @example
 * ```ts ignore
 * import { RedisStore } from "sessions/redis";
 *
 * const store = new RedisStore({ url: "redis://localhost" });
 * ```
 */
export class RedisStore implements SessionStore {
  #connection: RedisConnection;
  #server: string;
  #prefix: string;
  #max: number;
  #log: Log;
  #now: () => number;
  #together = new Together((key, change) => this.#change(key, change));
  #writer = newWriter();
  #writes = 0;
  #estimate: Estimate;
  #sweptAt = -Infinity;
  #sweeping: Promise<number> | undefined;

  /**
   * Makes a store. It connects at its first use.
   *
   * @param options Where Redis is, and what differs from the defaults.
   * @throws {TypeError} naming an option, or a part of the address, that cannot be used; {@linkcode RangeError} for a
   * number that is out of range.
   */
  constructor(options: RedisStoreOptions) {
    const { max, log, now } = checkStoreOptions("RedisStore", options, {
      url: ADDRESS,
      client: clientWith(
        'a client of the package "@redis/client" or "redis", version 5 or later',
        "pTTL",
        "zRange",
        "eval",
      ),
      prefix: NAME,
    });
    const { url, client, prefix = "session:" } = options;
    this.#prefix = checkPrefix(prefix);
    this.#connection = new RedisConnection({ url, client, log });
    this.#server = this.#connection.server;
    [this.#max, this.#log, this.#now] = [max, log, now];
    this.#estimate = new Estimate({ count: () => this.#count(), max, name: this.#server, log });
  }

  /**
   * Connects, and tries every command that the store needs.
   *
   * @throws {Error} if Redis cannot be reached, or refuses one of them.
   */
  async ready(): Promise<void> {
    await this.#connection.load();
    await within(this.#server, tryCommands(this.#connection, this.#prefix, this.#log));
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    const values = [writeContent({ marks: [], text: encode(record) }), this.#left(record)];
    const create = async () => {
      await this.#note(key, record);
      if (await this.#repeat(CREATE, [this.#name(key)], values) !== 1) throw new KeyTakenError();
    };
    await this.#estimate.make(create);
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    return (await this.#live(key))?.record;
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#together.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    const values = [String(expires), String(this.#now())];
    return await this.#repeat(TOUCH, [this.#name(key)], values) === 1;
  }

  async delete(key: string): Promise<boolean> {
    return (await this.deleteMany([key])).length > 0;
  }

  async deleteMany(keys: readonly string[]): Promise<readonly string[]> {
    const ended = await this.#end([...new Set(keys)]);
    this.#estimate.ended(ended.length);
    const byUser = Map.groupBy(ended, ({ user }) => user);
    for (const [user, some] of byUser) await this.#forget(user, some.map(({ key }) => key));
    return ended.map(({ key }) => key);
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#move(from, to, change);
  }

  async *sessionsOf(user: string): AsyncGenerator<StoredSession> {
    const found = new Set<string>();
    // The new key of a session that moves is noted first. So a key without a session, new or old, calls for another look.
    for (let isLookNeeded = true; isLookNeeded;) {
      const before = found.size;
      const noted = await this.#notedOf(user);
      const keys = noted.filter((key) => !found.has(key));
      for await (const [key, { record }] of this.#entries(keys)) {
        found.add(key);
        if (record === "newer") yield [key, undefined];
        else if (record.user === user && this.#isLive(record)) yield [key, record];
      }
      const now = found.size - before;
      isLookNeeded = now > 0 && now < keys.length;
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    const seen = new Set<string>();
    for await (const keys of this.#keys()) {
      for await (const [key, { record }] of this.#entries(keys.filter((key) => !seen.has(key)))) {
        seen.add(key);
        if (record !== "newer" && this.#isLive(record)) yield [key, record];
      }
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
    await Promise.allSettled([this.#estimate.close(), this.#sweeping]);
  }

  /** Changes a session. Every write has a mark, so that the next look tells whether one without an answer was done. */
  async #change(key: string, change: Change): Promise<SessionRecord | undefined> {
    const made = new Map<number, SessionRecord>();
    let before: readonly Mark[] = [];
    return await compareAndSet(this.#server, async () => {
      const entry = await this.#live(key);
      if (entry === undefined) return undefined;
      const own = entry.marks.find(({ writer }) => writer === this.#writer);
      const done = own && made.get(own.number);
      if (done !== undefined) return done;
      if (made.size > 0 && isPushedOut(this.#writer, before, entry.marks)) {
        throw new Error(`${this.#server}: whether a session was changed is unknown: over eight processes change it`);
      }
      const record = freeze(change(entry.record));
      const mark = { writer: this.#writer, number: ++this.#writes };
      const content = writeContent({ marks: withMark(entry.marks, mark), text: encode(record) });
      if (record.deadline > entry.record.deadline) await this.#note(key, record);
      const script = { keys: [this.#name(key)], arguments: [entry.content, content, this.#left(record)] };
      made.set(mark.number, record);
      before = entry.marks;
      const written = this.#connection.once((client) => client.eval(REPLACE, script)).catch((error) => {
        if (!(error instanceof LostAnswerError)) throw error;
      });
      return await within(this.#server, written) === 1 ? record : "again";
    });
  }

  async #move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    const mark = crypto.randomUUID();
    const { isCluster } = this.#connection;
    let made: SessionRecord | undefined;
    let isHalfDone = false;
    try {
      return await compareAndSet(this.#server, async () => {
        const entry = await this.#live(from);
        if (entry === undefined) return undefined;
        const record = made = freeze(change(entry.record));
        const content = writeContent({ marks: [], text: encode(record) });
        await this.#note(to, record);
        // In a Cluster the two keys lie on different servers, so the new one comes first, for a moment only. No request
        // knows it yet: if this ends half-way, Redis removes it soon.
        if (isCluster) {
          isHalfDone = true;
          await this.#repeat(KEEP, [this.#name(to)], [content, String(MARK_AGE)]);
        }
        const values = [mark, String(MARK_AGE), entry.content, content, this.#left(record)];
        const outcome = await this.#release(from, values, isCluster ? [] : [this.#name(to)]);
        if (outcome === "changed") return "again";
        if (outcome !== "done") return undefined;
        if (isCluster) await this.#repeat(EXPIRE, [this.#name(to)], [this.#left(record)]);
        isHalfDone = false;
        await this.#forget(entry.record.user, [from]);
        return record;
      });
    } finally {
      // No session stays that no request knows. At worst it stays until it ends.
      if (isHalfDone) {
        await this.#end([to]).catch(() => {});
        await this.#forget(made?.user, [to]);
      }
    }
  }

  /** Ends sessions. Returns those that this call ended. */
  async #end(keys: readonly string[]): Promise<{ key: string; user: string | undefined }[]> {
    const values = [crypto.randomUUID(), String(MARK_AGE)];
    const steps = this.#connection.isCluster ? keys.map((key) => [key]) : [keys];
    const texts = (await Promise.all(steps.map((step) => {
      const names = step.flatMap((key) => [this.#name(key), this.#markOf(key)]);
      return this.#repeat(END, names, values) as Promise<(string | null)[]>;
    }))).flat();
    return keys.flatMap((key, index) => texts[index] === null ? [] : [{ key, user: userOf(texts[index]) }]);
  }

  /** Ends a session if it is as expected. It may be repeated, and returns what happened at first. */
  async #release(key: string, values: string[], more: string[] = []): Promise<"done" | "gone" | "changed"> {
    return await this.#repeat(RELEASE, [this.#name(key), this.#markOf(key), ...more], values) as "done";
  }

  /** Puts a session's key among its user's, before the session is there, so that it is never missing. */
  async #note(key: string, { user, deadline }: SessionRecord): Promise<void> {
    if (user === undefined) return;
    const left = Math.ceil(deadline - this.#now());
    await this.#repeat(NOTE, [this.#nameOf(user)], [key, String(left), String(CLOCK_SKEW)]);
  }

  /** The keys among which a user's sessions are. */
  async #notedOf(user: string): Promise<string[]> {
    const noted = this.#connection.untilAnswered((client) => client.zRange(this.#nameOf(user), 0, -1));
    return await within(this.#server, noted) as string[];
  }

  /** Drops keys that will never be sessions again. One that stays is no error, and goes with its deadline. */
  async #forget(user: string | undefined, keys: string[]): Promise<void> {
    if (user === undefined) return;
    const script = { keys: [this.#nameOf(user)], arguments: keys };
    // No request waits long for that, least of all to log out.
    const forgetting = this.#connection.once((client) => client.eval(FORGET, script));
    await within(this.#server, forgetting, FORGET_WAIT).catch(() => {});
  }

  async #live(key: string): Promise<LiveEntry | undefined> {
    const entry = await this.#entry(key);
    if (entry === undefined || entry.record === "newer" || !this.#isLive(entry.record)) return undefined;
    return { ...entry, record: entry.record };
  }

  async #entry(key: string): Promise<Entry | undefined> {
    const name = this.#name(key);
    // Both commands leave in one packet, in this order; whatever comes between them, the key is never made again.
    const asked = this.#connection.untilAnswered((client) => Promise.all([client.pTTL(name), client.get(name)]));
    const [left, content] = await within(this.#server, asked) as [number, string | null];
    const now = this.#now();
    if (content === null || left <= 0) return undefined;
    const { marks, text } = readContent(content) ?? { marks: [], text: "" };
    const record = decode(text);
    if (record === "corrupt") return void logCorrupt(this.#log, this.#server);
    // Where the deadline cuts the idle limit short, the key lives until the deadline only.
    if (record === "newer" || record.expires >= record.deadline) return { record, marks, content };
    return { record: Object.freeze({ ...record, expires: now + left }), marks, content };
  }

  /** The entries of some keys, in batches. */
  async *#entries(keys: readonly string[]): AsyncGenerator<readonly [string, Entry]> {
    for (let start = 0; start < keys.length; start += BATCH) {
      const batch = keys.slice(start, start + BATCH);
      const entries = await Promise.all(batch.map((key) => this.#entry(key)));
      for (const [index, entry] of entries.entries()) if (entry !== undefined) yield [batch[index]!, entry];
    }
  }

  /** The keys of all sessions, some at a time; one may come twice. */
  async *#keys(): AsyncGenerator<string[]> {
    for await (const names of this.#connection.scan(this.#name("*"))) {
      // Other keys of ours, and those of an application whose prefix begins with this one, are no sessions.
      yield names.map((name) => name.slice(this.#prefix.length)).filter(isId);
    }
  }

  /** Other programs may have keys here, too. So the sessions are counted only when there are many keys in all. */
  async #count(): Promise<number> {
    const sizes = await this.#connection.untilAnswered(async (client) => {
      const masters = await this.#connection.masters(client);
      return await Promise.allSettled(masters.map((master) => master.sendCommand(["DBSIZE"])));
    });
    // While one of a Cluster's servers is away, the others go on.
    const [first] = sizes;
    if (first?.status === "rejected" && sizes.every(({ status }) => status === "rejected")) throw first.reason;
    const all = sizes.reduce((sum, size) => sum + (size.status === "fulfilled" ? Number(size.value) : 0), 0);
    if (all < this.#max) return all;
    let total = 0;
    for await (const keys of this.#keys()) total += keys.length;
    if (total < this.#max || performance.now() - this.#sweptAt < SWEEP_AGE) return total;
    this.#sweptAt = performance.now();
    return total - await within(this.#server, this.#sweeping = this.#sweep().catch(() => 0), SWEEP_WAIT).catch(() => 0);
  }

  /** Removes sessions from a time that has not come yet; Redis removes those that are over. */
  async #sweep(): Promise<number> {
    let swept = 0;
    for await (const keys of this.#keys()) {
      for await (const [key, { record, content }] of this.#entries(keys)) {
        if (record === "newer" || this.#isLive(record)) continue;
        const values = [crypto.randomUUID(), String(MARK_AGE), content];
        if (await this.#release(key, values) === "done") swept++;
      }
    }
    return swept;
  }

  /** Runs a script; again, if its answer was lost. */
  async #repeat(script: string, keys: string[], values: string[]): Promise<unknown> {
    const work = this.#connection.untilAnswered((client) => client.eval(script, { keys, arguments: values }));
    return await within(this.#server, work);
  }

  #isLive(record: SessionRecord): boolean {
    return isLive(record, this.#now());
  }

  /** Milliseconds until a session ends, as Redis takes them. */
  #left(record: SessionRecord): string {
    return String(Math.max(1, Math.ceil(endOf(record) - this.#now())));
  }

  /** What Redis has a session under. */
  #name(key: string): string {
    return this.#prefix + key;
  }

  /** What Redis has the mark of the verb under that ended a session. The braces put it on the server of the session. */
  #markOf(key: string): string {
    return this.#name(`over:{${this.#name(key)}}`);
  }

  /** What Redis has the keys of a user's sessions under. */
  #nameOf(user: string): string {
    return this.#name(`user:${hashOf(user)}`);
  }
}

function userOf(content: string | null | undefined): string | undefined {
  const record = decode(readContent(content ?? "")?.text ?? "");
  return typeof record === "string" ? undefined : record.user;
}
