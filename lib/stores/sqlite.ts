/** SqliteStore: sessions in an SQLite database, for the processes of one machine; the only user of node:sqlite. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { type Log, silent } from "../log.ts";
import { type Apply, freeze, type SessionRecord, type SessionStore, StoreFullError } from "../store.ts";
import type { OpenSharedStore } from "../server/open_store.ts";
import { checkSize, DEADLINE, logCorrupt, pause, Sweeper, toData } from "./shared.ts";

/** What a {@linkcode SqliteStore} is made of. */
export interface SqliteStoreOptions {
  /** The database's path; file and folder are made when missing, for this user only. */
  readonly path: string;
  /** Live sessions at most: 1,000,000 unless given. */
  readonly max?: number;
  /** Told of sweeps and corrupt records; says nothing unless given. */
  readonly log?: Log;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: () => number;
}

/** How many dead sessions one step of the sweep removes at most: few, since other requests wait meanwhile. */
const SWEEP_SIZE = 64;
/** How long to wait for another process without giving other requests their turn, in milliseconds. */
const BUSY_TIMEOUT = 5;
const BUSY = 5;
const DUPLICATE = 1555;

// The column "expires" holds whichever of the two limits comes first. Triggers keep the count, because counting the
// rows would take longer the more there are.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, data TEXT NOT NULL,
    created INTEGER NOT NULL, ends INTEGER NOT NULL, expires INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires);
  CREATE TABLE IF NOT EXISTS sessions_total (n INTEGER NOT NULL) STRICT;
  INSERT INTO sessions_total
    SELECT (SELECT count(*) FROM sessions) WHERE NOT EXISTS (SELECT 1 FROM sessions_total);
  CREATE TRIGGER IF NOT EXISTS sessions_made AFTER INSERT ON sessions BEGIN UPDATE sessions_total SET n = n + 1; END;
  CREATE TRIGGER IF NOT EXISTS sessions_gone AFTER DELETE ON sessions BEGIN UPDATE sessions_total SET n = n - 1; END;
`;
const COLUMNS = "data, created, ends, expires";

interface Row {
  data: string;
  created: number;
  ends: number;
  expires: number;
}

/**
 * Sessions in an SQLite database on a local disk. Any number of processes on one machine may share it.
 *
 * It survives the death of any process at any moment. Like the file store it does not wait for the disk: what was
 * stored in the last seconds before a power cut may be gone; the database itself stays whole.
 */
export class SqliteStore implements SessionStore {
  #database: DatabaseSync;
  #statements = new Map<string, StatementSync>();
  #path: string;
  #max: number;
  #log: Log;
  #now: () => number;
  #sweeper: Sweeper;

  /**
   * Opens the database, and makes it if it is missing.
   *
   * @param options The path, and what differs from the defaults.
   * @throws {Error} if it cannot be opened or written.
   */
  constructor(options: SqliteStoreOptions) {
    this.#path = options.path;
    this.#max = options.max ?? 1_000_000;
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    this.#sweeper = new Sweeper(() => this.#sweep(), SWEEP_SIZE, this.#log);
    const folder = /^(.*)\/[^/]*$/.exec(this.#path)?.[1];
    try {
      if (folder) Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
      // Made here for its mode, which the files that SQLite puts beside it take over.
      Deno.openSync(this.#path, { create: true, append: true, mode: 0o600 }).close();
      this.#database = new DatabaseSync(this.#path, { timeout: DEADLINE });
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
      this.#database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT; PRAGMA busy_timeout = ${BUSY_TIMEOUT};`);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async create(id: string, record: SessionRecord, replaces = false): Promise<void> {
    const { created, ends, expires } = record;
    const max = replaces ? Number.MAX_SAFE_INTEGER : this.#max;
    const data = JSON.stringify(record.data);
    checkSize(data);
    const sql = `INSERT INTO sessions (id, ${COLUMNS})
      SELECT ?, ?, ?, ?, ? WHERE (SELECT n FROM sessions_total) < ?`;
    const insert = () => this.#run(sql, id, data, created, ends, Math.min(expires, ends), max);
    // Some of those it holds may be over.
    const isKept = await this.#try(insert) > 0 || (await this.#sweep() > 0 && await this.#try(insert) > 0);
    if (!isKept) throw new StoreFullError(`"${this.#path}" may hold ${this.#max} sessions`);
    this.#sweeper.paid();
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return await this.#try(() => this.#read(id));
  }

  async update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined> {
    return await this.#try(() => {
      this.#run("BEGIN IMMEDIATE");
      try {
        const updated = this.#update(id, apply, expires);
        this.#run("COMMIT");
        return updated;
      } catch (error) {
        this.#run("ROLLBACK");
        throw error;
      }
    });
  }

  async touch(id: string, expires: number): Promise<boolean> {
    const sql = "UPDATE sessions SET expires = min(?, ends) WHERE id = ? AND expires > ?";
    return await this.#try(() => this.#run(sql, expires, id, this.#now())) > 0;
  }

  async delete(id: string): Promise<SessionRecord | undefined> {
    const row = await this.#try(() => this.#get(`DELETE FROM sessions WHERE id = ? RETURNING ${COLUMNS}`, id));
    return row !== undefined && row.expires > this.#now() ? this.#record(row) : undefined;
  }

  sweep(): void {
    this.#sweeper.run();
  }

  sweepAll(): Promise<number> {
    return this.#sweeper.all();
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    let last = "";
    while (true) {
      const sql = `SELECT id, ${COLUMNS} FROM sessions WHERE id > ? AND expires > ? ORDER BY id LIMIT 100`;
      const rows = await this.#try(() =>
        this.#prepare(sql).all(last, this.#now())
      ) as unknown as (Row & { id: string })[];
      for (const row of rows) {
        const record = this.#record(row);
        if (record !== undefined) yield [row.id, record];
        last = row.id;
      }
      if (rows.length === 0) return;
    }
  }

  async close(): Promise<void> {
    await this.#sweeper.close();
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #read(id: string): SessionRecord | undefined {
    const row = this.#get(`SELECT ${COLUMNS} FROM sessions WHERE id = ? AND expires > ?`, id, this.#now());
    return row && this.#record(row);
  }

  #update(id: string, apply: Apply, expires: number): SessionRecord | undefined {
    const record = this.#read(id);
    if (record === undefined) return undefined;
    const updated = freeze({ ...record, data: apply(record.data), expires: Math.min(expires, record.ends) });
    const data = JSON.stringify(updated.data);
    checkSize(data);
    this.#run("UPDATE sessions SET data = ?, expires = ? WHERE id = ?", data, updated.expires, id);
    return updated;
  }

  #sweep(): Promise<number> {
    const sql = `DELETE FROM sessions WHERE id IN
      (SELECT id FROM sessions WHERE expires <= ? ORDER BY expires LIMIT ${SWEEP_SIZE})`;
    return this.#try(() => this.#run(sql, this.#now()));
  }

  #record({ data, created, ends, expires }: Row): SessionRecord | undefined {
    const parsed = toData(data);
    if (parsed === undefined) logCorrupt(this.#log, this.#path);
    return parsed && Object.freeze({ data: parsed, created, ends, expires });
  }

  #get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }

  /** Does some work in one go; again, while another process is writing. */
  async #try<T>(work: () => T): Promise<T> {
    const start = performance.now();
    while (true) {
      try {
        return work();
      } catch (error) {
        const { errcode = 0 } = error as { errcode?: number };
        // The low byte is the kind of the failure; the others say more of it.
        if ((errcode & 0xff) !== BUSY || performance.now() - start > DEADLINE) throw this.#failure(error);
        await pause(1 + Math.random() * 4);
      }
    }
  }

  #failure(error: unknown): Error {
    const { errcode } = error as { errcode?: number };
    if (errcode === DUPLICATE) return new Error("Cannot create a session: its id is already there");
    return new Error(`SQLite "${this.#path}": ${error instanceof Error ? error.message : error}`);
  }
}

/** Opens the store for `SESSION_TYPE=sqlite`. */
// deno-lint-ignore require-await -- a failure rejects
export const open: OpenSharedStore = async ({ url, ...options }) => {
  const path = url.slice("sqlite:".length);
  // With slashes before it, some programs take a path for a relative one, and others for an absolute one.
  if (path === "" || path.startsWith("//")) {
    throw new Error('"SESSION_URL" must be "sqlite:" and a path, such as sqlite:session_data/sessions.db');
  }
  return new SqliteStore({ path, ...options });
};
