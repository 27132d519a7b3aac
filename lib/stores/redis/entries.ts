/** The entries of a Redis store: a value for each session, and for each user a sorted set of the user's keys. */
import { isId } from "../../id.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW } from "../../record.ts";
import { CALL_DEADLINE, within } from "../_deadline.ts";
import type { Entries, Entry, EntryWrite, NewEntry } from "../entries.ts";
import type { RedisConnection } from "./connection.ts";
import { tryCommands } from "./ready.ts";
import { FORGET, HIDE, NOTE, SHOW, VERSION_LENGTH, WRITE } from "./scripts.ts";

/** How long the new key of a session that moves may be hidden, in milliseconds: longer than any verb takes. */
const HIDDEN_AGE = 10_000;
/** How long a verb waits until a key is dropped from its user's set, in milliseconds. */
const DROP_WAIT = CALL_DEADLINE / 2;
/** How many of a user's keys are read in one step. */
const PAGE = 100;
/** What follows the version in a hidden value: the key that the session comes from, its end, and its content. */
const HIDDEN = /^>(\w+) ([\d.]+) (.*)$/s;

/** What {@linkcode RedisEntries} need to know. */
export interface RedisEntriesOptions {
  readonly connection: RedisConnection;
  /** What the store's keys begin with. */
  readonly prefix: string;
  /** How many sessions there may be. */
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

  /** @param options Where they are. */
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
    // A key that is gone never comes back, so the second may be read after the first.
    const value = await get(this.#name(key)) ?? await get(this.#nameOfEnded(key));
    return value === null ? undefined : await this.#shown(key, value);
  }

  async getMany(keys: readonly string[]): Promise<Entry[]> {
    const entries = await Promise.all(keys.map((key) => this.get(key)));
    return entries.filter((entry) => entry !== undefined);
  }

  async put(write: EntryWrite): Promise<boolean> {
    const { entry, seen } = write;
    if (entry.record === undefined) return await this.#write(write) && await this.#drop(entry);
    const noting = this.#note(entry);
    // A new session is noted before it is there, so that it is never missing.
    if (seen === undefined) await noting;
    const [isDone] = await Promise.all([this.#write(write), noting]);
    return isDone;
  }

  async putMany(writes: readonly EntryWrite[]): Promise<boolean> {
    return (await Promise.all(writes.map((write) => this.put(write)))).every(Boolean);
  }

  async swap(from: EntryWrite, { entry: to }: EntryWrite): Promise<boolean> {
    await this.#note(to);
    if (!this.#connection.isCluster) return await this.#write(from, to) && await this.#drop(from.entry);
    // In a Cluster the two keys lie on different servers. The new value is hidden until the old one is written.
    const hidden = `${to.version}>${from.entry.key} ${to.until} ${to.content}`;
    const isHidden = await this.#run(HIDE, this.#namesOf(to.key), [hidden, String(HIDDEN_AGE)]);
    if (isHidden !== 1 || !await this.put(from)) return false;
    await this.#show(to.key, hidden, to.version + to.content, to.until);
    return true;
  }

  async *list(): AsyncGenerator<Entry> {
    const known = new Set<string>();
    const masters = await this.#connection.ask((client) => this.#connection.masters(client));
    for (const master of masters) {
      let cursor = "0";
      do {
        const step = ["SCAN", cursor, "MATCH", this.#name("*"), "COUNT", "1000"];
        const [next, names] = await master.sendCommand(step) as [string, string[]];
        cursor = next;
        // Other keys of the store, and those of a program whose prefix begins with this one, are no sessions.
        const keys = names.map((name) => name.slice(this.#prefix.length)).filter((key) => isId(key) && !known.has(key));
        for (const key of keys) known.add(key);
        yield* await this.getMany(keys);
      } while (cursor !== "0");
    }
  }

  async *ofUser(user: string): AsyncGenerator<Entry> {
    let next = "0";
    // ZSCAN gives all keys that are in the set from its first step to its last one. Where a session moves in between, that
    // is its old key.
    do {
      const step = this.#connection.ask((client) => client.zScan(this.#nameOf(user), next, { COUNT: PAGE }));
      const { cursor, members } = await step as { cursor: string; members: { value: string }[] };
      next = String(cursor);
      yield* await this.getMany(members.map(({ value }) => value));
    } while (next !== "0");
  }

  /** Counts all keys, which may be more than the sessions; `undefined` if they are too many to tell. */
  async count(): Promise<number | undefined> {
    const sizes = await this.#connection.ask(async (client) => {
      const masters = await this.#connection.masters(client);
      return await Promise.allSettled(masters.map((master) => master.sendCommand(["DBSIZE"])));
    });
    // While one of a Cluster's servers is away, the others go on.
    const counted = sizes.filter((size) => size.status === "fulfilled");
    if (counted.length === 0) throw (sizes[0] as PromiseRejectedResult).reason;
    const total = counted.reduce((sum, { value }) => sum + Number(value), 0);
    return total < this.#max ? total : undefined;
  }

  /** Writes an entry, and the new one of a session that moves. */
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

  /** The entry of a value. A move that got as far as its deciding step is finished; any other is hidden. */
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

  /** Puts a session's key among its user's. */
  async #note({ key, user, record, until }: NewEntry): Promise<void> {
    if (user === undefined) return;
    await this.#run(NOTE, [this.#nameOf(user)], [key, this.#left(record?.deadline ?? until)]);
  }

  /** Takes the key of an ended session from its user's; of one that moved, soon. A key that stays is no error. */
  async #drop(entry: NewEntry): Promise<true> {
    const { key, user, movedTo } = entry;
    if (user === undefined) return true;
    const dropping = movedTo === undefined ? this.#run(FORGET, [this.#nameOf(user)], [key]) : this.#note(entry);
    await within(this.#connection.server, dropping, DROP_WAIT).catch(() => {});
    return true;
  }

  async #run(script: string, keys: string[], values: string[]): Promise<unknown> {
    return await this.#connection.ask((client) => client.eval(script, { keys, arguments: values }));
  }

  /** How long Redis keeps what is needed until a time, in milliseconds: longer, as the clocks of servers differ. */
  #left(until: number): string {
    return String(Math.max(1, Math.ceil(until - this.#now())) + CLOCK_SKEW);
  }

  /** The name of a session's key in Redis. */
  #name(key: string): string {
    return this.#prefix + key;
  }

  /** The name that its value has when the session moved or ended. The braces put it on the same server of a Cluster. */
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
