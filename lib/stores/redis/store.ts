/**
 * RedisStore: sessions in Redis or Valkey, alone, behind Sentinel or as a Cluster.
 *
 * @module
 */
import { isId } from "../../id.ts";
import { type Log, silent } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, endOf, isLive, type SessionRecord } from "../../record.ts";
import { type Change, type SessionStore, StoreFullError } from "../../store.ts";
import { type RedisClient, RedisConnection } from "./connection.ts";
import { tryCommands } from "./ready.ts";
import { CREATE, EXPIRE, FORGET, KEEP, NOTE, RELEASE, REPLACE, TOUCH } from "./scripts.ts";
import { applyChange } from "../_change.ts";
import { compareAndSet } from "../_compare_and_set.ts";
import { logCorrupt } from "../_corrupt.ts";
import { DeadlineError, within } from "../_deadline.ts";
import { checkPrefix } from "../_names.ts";
import { hashOf } from "../_user_hash.ts";

export type { RedisClient };

/** The options of a {@linkcode RedisStore}: where Redis is, or a client of it. */
export interface RedisStoreOptions {
  /**
   * Where Redis is: `redis://user:password@host:port/database`, `rediss://` with TLS, `redis+unix:///path?db=0` for a
   * socket. `?sentinel=NAME` makes the host a Sentinel that knows the master of that name, `?cluster` a node of a
   * Cluster; `&node=host:port` adds another one.
   */
  readonly url?: string | undefined;
  /** A client that the program has already, connected or not; the store does not close it. */
  readonly client?: RedisClient | undefined;
  /** What the keys begin with: `session:` unless given. Another one for each application that shares this Redis. */
  readonly prefix?: string | undefined;
  /** Live sessions at most: 1,000,000 unless given; `Infinity` for no limit, and no counting. */
  readonly max?: number | undefined;
  /** Told of lost connections and corrupt records. Without it, nothing is logged. */
  readonly log?: Log | undefined;
}

/** How long the mark of an ended session is kept, in milliseconds: twice as long as any verb may take, or more. */
const MARK_AGE = 10_000;
/** How long to wait until an entry of a user's is removed, in milliseconds. */
const FORGET_WAIT = 500;
/** How many sessions are asked for at once. */
const BATCH = 100;
/** A count of the sessions is believed for this many times as long as it took. */
const COUNT_SHARE = 20;
/** How long a new session waits for a count, in milliseconds. */
const COUNT_WAIT = 200;
/** How often, in milliseconds, a full store looks for sessions that can go. */
const SWEEP_AGE = 60_000;
/** How long a new session waits for that, in milliseconds. */
const SWEEP_WAIT = 500;

interface Found {
  readonly record: SessionRecord;
  readonly text: string;
}

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
  #total = 0;
  #countedUntil = -Infinity;
  #counting: Promise<void> | undefined;
  #underway = 0;
  #made = 0;
  #sweptAt = -Infinity;
  #sweeping: Promise<number> | undefined;

  /**
   * Makes a store; it connects when it is first used.
   *
   * @param options Where Redis is, and what differs from the defaults.
   * @throws {TypeError} if the address cannot be used or has a part that would not be, or the prefix cannot be one.
   * @throws {RangeError} if the maximum is no number from 1.
   */
  constructor(options: RedisStoreOptions) {
    this.#prefix = checkPrefix(options.prefix ?? "session:");
    this.#max = options.max ?? 1_000_000;
    if (!(this.#max >= 1)) throw new RangeError(`"max" must be a number from 1: received ${this.#max}`);
    this.#log = options.log ?? silent;
    this.#connection = new RedisConnection({ ...options, log: this.#log });
    this.#server = this.#connection.server;
  }

  /**
   * Connects, and tries every command that the store needs.
   *
   * @throws {Error} if Redis cannot be reached, or refuses one of them.
   */
  async ready(): Promise<void> {
    await within(
      this.#server,
      tryCommands(this.#connection, { prefix: this.#prefix, counts: this.#max !== Infinity, log: this.#log }),
    );
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const text = encode(record);
    await within(
      this.#server,
      this.#counted(async () => {
        await this.#note(id, record);
        const values = { keys: [this.#key(id)], arguments: [text, leftOf(record)] };
        const isMade = await this.#connection.untilAnswered((client) => client.eval(CREATE, values)) === 1;
        if (!isMade) throw new Error("Cannot create a session: its id is already there");
      }),
    );
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return (await within(this.#server, this.#live(id)))?.record;
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    return await within(
      this.#server,
      compareAndSet(async () => {
        const found = await this.#live(id);
        if (found === undefined) return undefined;
        const { text, record } = changed(change, found.record);
        if (record.deadline > found.record.deadline) await this.#note(id, record);
        const values = { keys: [this.#key(id)], arguments: [found.text, text, leftOf(record)] };
        return await this.#connection.once((client) => client.eval(REPLACE, values)) === 1 ? record : "again";
      }),
    );
  }

  async touch(id: string, expires: number): Promise<boolean> {
    const values = { keys: [this.#key(id)], arguments: [String(expires), String(Date.now())] };
    return await within(this.#server, this.#connection.untilAnswered((client) => client.eval(TOUCH, values))) === 1;
  }

  async delete(id: string): Promise<boolean> {
    const mark = crypto.randomUUID();
    return await within(
      this.#server,
      this.#release(id, [mark, String(MARK_AGE)]).then(async ([outcome, text]) => {
        if (outcome !== "done") return false;
        this.#total--;
        await this.#forget(id, userOf(text));
        return true;
      }),
    );
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await within(this.#server, this.#move(from, to, change));
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    const key = this.#userKey(user);
    const ids = await within(
      this.#server,
      this.#connection.untilAnswered((client) => client.zRange(key, 0, -1)),
    ) as string[];
    for (let start = 0; start < ids.length; start += BATCH) {
      for (const [id, { record }] of await this.#those(ids.slice(start, start + BATCH))) {
        if (record.user === user && isLive(record, Date.now())) yield [id, record];
      }
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    const seen = new Set<string>();
    for await (const ids of this.#ids()) {
      for (const [id, { record }] of await this.#those(ids.filter((id) => !seen.has(id)))) {
        seen.add(id);
        if (isLive(record, Date.now())) yield [id, record];
      }
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
    await Promise.allSettled([this.#counting, this.#sweeping]);
  }

  async #move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    const mark = crypto.randomUUID();
    const { isCluster } = this.#connection;
    let record: SessionRecord | undefined;
    let isMade = false;
    try {
      const moved = await compareAndSet(async () => {
        const found = await this.#live(from);
        if (found === undefined) return undefined;
        const next = changed(change, found.record);
        record = next.record;
        await this.#note(to, record);
        // In a Cluster the two lie on different servers, so the new one comes first, for a moment only. Nobody knows its
        // id: if this ends half-way, Redis removes it soon.
        if (isCluster) {
          isMade = true;
          const made = { keys: [this.#key(to)], arguments: [next.text, String(MARK_AGE)] };
          await this.#connection.untilAnswered((client) => client.eval(KEEP, made));
        }
        const values = [mark, String(MARK_AGE), found.text, next.text, leftOf(record)];
        const [outcome] = await this.#release(from, values, isCluster ? [] : [this.#key(to)]);
        if (outcome === "changed") return "again";
        if (outcome !== "done") return undefined;
        if (isCluster) {
          const stays = { keys: [this.#key(to)], arguments: [leftOf(record)] };
          await this.#connection.untilAnswered((client) => client.eval(EXPIRE, stays));
        }
        await this.#forget(from, found.record.user);
        return record;
      });
      if (moved === undefined && isMade) await this.#undo(to, record);
      return moved;
    } catch (error) {
      if (isMade) await this.#undo(to, record);
      throw error;
    }
  }

  /** Takes back what a move made, so that nothing is there that nobody knows; at worst it stays until it ends. */
  async #undo(to: string, record: SessionRecord | undefined): Promise<void> {
    await this.#release(to, [crypto.randomUUID(), String(MARK_AGE)]).catch(() => {});
    await this.#forget(to, record?.user);
  }

  /** Ends a session. It may be asked again after a lost answer, and returns what happened all the same. */
  async #release(id: string, values: string[], more: string[] = []): Promise<["done" | "gone" | "changed", string?]> {
    const key = this.#key(id);
    // The braces put the mark on the server that has the session.
    const keys = [key, this.#key(`over:{${key}}`), ...more];
    const script = { keys, arguments: values };
    return await this.#connection.untilAnswered((client) => client.eval(RELEASE, script)) as ["done", string?];
  }

  /** Puts a session's id among its user's, before the session is there, so that it is never missing. */
  async #note(id: string, { user, deadline }: SessionRecord): Promise<void> {
    if (user === undefined) return;
    const left = Math.ceil(deadline - Date.now());
    const values = { keys: [this.#userKey(user)], arguments: [id, String(left), String(CLOCK_SKEW)] };
    await this.#connection.untilAnswered((client) => client.eval(NOTE, values));
  }

  /** Drops an id that will never be a session again. If it stays, it is no error, and goes with its deadline. */
  async #forget(id: string, user: string | undefined): Promise<void> {
    if (user === undefined) return;
    const values = { keys: [this.#userKey(user)], arguments: [id] };
    // Nobody waits long for that, least of all to log out.
    const forgetting = this.#connection.once((client) => client.eval(FORGET, values));
    await within(this.#server, forgetting, FORGET_WAIT).catch(() => {});
  }

  async #live(id: string): Promise<Found | undefined> {
    const found = await this.#find(id);
    return found !== undefined && isLive(found.record, Date.now()) ? found : undefined;
  }

  async #find(id: string): Promise<Found | undefined> {
    const key = this.#key(id);
    // Both commands leave in one packet, in this order; whatever comes between them, the id is never made anew.
    const [left, text] = await this.#connection.untilAnswered((client) =>
      Promise.all([client.pTTL(key), client.get(key)])
    ) as [number, string | null];
    const now = Date.now();
    if (text === null || left <= 0) return undefined;
    const record = decode(text);
    if (record === "corrupt") logCorrupt(this.#log, this.#server);
    if (typeof record === "string") return undefined;
    // Where the deadline cuts the idle limit short, the key lives until the deadline only.
    if (record.expires >= record.deadline) return { record, text };
    return { record: Object.freeze({ ...record, expires: now + left }), text };
  }

  async #those(ids: readonly string[]): Promise<(readonly [string, Found])[]> {
    const found = await within(this.#server, Promise.all(ids.map(async (id) => [id, await this.#find(id)] as const)));
    return found.filter((one): one is readonly [string, Found] => one[1] !== undefined);
  }

  /** The ids of all sessions, some at a time; one may come twice. */
  async *#ids(): AsyncGenerator<string[]> {
    const masters = await within(this.#server, this.#connection.once((client) => this.#connection.masters(client)));
    for (const master of masters) {
      let cursor = "0";
      do {
        const step = master.sendCommand(["SCAN", cursor, "MATCH", this.#key("*"), "COUNT", "1000"]);
        const [next, keys] = await within(this.#server, step) as [string, string[]];
        cursor = next;
        // Other keys of ours, and those of another application whose prefix begins with this one, are no sessions.
        yield keys.map((key) => key.slice(this.#prefix.length)).filter(isId);
      } while (cursor !== "0");
    }
  }

  /** Makes a session, if there is room for it. */
  async #counted(create: () => Promise<void>): Promise<void> {
    if (this.#max !== Infinity && !await this.#hasRoom()) {
      throw new StoreFullError(`Cannot create a session: ${this.#server} may hold ${this.#max} live sessions`);
    }
    this.#underway++;
    this.#made++;
    this.#total++;
    try {
      await create();
    } catch (error) {
      this.#total--;
      throw error;
    } finally {
      this.#underway--;
    }
  }

  /** Other programs may have keys here, too. So the sessions are counted only when there are many keys in all. */
  async #hasRoom(): Promise<boolean> {
    const sizes = await this.#connection.once(async (client) => {
      const masters = await this.#connection.masters(client);
      return await Promise.allSettled(masters.map((master) => master.sendCommand(["DBSIZE"])));
    });
    // While one of a Cluster's servers is away, the others go on.
    const [first] = sizes;
    if (first?.status === "rejected" && sizes.every(({ status }) => status === "rejected")) throw first.reason;
    const keys = sizes.reduce((sum, size) => sum + (size.status === "fulfilled" ? size.value as number : 0), 0);
    if (keys + this.#underway < this.#max) return true;
    if (performance.now() >= this.#countedUntil) {
      const counting = this.#counting ??= this.#count().finally(() => this.#counting = undefined);
      // Where that takes long, what is known goes on counting meanwhile.
      await within(this.#server, counting, COUNT_WAIT).catch((error) => {
        if (!(error instanceof DeadlineError)) throw error;
      });
    }
    return this.#total < this.#max;
  }

  /** Removes sessions from a time that has not come yet; those that are over Redis removes by itself. */
  async #sweep(): Promise<number> {
    let swept = 0;
    for await (const ids of this.#ids()) {
      for (const [id, { record, text }] of await this.#those(ids)) {
        if (isLive(record, Date.now())) continue;
        const values = [crypto.randomUUID(), String(MARK_AGE), text];
        const [outcome] = await within(this.#server, this.#release(id, values));
        if (outcome === "done") swept++;
      }
    }
    return swept;
  }

  async #count(): Promise<void> {
    const start = performance.now();
    // Whether those made meanwhile are seen cannot be told; they are counted, so that there are never too many.
    let total = this.#underway;
    const before = this.#made;
    for await (const ids of this.#ids()) total += ids.length;
    if (total >= this.#max && start - this.#sweptAt > SWEEP_AGE) {
      this.#sweptAt = start;
      this.#sweeping = this.#sweep().catch(() => 0);
      total -= await within(this.#server, this.#sweeping, SWEEP_WAIT).catch(() => 0);
    }
    this.#total = total + this.#made - before;
    const end = performance.now();
    this.#countedUntil = end + COUNT_SHARE * (end - start);
  }

  #key(name: string): string {
    return this.#prefix + name;
  }

  #userKey(user: string): string {
    return this.#key(`user:${hashOf(user)}`);
  }
}

/** What a change makes of a record, and its text. */
function changed(change: Change, record: SessionRecord): Found {
  const text = encode(applyChange(change, record));
  return { text, record: decode(text) as SessionRecord };
}

function userOf(text: string | undefined): string | undefined {
  const record = text === undefined ? "corrupt" : decode(text);
  return typeof record === "string" ? undefined : record.user;
}

/** Milliseconds until a session ends, as Redis takes them. */
function leftOf(record: SessionRecord): string {
  return String(Math.max(1, Math.ceil(endOf(record) - Date.now())));
}
