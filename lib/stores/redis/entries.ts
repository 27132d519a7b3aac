/** RedisEntries: one value per session, and one sorted set per user, with the keys of the user's sessions. */
import { isId } from "../../id.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW } from "../../record.ts";
import { CALL_DEADLINE, within } from "../_deadline.ts";
import type { Entries, Entry, EntryWrite, NewEntry } from "../entries.ts";
import type { NodeClient, RedisConnection } from "./connection.ts";
import { tryCommands } from "./ready.ts";
import { FORGET, HIDE, NOTE, SHOW, VERSION_LENGTH, WRITE } from "./scripts.ts";

/** How long a new entry may be hidden during a move, in milliseconds: longer than any verb takes. */
const HIDDEN_AGE = 10_000;
/** How long a verb waits for the update of a user's set, in milliseconds. */
const SET_WAIT = CALL_DEADLINE / 2;
/**
 * If there is room for more sessions than this, all keys of the database are counted as sessions: that is quick. Nearer
 * to the maximum, the sessions are listed, because other keys must not take their room.
 */
const OTHER_KEYS = 1000;
/** About how many of a user's keys are read in one step. */
const PAGE = 100;
/** The part of a hidden value after the version: the session's old key, the time `until`, and the content. */
const HIDDEN = /^>(\w+) ([\d.]+) (.*)$/s;

/** The options of {@linkcode RedisEntries}. */
export interface RedisEntriesOptions {
  readonly connection: RedisConnection;
  /** The prefix of the store's keys. */
  readonly prefix: string;
  /** The most live sessions. */
  readonly max: number;
  readonly log: Log;
  readonly now: () => number;
}

/** Sessions as values in Redis. */
export class RedisEntries implements Entries {
  #connection: RedisConnection;
  #prefix: string;
  #max: number;
  #log: Log;
  #now: () => number;

  /** @param options The connection, the prefix of the keys, and the options of the store. */
  constructor({ connection, prefix, max, log, now }: RedisEntriesOptions) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#max = max;
    this.#log = log;
    this.#now = now;
  }

  open(): Promise<unknown> | undefined {
    return this.#connection.open();
  }

  async check(): Promise<void> {
    await tryCommands(this.#connection, this.#prefix, this.#log);
  }

  reconnect(): void {
    this.#connection.reconnect();
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async get(key: string): Promise<Entry | undefined> {
    const get = (name: string) => this.#connection.ask((client) => client.get(name)) as Promise<string | null>;
    // A value moves from the first name to the second, never back. So the second may be read after the first.
    const value = await get(this.#name(key)) ?? await get(this.#nameOfEnded(key));
    return value === null ? undefined : await this.#shown(key, value);
  }

  async getMany(keys: readonly string[]): Promise<Entry[]> {
    const entries = await Promise.all(keys.map((key) => this.get(key)));
    return entries.filter((entry) => entry !== undefined);
  }

  async put(write: EntryWrite): Promise<boolean> {
    const { entry, seen } = write;
    if (entry.record === undefined) return await this.putMany([write]);
    const noting = this.#note(entry);
    // The key of a new session is added to its user's set first. So no stored session is missing from the set.
    if (seen === undefined) await noting;
    const [isDone] = await Promise.all([this.#write(write), noting]);
    return isDone;
  }

  async putMany(writes: readonly EntryWrite[]): Promise<boolean> {
    const outcomes = await Promise.all(writes.map((write) => this.#write(write)));
    const ended = writes.filter((_, index) => outcomes[index]).map(({ entry }) => entry);
    for (const [user, some] of Map.groupBy(ended, ({ user }) => user)) {
      if (user === undefined) continue;
      await this.#briefly(this.#run(FORGET, [this.#nameOf(user)], some.map(({ key }) => key)));
    }
    return ended.length === writes.length;
  }

  async putBoth(from: EntryWrite, to: EntryWrite): Promise<boolean> {
    await this.#note(to.entry);
    const isDone = await (this.#connection.isCluster ? this.#putInSteps(from, to) : this.#write(from, to.entry));
    // The old key stays in the user's set as long as its entry exists.
    if (isDone) await this.#briefly(this.#note(from.entry));
    return isDone;
  }

  /** In a Cluster the two keys can be on different servers. The new value is hidden until the old one is written. */
  async #putInSteps(from: EntryWrite, { entry: { key, version, content, until } }: EntryWrite): Promise<boolean> {
    const hidden = `${version}>${from.entry.key} ${until} ${content}`;
    const isHidden = await this.#run(HIDE, this.#namesOf(key), [hidden, String(HIDDEN_AGE)]);
    if (isHidden !== 1 || !await this.#write(from)) return false;
    await this.#show(key, hidden, version + content, until);
    return true;
  }

  async *list(): AsyncGenerator<Entry | undefined> {
    const known = new Set<string>();
    const masters = await this.#connection.ask((client) => Promise.all(this.#connection.masters(client)));
    for (const master of masters) {
      let cursor = "0";
      do {
        const step = ["SCAN", cursor, "MATCH", this.#name("*"), "COUNT", "1000"];
        const [next, names] = await master.sendCommand(step) as [string, string[]];
        cursor = next;
        // SCAN also finds other keys of the store, and keys of a program whose prefix begins with this one.
        const keys = names.map((name) => name.slice(this.#prefix.length)).filter((key) => isId(key) && !known.has(key));
        for (const key of keys) known.add(key);
        yield* await this.getMany(keys);
        // Among many keys of other programs, the next session's key may be far away.
        yield undefined;
      } while (cursor !== "0");
    }
  }

  async *ofUser(user: string): AsyncGenerator<Entry> {
    let next = "0";
    // ZSCAN returns every key that is in the set from its first step to its last one. If a session moves in between, it
    // returns the old key.
    do {
      const step = this.#connection.ask((client) => client.zScan(this.#nameOf(user), next, { COUNT: PAGE }));
      const { cursor, members } = await step as { cursor: string; members: { value: string }[] };
      next = String(cursor);
      yield* await this.getMany(members.map(({ value }) => value));
    } while (next !== "0");
  }

  /** Counts all keys of the database. Returns `undefined` near the maximum: some keys may be no live sessions. */
  async count(): Promise<number | undefined> {
    const sizeOf = async (master: Promise<NodeClient>) => await (await master).sendCommand(["DBSIZE"]);
    const sizes = await this.#connection.ask((client) => {
      const masters = this.#connection.masters(client);
      return Promise.allSettled(masters.map((master) => within("DBSIZE", sizeOf(master), CALL_DEADLINE / 2)));
    });
    // While one server of a Cluster is unreachable, the keys of the others are counted.
    const counted = sizes.filter((size) => size.status === "fulfilled");
    if (counted.length === 0) throw (sizes[0] as PromiseRejectedResult).reason;
    const total = counted.reduce((sum, { value }) => sum + Number(value), 0);
    return total + OTHER_KEYS < this.#max ? total : undefined;
  }

  /** Writes an entry. If the session moves, also writes its new entry, `to`. */
  async #write({ entry, seen = "" }: EntryWrite, to?: NewEntry): Promise<boolean> {
    const names = [...this.#namesOf(entry.key), ...(to === undefined ? [] : [this.#name(to.key)])];
    const values = [entry, ...(to === undefined ? [] : [to])].map(({ version, content, until }) => [
      version + content,
      this.#left(until),
    ]);
    const kind = entry.record === undefined ? "over" : "live";
    const [[value, left], more = []] = values as [[string, string], [string, string]?];
    return await this.#run(WRITE, names, [String(seen), value, left, kind, ...more]) === 1;
  }

  /**
   * Decodes a value. A hidden value belongs to a move. If the old entry was written, the rest of the move is done here.
   * If not, there is no entry yet.
   */
  async #shown(key: string, value: string): Promise<Entry | undefined> {
    const version = value.slice(0, VERSION_LENGTH);
    const rest = value.slice(VERSION_LENGTH);
    const [, from, until, content] = HIDDEN.exec(rest) ?? [];
    if (from === undefined) return { key, version, content: rest };
    if ((await this.get(from))?.version !== version) return undefined;
    await this.#show(key, value, version + content, Number(until));
    return { key, version, content: content! };
  }

  async #show(key: string, hidden: string, value: string, until: number): Promise<void> {
    await this.#run(SHOW, [this.#name(key)], [hidden, value, this.#left(until)]);
  }

  /** Adds a session's key to its user's set. */
  async #note({ key, user, record, until }: NewEntry): Promise<void> {
    if (user === undefined) return;
    await this.#run(NOTE, [this.#nameOf(user)], [key, this.#left(record?.deadline ?? until)]);
  }

  /** Waits for the update of a user's set, but not long. A key that stays in the set does no harm. */
  async #briefly(work: Promise<unknown>): Promise<void> {
    await within(this.#connection.server, work, SET_WAIT).catch(() => {});
  }

  async #run(script: string, keys: string[], values: string[]): Promise<unknown> {
    return await this.#connection.ask((client) => client.eval(script, { keys, arguments: values }));
  }

  /** The milliseconds until Redis may remove a value. `CLOCK_SKEW` is added, because the clocks of servers differ. */
  #left(until: number): string {
    return String(Math.max(1, Math.ceil(until - this.#now())) + CLOCK_SKEW);
  }

  /** The name of a session's key in Redis. */
  #name(key: string): string {
    return this.#prefix + key;
  }

  /** The name of the value of a session that moved or ended. The braces put it into the same slot of a Cluster. */
  #nameOfEnded(key: string): string {
    return this.#name(`over:{${this.#name(key)}}`);
  }

  #namesOf(key: string): string[] {
    return [this.#name(key), this.#nameOfEnded(key)];
  }

  /** The name of the set of a user's keys. */
  #nameOf(user: string): string {
    return this.#name(`user:${user}`);
  }
}
