/** A database of sessions in SQLite: its file, its table, and transactions. */
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";

/**
 * The path of a database, by an address, a path or a database that is open.
 *
 * @throws {TypeError} if there is not exactly one of them, or it names no file.
 */
export function pathOf({ url, path, client }: {
  readonly url?: string | undefined;
  readonly path?: string | undefined;
  readonly client?: DatabaseSync | undefined;
}): string {
  if ([url, path, client].filter((one) => one !== undefined).length !== 1) {
    throw new TypeError('A store in SQLite needs one of "url", "path" and "client"');
  }
  if (client !== undefined) return client.location() ?? ":memory:";
  if (path !== undefined) {
    if (path !== "" && !/^(file:|:memory:)/.test(path)) return resolve(path);
    throw new TypeError(`"path" must be the path of a file: received ${JSON.stringify(path)}`);
  }
  // With slashes before it, some programs take a path for a relative one, and others for an absolute one.
  const [, named] = /^sqlite:(?!\/\/|file:|:memory:)([^?#]+)$/.exec(url!) ?? [];
  if (named !== undefined) return resolve(named);
  throw new TypeError(
    'The address must be "sqlite:" and a path without "?" and "#", such as sqlite:session_data/sessions.db: ' +
      `received ${JSON.stringify(url)}`,
  );
}

/** Makes an empty file, for its mode, which the files that SQLite puts beside it take over; and the folder. */
export function makeFile(path: string): void {
  const folder = dirname(path);
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    // Never opens one that is there: to close it would let go of the locks this process has on it.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return;
    throw error;
  }
  // SQLite waits for what it writes into files, not for the names of those that were made for it.
  for (let at = folder;; at = dirname(at)) {
    const handle = openSync(at, "r");
    fsyncSync(handle);
    closeSync(handle);
    if (made === undefined || at === dirname(made)) return;
  }
}

/** Which file a path names: the same text for the same file, an empty one for none. */
export function fileAt(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.dev}:${stat.ino}`;
}

/** How much of a disk is kept free for log-outs, in bytes. */
const RESERVE = 512 * 1024;

/** Takes some space of the disk beforehand, unless that is done or there is none. */
export function takeReserve(path: string): void {
  const reserve = `${path}-reserve`;
  try {
    if (statSync(reserve, { throwIfNoEntry: false })?.size === RESERVE) return;
    writeFileSync(reserve, new Uint8Array(RESERVE), { mode: 0o600 });
  } catch {
    // Part of it would only be in the way.
    freeReserve(path);
  }
}

/** Gives the space back. */
export function freeReserve(path: string): void {
  try {
    rmSync(`${path}-reserve`, { force: true });
  } catch {
    // Then what needs the space fails, and says so.
  }
}

/** Does some work as one transaction. */
export function transact<T>(database: DatabaseSync, work: () => T): T {
  // Prepared, because the failure of what is not has no code.
  database.prepare("BEGIN IMMEDIATE").run();
  try {
    const result = work();
    database.prepare("COMMIT").run();
    return result;
  } catch (error) {
    try {
      // After some failures SQLite has done so by itself.
      database.exec("ROLLBACK");
    } catch {
      // What matters is why it failed.
    }
    throw error;
  }
}

/** Makes the table and what belongs to it, unless they are there; refuses what somebody else made. */
export function makeTable(database: DatabaseSync, table: string): void {
  let isMade = false;
  for (const [kind, name, definition] of schemaOf(table)) {
    const sql = `CREATE ${kind} "${name}" ${definition}`;
    const row = database.prepare("SELECT sql FROM sqlite_schema WHERE name = ? COLLATE NOCASE").get(name);
    if (row === undefined) {
      database.exec(sql);
      isMade = true;
    } else if (String(row["sql"]).toLowerCase() !== sql.toLowerCase()) {
      throw new Error(`"${name}" is there and no ${kind.toLowerCase()} of this store: choose another "table"`);
    }
  }
  if (!isMade) return;
  database.exec(`DELETE FROM "${table}_total"; INSERT INTO "${table}_total" SELECT count(*) FROM "${table}"`);
}

/** What a table of sessions consists of: what it is, its name, and how it is defined. */
function schemaOf(table: string): (readonly [kind: string, name: string, definition: string])[] {
  return [
    // Beside the record stands what is asked for; "expires" counts instead of the one in the record.
    [
      "TABLE",
      table,
      "(id TEXT PRIMARY KEY, record TEXT NOT NULL, user_hash TEXT, created REAL NOT NULL, idle REAL NOT NULL, " +
      "expires REAL NOT NULL, deadline REAL NOT NULL, ends REAL AS (min(expires, deadline)), " +
      "used REAL AS (max(created, expires - idle))) STRICT",
    ],
    ["INDEX", `${table}_ends`, `ON "${table}" (ends)`],
    ["INDEX", `${table}_used`, `ON "${table}" (used)`],
    ["INDEX", `${table}_users`, `ON "${table}" (user_hash, id) WHERE user_hash IS NOT NULL`],
    // Triggers keep the count, because counting the rows would take longer the more there are.
    ["TABLE", `${table}_total`, "(n INTEGER NOT NULL) STRICT"],
    ["TRIGGER", `${table}_made`, `AFTER INSERT ON "${table}" BEGIN UPDATE "${table}_total" SET n = n + 1; END`],
    ["TRIGGER", `${table}_gone`, `AFTER DELETE ON "${table}" BEGIN UPDATE "${table}_total" SET n = n - 1; END`],
  ];
}
