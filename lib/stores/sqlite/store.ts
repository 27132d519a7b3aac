/**
 * SqliteStore: sessions in an SQLite database, for the processes of one machine.
 *
 * @module
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { oneOf, STRING } from "../../_options.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, type SessionStore, type StoredSession, StoreFullError } from "../../store.ts";
import { checkStoreOptions, clientRule, type StoreOptions } from "../_options.ts";
import { applyChange } from "../_change.ts";
import { logCorrupt } from "../_corrupt.ts";
import { checkTable } from "../_names.ts";
import { Pacer } from "../_pacer.ts";
import { turn } from "../_pause.ts";
import { UpdateBatcher } from "../_update_batcher.ts";
import { hashOf } from "../_user_hash.ts";
import { SqliteConnection } from "./connection.ts";
import { PATH_RULE, pathOf, URL_RULE } from "./database.ts";

/** The options of a {@linkcode SqliteStore}. It needs one of `url`, `path` and `client`. */
export interface SqliteStoreOptions extends StoreOptions {
  /** The address of the database: `sqlite:` and its path, such as `sqlite:session_data/sessions.db`. */
  readonly url?: string | undefined;
  /** The path of the database. If the file or its folder is missing, it is made, and only its owner may use it. */
  readonly path?: string | undefined;
  /**
   * A database that the program has opened. The store does not close it. It changes none of its settings but that of
   * `sync`, if given. The program must not have an open transaction while a verb runs.
   */
  readonly client?: DatabaseSync | undefined;
  /** The table: `sessions` unless given. The names of indexes, triggers and a second table begin with its name. */
  readonly table?: string | undefined;
  /**
   * When a change is on the disk. `"normal"`, the default: within about half a minute after it was acknowledged. It
   * survives if the process dies, but a power cut may undo it. `"full"`: before it is acknowledged, so a power cut does
   * not undo it.
   */
  readonly sync?: "normal" | "full" | undefined;
}

/** The most sessions that one step of the sweep removes. It is small, because other requests wait for the step. */
const SWEEP_SIZE = 64;
/** How many expired sessions may be swept for each new session, in steps of `SWEEP_SIZE`. */
const SWEPT_PER_CREATE = 8;
/**
 * How long one transaction may end sessions, in milliseconds. After it, other requests have their turn. It is short,
 * because the commit comes on top, and takes up to 20 ms on a slow disk if SQLite moves its journal into the database.
 */
const SLICE = 2;
/** The most sessions that are read in one batch. After it, other requests have their turn. */
const BATCH = 50;
/** If the records of a batch have more characters than this, the batch ends early. */
const BATCH_LENGTH = 200_000;

/** A row of the table. */
interface Row {
  readonly number: number;
  readonly key: string;
  readonly record: string;
  readonly expires: number;
}

/**
 * Sessions in an SQLite database on a local disk. Any number of processes of one machine may share it.
 *
 * The sessions survive if a process dies at any moment. Unless `sync` is `"full"`, the store does not wait for the
 * disk. Then a power cut may undo the changes of the last half minute, but it does not damage the database. If the
 * database's file or its journal (`-wal`) is removed or replaced while it is in use, every verb rejects within a
 * second, until the same file is back.
 *
 * The store needs permission to read and write the folder of the database. SQLite makes two files beside the database.
 * The store makes one of half a megabyte. If the disk is full, log-outs use the space of that file.
 *
 * @example
 * ```ts
 * import { SessionManager } from "sessions";
 * import { SqliteStore } from "sessions/sqlite";
 * import { assert } from "@std/assert";
 *
 * const path = `${Deno.makeTempDirSync()}/sessions.db`;
 * const sessions = new SessionManager({
 *   store: new SqliteStore({ path }),
 *   keys: ["a secret key of at least 32 bytes"],
 * });
 * const session = await sessions.open(new Request("http://localhost/"));
 * session.set("theme", "dark");
 * const response = await sessions.commit(session, new Response("Hello"));
 * assert(response.headers.has("set-cookie"));
 * await sessions.close();
 * ```
 */
export class SqliteStore implements SessionStore {
  #connection: SqliteConnection;
  #name: string;
  #table: string;
  #max: number;
  #log: Log;
  #now: () => number;
  #pacer: Pacer;
  #updates = new UpdateBatcher((key, change) => this.#connection.do("write", () => this.#replace(key, key, change)));

  /**
   * Makes a store. It opens the database at its first use.
   *
   * @param options The database, and the options that differ from their defaults.
   * @throws {TypeError} if an option is unknown or invalid; the message names it.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: SqliteStoreOptions) {
    const { max, log, now } = checkStoreOptions("SqliteStore", options, {
      url: URL_RULE,
      path: PATH_RULE,
      client: clientRule("a DatabaseSync of node:sqlite", ["prepare", "exec", "createSession"]),
      table: STRING,
      sync: oneOf("normal", "full"),
    });
    const { client, table = "sessions", sync = client ? undefined : "normal" } = options;
    const path = pathOf(options);
    this.#connection = new SqliteConnection({ path, client, table, sync });
    this.#name = `SQLite "${path}"`;
    [this.#table, this.#max, this.#log, this.#now] = [checkTable(table), max, log, now];
    const step = () => {
      this.#connection.keepReserve();
      return this.#sweep();
    };
    this.#pacer = new Pacer({ step, size: SWEEP_SIZE, perCreate: SWEPT_PER_CREATE, log });
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    const insert = () => this.#connection.do("write", () => this.#insert(key, record));
    // If the store is full, some of its sessions may have expired.
    const isKept = await insert() || (await this.#sweep() > 0 && await insert());
    if (!isKept) throw new StoreFullError(`Cannot create a session: ${this.#name} may hold ${this.#max} live sessions`);
    this.#pacer.created();
    await this.#pacer.keepUp();
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    return await this.#connection.do("read", () => this.#read(key));
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#updates.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    return await this.#connection.do("write", () => {
      if (this.#read(key) === undefined) return false;
      this.#connection.run(`UPDATE "${this.#table}" SET expires = ? WHERE key = ?`, expires, key);
      return true;
    });
  }

  async delete(key: string): Promise<boolean> {
    return (await this.deleteMany([key])).length > 0;
  }

  async deleteMany(keys: readonly string[]): Promise<readonly string[]> {
    const ended: string[] = [];
    for (let next = 0; next < keys.length;) {
      if (next > 0) await turn();
      const slice = await this.#connection.do("end", () => this.#removeFrom(keys, next));
      ended.push(...slice.ended);
      next = slice.next;
    }
    return ended;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#connection.do("end", () => this.#replace(from, to, change));
  }

  async *sessionsOf(user: string): AsyncGenerator<StoredSession> {
    for await (const row of this.#rows("user_hash = ?", hashOf(user))) {
      const content = this.#decode(row);
      const record = this.#live(content);
      if (content === "newer") yield [row.key, undefined];
      // Two names that are not well-formed strings can have the same hash, so the record is compared.
      else if (record?.user === user) yield [row.key, record];
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    for await (const row of this.#rows("TRUE")) {
      const record = this.#live(this.#decode(row));
      if (record !== undefined) yield [row.key, record];
    }
  }

  sweep(): void {
    this.#pacer.run();
  }

  async sweepAll(onRemoved?: (count: number) => void): Promise<number> {
    let removed = 0;
    while (true) {
      const some = await this.#sweep();
      if (some === 0) return removed;
      removed += some;
      onRemoved?.(some);
      await turn();
    }
  }

  async ready(): Promise<void> {
    await this.#connection.do("write", () => this.#connection.run(`UPDATE "${this.#table}_total" SET n = n`));
  }

  async close(): Promise<void> {
    await this.#pacer.close();
    await this.#connection.close();
  }

  #insert(key: string, record: SessionRecord): boolean {
    const sql = `INSERT INTO "${this.#table}" (key, record, user_hash, created, idle, expires, deadline)
      SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT n FROM "${this.#table}_total") < ?`;
    return this.#connection.run(sql, ...valuesOf(key, record), this.#max) > 0;
  }

  #read(key: string): SessionRecord | undefined {
    const sql = `SELECT number, key, record, expires FROM "${this.#table}" WHERE key = ?`;
    const row = this.#connection.prepare(sql).get(key) as Row | undefined;
    return row && this.#live(this.#decode(row));
  }

  #replace(from: string, to: string, change: Change): SessionRecord | undefined {
    const record = this.#read(from);
    if (record === undefined) return undefined;
    const changed = freeze(applyChange(change, record));
    const sql = `UPDATE "${this.#table}" SET key = ?, record = ?, user_hash = ?,
      created = ?, idle = ?, expires = ?, deadline = ? WHERE key = ?`;
    this.#connection.run(sql, ...valuesOf(to, changed), from);
    return changed;
  }

  /** Ends a live session, also one that a newer version of the library wrote. Returns whether there was one. */
  #remove(key: string): boolean {
    const sql = `DELETE FROM "${this.#table}" WHERE key = ? AND ends > ? AND used <= ?`;
    return this.#connection.run(sql, key, this.#now(), this.#now() + CLOCK_SKEW) > 0;
  }

  /** Ends the sessions of the keys from `next` on, until the time of one transaction is over. */
  #removeFrom(keys: readonly string[], next: number): { ended: string[]; next: number } {
    const ended: string[] = [];
    const start = performance.now();
    while (next < keys.length && performance.now() - start < SLICE) {
      const key = keys[next++]!;
      if (this.#remove(key)) ended.push(key);
    }
    return { ended, next };
  }

  #sweep(): Promise<number> {
    // As `isLive` does, this refuses sessions that are over, and sessions whose last use is in the future.
    const sql = `DELETE FROM "${this.#table}" WHERE number IN (SELECT number FROM "${this.#table}" WHERE ends <= ?
      UNION ALL SELECT number FROM "${this.#table}" WHERE used > ? LIMIT ${SWEEP_SIZE})`;
    return this.#connection.do("write", () => this.#connection.run(sql, this.#now(), this.#now() + CLOCK_SKEW));
  }

  /**
   * Reads the sessions for which a condition holds, in batches. A session that gets a new key keeps its number, so no
   * session is missed.
   */
  async *#rows(condition: string, ...values: SQLInputValue[]): AsyncGenerator<Row> {
    const sql = `SELECT number, key, record, expires FROM "${this.#table}"
      WHERE ${condition} AND number > ? ORDER BY number LIMIT ${BATCH}`;
    for (let last = 0;;) {
      const rows = await this.#connection.do("read", () => {
        const some: Row[] = [];
        let length = 0;
        for (const found of this.#connection.prepare(sql).iterate(...values, last)) {
          const row = found as unknown as Row;
          some.push(row);
          length += row.record.length;
          if (length > BATCH_LENGTH) break;
        }
        return some;
      });
      if (rows.length === 0) return;
      yield* rows;
      last = rows.at(-1)!.number;
      await turn();
    }
  }

  #decode(row: Row): SessionRecord | "corrupt" | "newer" {
    const record = decode(row.record, row.expires);
    if (record === "corrupt") logCorrupt(this.#log, this.#name);
    return record;
  }

  #live(content: SessionRecord | "corrupt" | "newer"): SessionRecord | undefined {
    return typeof content === "object" && isLive(content, this.#now()) ? content : undefined;
  }
}

function valuesOf(key: string, record: SessionRecord): SQLInputValue[] {
  const { created, idle, expires, deadline, user } = record;
  return [key, encode(record), user === undefined ? null : hashOf(user), created, idle, expires, deadline];
}
