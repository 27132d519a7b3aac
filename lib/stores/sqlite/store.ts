/**
 * SqliteStore: sessions in an SQLite database, for the processes of one machine.
 *
 * @module
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { oneOf } from "../../_options.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, type SessionStore, type StoredSession, StoreFullError } from "../../store.ts";
import { checkStoreOptions, clientWith, NAME, type StoreOptions } from "../_options.ts";
import { applyChange } from "../_change.ts";
import { logCorrupt } from "../_corrupt.ts";
import { checkTable } from "../_names.ts";
import { Pacer } from "../_pacer.ts";
import { turn } from "../_pause.ts";
import { Together } from "../_together.ts";
import { hashOf } from "../_user_hash.ts";
import { SqliteConnection } from "./connection.ts";
import { PATH, pathOf, URL } from "./database.ts";

/** The options of a {@linkcode SqliteStore}: where the database is, by one of `url`, `path` and `client`. */
export interface SqliteStoreOptions extends StoreOptions {
  /** `sqlite:` and the database's path, such as `sqlite:session_data/sessions.db`. */
  readonly url?: string | undefined;
  /** The database's path. The file and its folder are made when missing, for this user only. */
  readonly path?: string | undefined;
  /**
   * An open database of the program's own. It stays open when the store is closed, and keeps its settings. No
   * transaction of the program may be open while a verb runs.
   */
  readonly client?: DatabaseSync | undefined;
  /** The table the sessions are kept in: `sessions` unless given. Others with names that begin with it go with it. */
  readonly table?: string | undefined;
  /**
   * `"normal"`, unless given: changes of the last seconds before a power cut may be lost. `"full"`: a change that was
   * acknowledged is on the disk.
   */
  readonly sync?: "normal" | "full" | undefined;
}

/** How many dead sessions one step of the sweep removes at most: few, since other requests wait in between. */
const SWEEP_SIZE = 64;
/** How many entries are looked at for each new session. */
const LOOKS_PER_CREATE = 8;
/** How many sessions are read at once, and about how many characters of them. */
const BATCH = 50;
const BATCH_LENGTH = 200_000;
/** How long one transaction goes on ending sessions before other requests have their turn, in milliseconds. */
const SLICE = 5;
interface Row {
  readonly number: number;
  readonly key: string;
  readonly record: string;
  readonly expires: number;
}

/**
 * Sessions in an SQLite database on a local disk. Any number of processes on one machine may share it.
 *
 * It survives the death of any process at any moment. Unless `sync` is `"full"` it does not wait for the disk: what was
 * stored in the last seconds before a power cut may be gone; the database itself stays whole. If the database's file or
 * its journal (`-wal`) is removed or replaced while it is in use, every verb rejects within a second, until the same
 * file is back.
 *
 * It needs leave to read and write the folder the database is in: SQLite puts two files beside it, and this store one
 * of half a megabyte, whose space a log-out takes when the disk is full.
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
  #together = new Together((key, change) => this.#connection.write(() => this.#replace(key, key, change)));

  /**
   * Makes a store. It opens the database at its first use.
   *
   * @param options Where the database is, and what differs from the defaults.
   * @throws {TypeError} naming an option that cannot be used; {@linkcode RangeError} for a number that is out of range.
   */
  constructor(options: SqliteStoreOptions) {
    const { max, log, now } = checkStoreOptions("SqliteStore", options, {
      url: URL,
      path: PATH,
      client: clientWith("a DatabaseSync of node:sqlite", "prepare", "exec", "createSession"),
      table: NAME,
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
    this.#pacer = new Pacer({ step, size: SWEEP_SIZE, perCreate: LOOKS_PER_CREATE, log });
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    const insert = () => this.#connection.write(() => this.#insert(key, record));
    // Some of the sessions it holds may be over.
    const isKept = await insert() || (await this.#sweep() > 0 && await insert());
    if (!isKept) throw new StoreFullError(`${this.#name} may hold ${this.#max} live sessions`);
    this.#pacer.created();
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    return await this.#connection.read(() => this.#read(key));
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#together.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    return await this.#connection.write(() => {
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
      const slice = () => {
        const start = performance.now();
        const some: string[] = [];
        let at = next;
        do {
          if (this.#remove(keys[at]!)) some.push(keys[at]!);
          at++;
        } while (at < keys.length && performance.now() - start < SLICE);
        return [at, some] as const;
      };
      const [at, some] = await this.#connection.end(slice);
      next = at;
      ended.push(...some);
    }
    return ended;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#connection.end(() => this.#replace(from, to, change));
  }

  async *sessionsOf(user: string): AsyncGenerator<StoredSession> {
    for await (const row of this.#rows("user_hash = ?", hashOf(user))) {
      const record = this.#decode(row);
      if (record === "newer") yield [row.key, undefined];
      // Strings that are not well-formed share a hash, so the record decides.
      else if (this.#isLive(record) && record.user === user) yield [row.key, record];
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    for await (const row of this.#rows("TRUE")) {
      const record = this.#decode(row);
      if (this.#isLive(record)) yield [row.key, record];
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
    await this.#connection.write(() => this.#connection.run(`UPDATE "${this.#table}_total" SET n = n`));
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
    const row = this.#row(key);
    const record = row && this.#decode(row);
    return this.#isLive(record) ? record : undefined;
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

  /** Removes a row. Returns whether that ended a session. */
  #remove(key: string): boolean {
    const row = this.#row(key);
    if (row === undefined) return false;
    this.#connection.run(`DELETE FROM "${this.#table}" WHERE key = ?`, key);
    const record = this.#decode(row);
    // Whether a record of a later version was live is not for this version to say.
    return record === "newer" || this.#isLive(record);
  }

  #sweep(): Promise<number> {
    // What isLive refuses: sessions that are over, and those from a time that has not come yet.
    const sql = `DELETE FROM "${this.#table}" WHERE number IN (SELECT number FROM "${this.#table}" WHERE ends <= ?
      UNION ALL SELECT number FROM "${this.#table}" WHERE used > ? LIMIT ${SWEEP_SIZE})`;
    return this.#connection.write(() => this.#connection.run(sql, this.#now(), this.#now() + CLOCK_SKEW));
  }

  #row(key: string): Row | undefined {
    const sql = `SELECT number, key, record, expires FROM "${this.#table}" WHERE key = ?`;
    return this.#connection.prepare(sql).get(key) as Row | undefined;
  }

  /**
   * The rows for which a condition holds, some at a time. A session that gets a new key keeps its number, so none is
   * missed.
   */
  async *#rows(condition: string, ...values: SQLInputValue[]): AsyncGenerator<Row> {
    const sql = `SELECT number, key, record, expires FROM "${this.#table}"
      WHERE ${condition} AND number > ? ORDER BY number LIMIT ${BATCH}`;
    for (let last = 0;;) {
      const rows = await this.#connection.read(() => {
        const some: Row[] = [];
        let length = 0;
        for (const row of this.#connection.prepare(sql).iterate(...values, last) as IterableIterator<unknown>) {
          some.push(row as Row);
          length += (row as Row).record.length;
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

  #isLive(record: SessionRecord | "corrupt" | "newer" | undefined): record is SessionRecord {
    return typeof record === "object" && isLive(record, this.#now());
  }
}

function valuesOf(key: string, record: SessionRecord): SQLInputValue[] {
  const { created, idle, expires, deadline, user } = record;
  return [key, encode(record), user === undefined ? null : hashOf(user), created, idle, expires, deadline];
}
