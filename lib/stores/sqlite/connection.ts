/** SqliteConnection: opens a database, checks its files, and repeats work while another process is writing. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { reasonOf } from "../../_reason.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { KeyTakenError } from "../../store.ts";
import { ChangeError } from "../_change.ts";
import { DEADLINE } from "../_deadline.ts";
import { pause } from "../_pause.ts";
import { fileAt } from "../_sqlite_file.ts";
import { BUSY, DUPLICATE, freeReserve, FULL, makeTable, openFile, takeReserve, transact } from "./database.ts";

/**
 * While another process is writing, a verb pauses for a millisecond, and up to this many more for each verb that waits.
 * So the process tries only a few times per millisecond. SQLite itself does not wait, because the whole program would
 * wait with it.
 */
const PAUSE_PER_VERB = 0.5;
/** How long reads rely on the last check of the files, in milliseconds. */
const LOOK_AGE = 250;

/** The options of a {@linkcode SqliteConnection}. */
export interface SqliteConnectionOptions {
  /** The path of the database. */
  readonly path: string;
  /** A database that the program has opened. Without one, the connection opens the database at `path`. */
  readonly client: DatabaseSync | undefined;
  /** The table. */
  readonly table: string;
  /** Whether a commit waits for the disk. Unless given, the client's setting stays. */
  readonly sync: "normal" | "full" | undefined;
}

/** The kind of some work. `"end"` is work that ends sessions. If the disk is full, it may use the reserve. */
type Kind = "read" | "write" | "end";

/** The connection to a database. It opens at its first use. */
export class SqliteConnection {
  #options: SqliteConnectionOptions;
  #database: DatabaseSync | undefined;
  #statements = new Map<string, StatementSync>();
  #running = new Set<Promise<unknown>>();
  #isClosed = false;
  /** The identities of the files of the open database, by path. */
  #files = new Map<string, string>();
  #lookedAt = -Infinity;

  /** @param options The database and its settings. */
  constructor(options: SqliteConnectionOptions) {
    this.#options = options;
  }

  /** Runs a statement. Call it only in the work of {@linkcode do}. Returns how many rows the statement changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.prepare(sql).run(...values).changes);
  }

  /** Returns a prepared statement. Call it only in the work of {@linkcode do}. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database!.prepare(sql));
    return statement;
  }

  /**
   * Does some work without a pause, and repeats it while another process is writing. Work of the kind `"write"` or
   * `"end"` is a transaction. It fails if its commit fails.
   */
  async do<T>(kind: Kind, work: () => T): Promise<T> {
    if (this.#isClosed) throw this.#failure(new Error("the store is closed"));
    const running = this.#repeat(kind, work);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Reserves the space on the disk again, if a log-out has used it. */
  keepReserve(): void {
    if (this.#options.client === undefined) takeReserve(this.#options.path);
  }

  /** Waits for the running work, and closes the database. A database that the program gave stays open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    this.#letGo();
  }

  async #repeat<T>(kind: Kind, work: () => T): Promise<T> {
    const start = performance.now();
    let isRoomMade = false;
    while (true) {
      try {
        const database = this.#open();
        this.#look(kind === "read" ? LOOK_AGE : 0);
        return kind === "read" ? work() : transact(database, work);
      } catch (error) {
        // The low byte of SQLite's error code is the kind of the error. The other bytes are details.
        const code = error instanceof ChangeError ? 0 : (error as { errcode?: number }).errcode! & 0xff;
        if (code === FULL && !isRoomMade) {
          isRoomMade = true;
          if (kind === "end" && this.#options.client === undefined) freeReserve(this.#options.path);
          this.#restartJournal();
        } else if (code !== BUSY || performance.now() - start > DEADLINE) throw this.#failure(error);
        else await pause(1 + Math.random() * PAUSE_PER_VERB * this.#running.size);
      }
    }
  }

  #open(): DatabaseSync {
    if (this.#database !== undefined) return this.#database;
    const { path, client, table, sync } = this.#options;
    try {
      const database = this.#database = client ?? openFile(path);
      // The statements are prepared, because an error of `exec` has no error code.
      if (client === undefined) database.prepare("PRAGMA journal_mode = WAL").get();
      if (sync !== undefined) database.prepare(`PRAGMA synchronous = ${sync}`).run();
      transact(database, () => makeTable(database, table));
      const own = client === undefined ? [path, `${path}-wal`] : [path];
      if (path !== ":memory:") this.#files = new Map(own.map((path) => [path, fileAt(path)]));
      this.keepReserve();
      return database;
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  /**
   * Checks that the open files are still at their paths. If not, other processes would open other files.
   *
   * @param age The greatest age of the last check, in milliseconds. If it is older, the files are checked again.
   */
  #look(age: number): void {
    if (performance.now() - this.#lookedAt < age) return;
    for (const [path, file] of this.#files) {
      const found = fileAt(path);
      if (found === file) continue;
      throw new Error(`${path} was ${found === "" ? "removed" : "replaced"} while it was in use: put it back`);
    }
    this.#lookedAt = performance.now();
  }

  /** Makes SQLite write from the start of its journal again, so that the journal does not grow. */
  #restartJournal(): void {
    try {
      this.#database!.exec("PRAGMA wal_checkpoint(RESTART)");
    } catch {
      // The next try fails too, and its error says why.
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
