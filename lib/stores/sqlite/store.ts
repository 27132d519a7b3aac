/**
 * SqliteStore: sessions in an SQLite database, for the processes of one machine; the only user of `node:sqlite`.
 *
 * @module
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { checkTable } from "../_names.ts";
import { type Log, silent } from "../../log.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { CLOCK_SKEW, decode, encode, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, type SessionStore, StoreFullError } from "../../store.ts";
import { Pacer } from "../_pacer.ts";
import { turn } from "../_pause.ts";
import { reasonOf } from "../../_reason.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { logCorrupt } from "../_corrupt.ts";
import { DEADLINE } from "../_deadline.ts";
import { pause } from "../_pause.ts";
import { hashOf } from "../_user_hash.ts";
import { fileAt, freeReserve, makeFile, makeTable, pathOf, takeReserve, transact } from "./database.ts";

/** The options of a {@linkcode SqliteStore}: where the database is, by one of `url`, `path` and `client`. */
export interface SqliteStoreOptions {
  /** `sqlite:` and the database's path, such as `sqlite:session_data/sessions.db`. */
  readonly url?: string | undefined;
  /** The database's path; file and folder are made when missing, for this user only. */
  readonly path?: string | undefined;
  /**
   * A database that the program has open already. It stays open when the store is closed, and keeps its settings; no
   * transaction of the program may be open while a verb runs.
   */
  readonly client?: DatabaseSync | undefined;
  /** The table the sessions are kept in: `sessions` unless given. Others with names that begin with it go with it. */
  readonly table?: string | undefined;
  /** Live sessions at most: 1,000,000 unless given; `Infinity` for no limit. */
  readonly max?: number | undefined;
  /**
   * `"normal"`, unless given: changes of the last seconds before a power cut may be lost. `"full"`: a change that was
   * acknowledged is on the disk.
   */
  readonly sync?: "normal" | "full" | undefined;
  /** Told of sweeps and corrupt records. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** How many dead sessions one step of the sweep removes at most: few, since other requests wait meanwhile. */
const SWEEP_SIZE = 64;
/** How many entries are looked at for each new session. */
const LOOKS_PER_CREATE = 8;
/** How long to wait for another process without giving other requests their turn, in milliseconds. */
const BUSY_TIMEOUT = 5;
/** How long a look at the file is believed by those who only read, in milliseconds. */
const LOOK_AGE = 250;
/** What SQLite's error codes say in their low byte. */
const BUSY = 5;
const FULL = 13;
/** The code of an id that is there already. */
const DUPLICATE = 1555;

interface Row {
  readonly id: string;
  readonly record: string;
  readonly expires: number;
}

/**
 * Sessions in an SQLite database on a local disk. Any number of processes on one machine may share it.
 *
 * It survives the death of any process at any moment. Unless `sync` is `"full"` it does not wait for the disk: what was
 * stored in the last seconds before a power cut may be gone; the database itself stays whole. A database file that is
 * removed or replaced while it is in use is noticed within a second; from then on every verb rejects.
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
  #given: DatabaseSync | undefined;
  #database: DatabaseSync | undefined;
  #statements = new Map<string, StatementSync>();
  #path: string;
  #table: string;
  #max: number;
  #sync: "normal" | "full" | undefined;
  #log: Log;
  #now: () => number;
  #pacer: Pacer;
  #isReady = false;
  #running = new Set<Promise<unknown>>();
  #isClosed = false;
  #file: string | undefined;
  #lookedAt = -Infinity;

  /**
   * Makes a store; opens the database when it is used.
   *
   * @param options Where the database is, and what differs from the defaults.
   * @throws {TypeError} if not exactly one of `url`, `path` and `client` is given, or one of the options cannot be used.
   * @throws {RangeError} if `max` is no number from 1.
   */
  constructor(options: SqliteStoreOptions) {
    this.#given = options.client;
    this.#path = pathOf(options);
    this.#table = checkTable(options.table ?? "sessions");
    this.#max = options.max ?? 1_000_000;
    if (!(this.#max >= 1)) {
      throw new RangeError(`"max" must be a number from 1: received ${options.max}`);
    }
    this.#sync = options.sync ?? (this.#given ? undefined : "normal");
    if (![undefined, "normal", "full"].includes(this.#sync)) {
      throw new TypeError(`"sync" must be "normal" or "full": received ${JSON.stringify(options.sync)}`);
    }
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    const step = () => {
      if (this.#given === undefined) takeReserve(this.#path);
      return this.#sweep();
    };
    this.#pacer = new Pacer({ step, size: SWEEP_SIZE, perCreate: LOOKS_PER_CREATE, log: this.#log });
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const insert = () => this.#write(() => this.#insert(id, record));
    // Some of those it holds may be over.
    const isKept = await insert() || (await this.#sweep() > 0 && await insert());
    if (!isKept) throw new StoreFullError(`SQLite "${this.#path}" may hold ${this.#max} live sessions`);
    this.#pacer.created();
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return await this.#try(() => this.#read(id), { age: LOOK_AGE });
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#write(() => this.#replace(id, id, change));
  }

  async touch(id: string, expires: number): Promise<boolean> {
    return await this.#write(() => {
      if (this.#read(id) === undefined) return false;
      this.#run(`UPDATE "${this.#table}" SET expires = ? WHERE id = ?`, expires, id);
      return true;
    });
  }

  async delete(id: string): Promise<boolean> {
    return await this.#end(() => {
      const row = this.#row(id);
      if (row === undefined) return false;
      this.#run(`DELETE FROM "${this.#table}" WHERE id = ?`, id);
      const record = decode(row.record, row.expires);
      // A later version's record has ended just the same; whether it was live is not for this one to say.
      return record === "newer" || (record !== "corrupt" && isLive(record, this.#now()));
    });
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#end(() => this.#replace(from, to, change));
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    // All in one look: of one that gets a new id meanwhile, a second look might see neither.
    const sql = `SELECT id, record, expires FROM "${this.#table}" WHERE user_hash = ?`;
    for (const row of await this.#all(sql, hashOf(user))) {
      const record = this.#record(row);
      // Two names may have one hash only where text cannot tell them apart, so the record decides.
      if (record?.user === user) yield [row.id, record];
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    const sql = `SELECT id, record, expires FROM "${this.#table}" WHERE id > ? ORDER BY id LIMIT 100`;
    let rows: Row[] = [];
    do {
      rows = await this.#all(sql, rows.at(-1)?.id ?? "");
      for (const row of rows) {
        const record = this.#record(row);
        if (record !== undefined) yield [row.id, record];
      }
    } while (rows.length > 0);
  }

  sweep(): void {
    this.#pacer.run();
  }

  async sweepAll(): Promise<number> {
    let removed = 0;
    while (true) {
      const some = await this.#sweep();
      if (some === 0) return removed;
      removed += some;
      await turn();
    }
  }

  async ready(): Promise<void> {
    await this.#try(() => this.#row(""), {});
  }

  async close(): Promise<void> {
    await this.#pacer.close();
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    this.#letGo();
  }

  #insert(id: string, record: SessionRecord): boolean {
    const { created, idle, expires, deadline, user } = record;
    const sql = `INSERT INTO "${this.#table}" (id, record, user_hash, created, idle, expires, deadline)
      SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT n FROM "${this.#table}_total") < ?`;
    return this.#run(sql, id, encode(record), hashOrNull(user), created, idle, expires, deadline, this.#max) > 0;
  }

  #read(id: string): SessionRecord | undefined {
    const row = this.#row(id);
    return row && this.#record(row);
  }

  #replace(from: string, to: string, change: Change): SessionRecord | undefined {
    const record = this.#read(from);
    if (record === undefined) return undefined;
    const changed = freeze(applyChange(change, record));
    const { created, idle, expires, deadline, user } = changed;
    const sql = `UPDATE "${this.#table}" SET id = ?, record = ?, user_hash = ?,
      created = ?, idle = ?, expires = ?, deadline = ? WHERE id = ?`;
    this.#run(sql, to, encode(changed), hashOrNull(user), created, idle, expires, deadline, from);
    return changed;
  }

  #all(sql: string, ...values: SQLInputValue[]): Promise<Row[]> {
    return this.#try(() => this.#prepare(sql).all(...values) as unknown as Row[], { age: LOOK_AGE });
  }

  #sweep(): Promise<number> {
    // What isLive refuses: over, or from a time that has not come yet.
    const sql = `DELETE FROM "${this.#table}" WHERE rowid IN (SELECT rowid FROM "${this.#table}" WHERE ends <= ?
      UNION ALL SELECT rowid FROM "${this.#table}" WHERE used > ? LIMIT ${SWEEP_SIZE})`;
    return this.#write(() => this.#run(sql, this.#now(), this.#now() + CLOCK_SKEW));
  }

  #row(id: string): Row | undefined {
    return this.#prepare(`SELECT id, record, expires FROM "${this.#table}" WHERE id = ?`).get(id) as Row | undefined;
  }

  /** The session of a row, if it is one and is live. */
  #record(row: Row): SessionRecord | undefined {
    const record = decode(row.record, row.expires);
    if (record === "corrupt") logCorrupt(this.#log, `SQLite "${this.#path}"`);
    return typeof record === "object" && isLive(record, this.#now()) ? record : undefined;
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database!.prepare(sql));
    return statement;
  }

  /** Makes a change in a transaction of its own, so that a commit that fails is a failure. */
  #write<T>(work: () => T): Promise<T> {
    return this.#try(() => transact(this.#database!, work), {});
  }

  /** The same for what ends a session: it may take what space there is left. */
  #end<T>(work: () => T): Promise<T> {
    return this.#try(() => transact(this.#database!, work), { reserve: this.#given ? "none" : "use" });
  }

  /**
   * Does some work in one go; again, while another process is writing.
   *
   * @param options How old the last look at the database's file may be, in milliseconds, and whether the reserve may be
   * used when the disk is full.
   */
  async #try<T>(work: () => T, options: { age?: number; reserve?: "none" | "use" }): Promise<T> {
    if (this.#isClosed) throw this.#failure(new Error("the store is closed"));
    const running = this.#again(work, options);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #again<T>(
    work: () => T,
    { age = 0, reserve = "none" }: { age?: number; reserve?: "none" | "use" },
  ): Promise<T> {
    const start = performance.now();
    let isRoomMade = false;
    while (true) {
      try {
        this.#open();
        this.#look(age);
        return work();
      } catch (error) {
        // The low byte is the kind of the failure; the others say more of it.
        const kind = error instanceof ChangeError ? 0 : (error as { errcode?: number }).errcode! & 0xff;
        if (kind === FULL && !isRoomMade) {
          isRoomMade = true;
          if (reserve === "use") freeReserve(this.#path);
          this.#startJournal();
        } else if (kind !== BUSY || performance.now() - start > DEADLINE) throw this.#failure(error);
        else await pause(1 + Math.random() * 4);
      }
    }
  }

  #open(): void {
    if (this.#isReady) return;
    try {
      if (this.#given === undefined) makeFile(this.#path);
      this.#database = this.#given ?? new DatabaseSync(this.#path, { timeout: DEADLINE });
      if (this.#given === undefined) this.#database.prepare("PRAGMA journal_mode = WAL").get();
      if (this.#sync !== undefined) this.#database.exec(`PRAGMA synchronous = ${this.#sync}`);
      transact(this.#database, () => makeTable(this.#database!, this.#table));
      if (this.#given === undefined) this.#database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
      if (this.#path !== ":memory:") this.#file = fileAt(this.#path);
      if (this.#given === undefined) takeReserve(this.#path);
      this.#isReady = true;
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  /** Looks whether the path still names the file that is open: others would use another one. */
  #look(age: number): void {
    if (this.#file === undefined || performance.now() - this.#lookedAt < age) return;
    const file = fileAt(this.#path);
    if (file !== this.#file) {
      const what = file === "" ? "removed" : "replaced";
      throw new Error(`its file was ${what} while it was in use: put it back, or start the program anew`);
    }
    this.#lookedAt = performance.now();
  }

  /** Lets the journal start anew in the space it has. */
  #startJournal(): void {
    try {
      this.#database!.exec("PRAGMA wal_checkpoint(RESTART)");
    } catch {
      // The next attempt says so.
    }
  }

  #letGo(): void {
    this.#statements.clear();
    this.#isReady = false;
    if (this.#given === undefined && this.#database?.isOpen) this.#database.close();
    this.#database = undefined;
  }

  #failure(error: unknown): unknown {
    if (error instanceof ChangeError) return error.cause;
    if (error instanceof RecordTooLargeError) return error;
    const { errcode } = error as { errcode?: number };
    if (errcode === DUPLICATE) return new Error("Cannot create a session: its id is already there");
    return new Error(`SQLite "${this.#path}": ${reasonOf(error)}`);
  }
}

function hashOrNull(user: string | undefined): string | null {
  return user === undefined ? null : hashOf(user);
}
