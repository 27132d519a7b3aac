/** An SQLite database of sessions: its file, its table, and transactions. Only this file loads `node:sqlite`. */
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";
import type { DatabaseSync } from "node:sqlite";
import type { Rule } from "../../_options.ts";
import { fileAt } from "../_sqlite_file.ts";

/** The rule for `url`. It allows no `//` before the path: programs disagree whether such a path is relative. */
export const URL_RULE: Rule = {
  needed: '"sqlite:" and a path without "?" and "#", such as sqlite:session_data/sessions.db',
  accepts: (value) => typeof value === "string" && /^sqlite:(?!\/\/|file:|:memory:)[^?#]+$/.test(value),
};
/** The rule for the option `path`. */
export const PATH_RULE: Rule = {
  needed: "the path of a file",
  accepts: (value) => typeof value === "string" && /^(?!file:|:memory:)[^]/.test(value),
};

/**
 * The path of the database that the options name.
 *
 * @throws {TypeError} unless exactly one of `url`, `path` and `client` is given.
 */
export function pathOf({ url, path, client }: {
  readonly url?: string | undefined;
  readonly path?: string | undefined;
  readonly client?: DatabaseSync | undefined;
}): string {
  if ([url, path, client].filter((one) => one !== undefined).length !== 1) {
    throw new TypeError('Cannot make a SqliteStore: it needs one of "url", "path" and "client"');
  }
  if (client !== undefined) return client.location?.() ?? ":memory:";
  return resolve(path ?? url!.slice("sqlite:".length));
}

/** SQLite's error code for "another connection is writing", https://sqlite.org/rescode.html. */
export const BUSY = 5;
/** The error code for "the disk is full, or the database has reached its size limit". */
export const FULL = 13;
/** The error code for "the key is already there". */
export const DUPLICATE = 2067;

/**
 * Opens the database in a file. If the file is missing, it is made. SQLite does not wait for other processes.
 *
 * @throws {Error} if the file or its journal was removed while a process used it. The data is complete only in both.
 */
export function openFile(path: string): DatabaseSync {
  // SQLite makes the file first, then the journal, then the journal's index. It removes them in the opposite order.
  const [file, journal, index] = ["", "-wal", "-shm"].map((end) => fileAt(path + end) !== "");
  const lost = !file && (journal || index) ? path : !journal && index ? `${path}-wal` : undefined;
  if (lost !== undefined) {
    const message = `${lost} was removed while it was in use: put it back, or, if it is lost, remove ${path}-* too`;
    // Another process may be making or removing the files at this moment. With this code, the connection tries again.
    throw Object.assign(new Error(message), { errcode: BUSY });
  }
  makeFile(path);
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  return new DatabaseSync(path);
}

/** Makes the folder, and an empty file that only its owner may use. SQLite gives the files beside it the same mode. */
function makeFile(path: string): void {
  const folder = dirname(path);
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    // This must not open an existing file: closing it would release the locks that this process has on it.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return;
    throw error;
  }
  // SQLite writes the content of its files to the disk, but does not wait until the disk has the name of a new file.
  for (let at = folder;; at = dirname(at)) {
    const handle = openSync(at, "r");
    fsyncSync(handle);
    closeSync(handle);
    if (made === undefined || at === dirname(made)) return;
  }
}

/** The space on the disk that is reserved for log-outs, in bytes. */
const RESERVE = 512 * 1024;

/** Reserves space on the disk for log-outs, unless it is already reserved, or there is no space. */
export function takeReserve(path: string): void {
  const reserve = `${path}-reserve`;
  try {
    if (statSync(reserve, { throwIfNoEntry: false })?.size === RESERVE) return;
    writeFileSync(reserve, new Uint8Array(RESERVE), { mode: 0o600 });
  } catch {
    // A part of the reserve would be of no use.
    freeReserve(path);
  }
}

/** Releases the reserved space. */
export function freeReserve(path: string): void {
  try {
    rmSync(`${path}-reserve`, { force: true });
  } catch {
    // The verb that needs the space fails, and its error says why.
  }
}

/** Does some work as one transaction. */
export function transact<T>(database: DatabaseSync, work: () => T): T {
  // The statement is prepared, because an error of `exec` has no error code.
  database.prepare("BEGIN IMMEDIATE").run();
  try {
    const result = work();
    database.prepare("COMMIT").run();
    return result;
  } catch (error) {
    try {
      database.exec("ROLLBACK");
    } catch {
      // After some errors, SQLite has already rolled back.
    }
    throw error;
  }
}

/** Makes the table with its indexes and triggers, unless they are there. Refuses a table of another program. */
export function makeTable(database: DatabaseSync, table: string): void {
  let isMade = false;
  for (const [kind, name, definition] of schemaOf(table)) {
    const sql = `CREATE ${kind} "${name}" ${definition}`;
    const row = database.prepare("SELECT sql FROM sqlite_schema WHERE name = ? COLLATE NOCASE").get(name);
    if (row === undefined) {
      database.exec(sql);
      isMade = true;
    } else if (String(row["sql"]).toLowerCase() !== sql.toLowerCase()) {
      throw new Error(`"${name}" is not a ${kind.toLowerCase()} of this store: choose another "table"`);
    }
  }
  if (!isMade) return;
  database.exec(`DELETE FROM "${table}_total"; INSERT INTO "${table}_total" SELECT count(*) FROM "${table}"`);
}

/** The table of sessions, with its indexes, triggers and second table: the kind, name and definition of each. */
function schemaOf(table: string): (readonly [kind: string, name: string, definition: string])[] {
  return [
    // Statements need the columns beside the record. "expires" replaces the one in the record.
    [
      "TABLE",
      table,
      "(number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, record TEXT NOT NULL, user_hash TEXT, " +
      "created REAL NOT NULL, idle REAL NOT NULL, expires REAL NOT NULL, deadline REAL NOT NULL, " +
      "ends REAL AS (min(expires, deadline)), used REAL AS (max(created, expires - idle))) STRICT",
    ],
    ["INDEX", `${table}_ends`, `ON "${table}" (ends)`],
    ["INDEX", `${table}_used`, `ON "${table}" (used)`],
    ["INDEX", `${table}_users`, `ON "${table}" (user_hash) WHERE user_hash IS NOT NULL`],
    // Triggers keep the number of sessions up to date, because counting many sessions takes long.
    ["TABLE", `${table}_total`, "(n INTEGER NOT NULL) STRICT"],
    ["TRIGGER", `${table}_made`, `AFTER INSERT ON "${table}" BEGIN UPDATE "${table}_total" SET n = n + 1; END`],
    ["TRIGGER", `${table}_gone`, `AFTER DELETE ON "${table}" BEGIN UPDATE "${table}_total" SET n = n - 1; END`],
  ];
}
