/** SqliteConnection: an open database whose files are watched, and work on it that is tried again while it is busy. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { reasonOf } from "../../_reason.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { KeyTakenError } from "../../store.ts";
import { ChangeError } from "../_change.ts";
import { DEADLINE } from "../_deadline.ts";
import { pause } from "../_pause.ts";
import { fileAt } from "../_sqlite_file.ts";
import { BUSY, DUPLICATE, freeReserve, FULL, makeTable, openFile, takeReserve, transact } from "./database.ts";

/** How long to wait for another process without giving other requests their turn, in milliseconds. */
const BUSY_TIMEOUT = 5;
/** How long a look at the files counts for reading, in milliseconds. */
const LOOK_AGE = 250;

/** What a connection needs to know. */
export interface SqliteConnectionOptions {
  /** The path of the database. */
  readonly path: string;
  /** A database that the program has open; otherwise the connection opens one. */
  readonly client: DatabaseSync | undefined;
  /** The table. */
  readonly table: string;
  /** Whether a commit waits for the disk; a client's own setting stays as it is unless this is given. */
  readonly sync: "normal" | "full" | undefined;
}

/** How some work is done. */
interface Conditions {
  /** How old the last look at the files may be, in milliseconds. */
  readonly lookAge: number;
  /** Whether the work may use the reserve when the disk is full. */
  readonly usesReserve: boolean;
}

/** A database that is opened at its first use. */
export class SqliteConnection {
  #options: SqliteConnectionOptions;
  #database: DatabaseSync | undefined;
  #statements = new Map<string, StatementSync>();
  #running = new Set<Promise<unknown>>();
  #isClosed = false;
  /** The files that the open database consists of, by path. */
  #files = new Map<string, string>();
  #lookedAt = -Infinity;

  /** @param options Where the database is. */
  constructor(options: SqliteConnectionOptions) {
    this.#options = options;
  }

  /** Runs a statement. Only for work that a method below does. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.prepare(sql).run(...values).changes);
  }

  /** A prepared statement. Only for work that a method below does. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database!.prepare(sql));
    return statement;
  }

  /** Reads in one go. */
  async read<T>(work: () => T): Promise<T> {
    return await this.#try(work, { lookAge: LOOK_AGE, usesReserve: false });
  }

  /** Makes a change in a transaction of its own, so that a commit that fails is a failure. */
  async write<T>(work: () => T): Promise<T> {
    return await this.#try(() => transact(this.#database!, work), { lookAge: 0, usesReserve: false });
  }

  /** The same for work that ends sessions: it may use the reserve when the disk is full. */
  async end<T>(work: () => T): Promise<T> {
    return await this.#try(() => transact(this.#database!, work), { lookAge: 0, usesReserve: true });
  }

  /** Takes the reserve again after a log-out has used it. */
  keepReserve(): void {
    if (this.#options.client === undefined) takeReserve(this.#options.path);
  }

  /** Waits for what runs, and closes the database unless it is the program's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    this.#letGo();
  }

  /** Does some work in one go; again, while another process is writing. */
  async #try<T>(work: () => T, conditions: Conditions): Promise<T> {
    if (this.#isClosed) throw this.#failure(new Error("the store is closed"));
    const running = this.#again(work, conditions);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #again<T>(work: () => T, { lookAge, usesReserve }: Conditions): Promise<T> {
    const start = performance.now();
    let isRoomMade = false;
    while (true) {
      try {
        this.#open();
        this.#look(lookAge);
        return work();
      } catch (error) {
        // The low byte is the kind of the failure; the others say more of it.
        const kind = error instanceof ChangeError ? 0 : (error as { errcode?: number }).errcode! & 0xff;
        if (kind === FULL && !isRoomMade) {
          isRoomMade = true;
          if (usesReserve && this.#options.client === undefined) freeReserve(this.#options.path);
          this.#startJournal();
        } else if (kind !== BUSY || performance.now() - start > DEADLINE) throw this.#failure(error);
        else await pause(1 + Math.random() * 4);
      }
    }
  }

  #open(): void {
    if (this.#database !== undefined) return;
    const { path, client, table, sync } = this.#options;
    try {
      const database = this.#database = client ?? openFile(path, DEADLINE);
      if (sync !== undefined) database.exec(`PRAGMA synchronous = ${sync}`);
      transact(database, () => makeTable(database, table));
      const own = client === undefined ? [path, `${path}-wal`] : [path];
      if (path !== ":memory:") this.#files = new Map(own.map((path) => [path, fileAt(path)]));
      if (client === undefined) database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
      this.keepReserve();
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  /** Looks whether the paths still name the files that are open: other processes would use other ones. */
  #look(age: number): void {
    if (performance.now() - this.#lookedAt < age) return;
    for (const [path, file] of this.#files) {
      const found = fileAt(path);
      if (found === file) continue;
      throw new Error(`${path} was ${found === "" ? "removed" : "replaced"} while it was in use: put it back`);
    }
    this.#lookedAt = performance.now();
  }

  /** Lets the journal begin again in the space it has. */
  #startJournal(): void {
    try {
      this.#database!.exec("PRAGMA wal_checkpoint(RESTART)");
    } catch {
      // The next attempt fails and says why.
    }
  }

  #letGo(): void {
    this.#statements.clear();
    if (this.#options.client === undefined && this.#database?.isOpen) this.#database.close();
    this.#database = undefined;
  }

  #failure(error: unknown): unknown {
    if (error instanceof ChangeError) return error.cause;
    if (error instanceof RecordTooLargeError) return error;
    if ((error as { errcode?: number }).errcode === DUPLICATE) return new KeyTakenError();
    return new Error(`SQLite "${this.#options.path}": ${reasonOf(error)}`);
  }
}
