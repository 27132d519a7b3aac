/** PostgresEntries: one row per session. The row of a session that moved or ended is kept for a while. */
import { CLOCK_SKEW, type SessionRecord } from "../../record.ts";
import type { Entries, Entry, EntryWrite, NewEntry } from "../entries.ts";
import { codeOf, CONNECT_TIMEOUT, type PostgresPool, type Row, type Value } from "./pool.ts";
import { makeTable } from "./table.ts";

/** The most rows that one step of a sweep removes for each of its two conditions. */
export const SWEEP_SIZE = 500;
/** How long a count may take, in milliseconds. No request waits for all of it. */
const COUNT_DEADLINE = 20_000;
/** The most rows that one query of a list returns. */
const BATCH = 100;
/** The error code of a missing table, https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const UNDEFINED_TABLE = "42P01";

/** Sessions as rows of a table. */
export class PostgresEntries implements Entries {
  #pool: PostgresPool;
  #table: string;
  #now: () => number;
  #opening: Promise<void> | undefined;
  #isOpen = false;

  /**
   * @param pool The connections to the database.
   * @param table The name of the table, quoted for SQL.
   * @param now The clock, in milliseconds since 1970.
   */
  constructor(pool: PostgresPool, table: string, now: () => number) {
    this.#pool = pool;
    this.#table = table;
    this.#now = now;
  }

  /** Before the first use of the table, creates it if it is missing, and checks it. */
  open(): Promise<void> | undefined {
    if (this.#isOpen) return undefined;
    return this.#opening ??= this.#makeTable()
      .then(() => void (this.#isOpen = true))
      .finally(() => this.#opening = undefined);
  }

  /** Creates the table if it is missing, and checks it. If a host is silent, tries the next one. */
  async #makeTable(): Promise<void> {
    const hosts = this.#pool.address?.hosts.length ?? 1;
    for (let tries = 1;; tries++) {
      try {
        return await makeTable((statement) => this.#pool.ask(statement), this.#table);
      } catch (error) {
        if (tries === hosts || codeOf(error) !== CONNECT_TIMEOUT) throw error;
      }
    }
  }

  async check(): Promise<void> {
    this.#isOpen = false;
    await this.open();
  }

  reconnect(): void {
    this.#pool.reconnect();
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  async get(key: string): Promise<Entry | undefined> {
    const [row] = await this.#ask(`select key, content, version from ${this.#table} where key = $1`, [key]);
    return row && toEntry(row);
  }

  async getMany(keys: readonly string[]): Promise<Entry[]> {
    const statement = `select key, content, version from ${this.#table}
      where key in (select json_array_elements_text($1::text::json))`;
    return (await this.#ask(statement, [JSON.stringify(keys)])).map(toEntry);
  }

  async put({ entry, seen }: EntryWrite): Promise<boolean> {
    const statement = seen === undefined
      ? `insert into ${this.#table} (key, content, version, user_hash, until, used) values ($1, $2, $3, $4, $5, $6)
        on conflict do nothing returning key`
      : `update ${this.#table} set content = $2, version = $3, user_hash = $4, until = $5, used = $6
        where key = $1 and version = $7 returning key`;
    const rows = await this.#ask(statement, [...valuesOf(entry), ...(seen === undefined ? [] : [seen])]);
    return rows.length === 1;
  }

  async putBoth(from: EntryWrite, to: EntryWrite): Promise<boolean> {
    const statement = `
      with moved as (
        update ${this.#table} set content = $2, version = $3, user_hash = $4, until = $5, used = $6
        where key = $1 and version = $7 returning key
      )
      insert into ${this.#table} (key, content, version, user_hash, until, used)
      select $8::text, $9::text, $10::text, $11::text, $12::double precision, $13::double precision from moved
      returning key`;
    const rows = await this.#ask(statement, [...valuesOf(from.entry), from.seen!, ...valuesOf(to.entry)]);
    return rows.length === 1;
  }

  async putMany(writes: readonly EntryWrite[]): Promise<boolean> {
    const statement = `
      update ${this.#table} as old set content = w.content, version = w.version, user_hash = w.user_hash,
        until = w.until, used = w.used
      from json_to_recordset($1::text::json) as w (key text, content text, version text, user_hash text,
        until double precision, used double precision, seen text)
      where old.key = w.key and old.version = w.seen returning old.key`;
    const values = writes.map(({ entry, seen }) => {
      const [key, content, version, user_hash, until, used] = valuesOf(entry);
      return { key, content, version, user_hash, until, used, seen };
    });
    return (await this.#ask(statement, [JSON.stringify(values)])).length === writes.length;
  }

  async *list(): AsyncGenerator<Entry> {
    const statement = `select key, content, version from ${this.#table} where key > $1 and used is not null
      order by key limit ${BATCH}`;
    let rows: readonly Row[] = [];
    do {
      rows = await this.#ask(statement, [String(rows.at(-1)?.["key"] ?? "")]);
      for (const row of rows) yield toEntry(row);
    } while (rows.length === BATCH);
  }

  async *ofUser(user: string): AsyncGenerator<Entry> {
    // Pages ordered by key would be slow: the database would sort all rows of the user for each page, until its
    // statistics show that the user has many.
    const rows = await this.#ask(`select key from ${this.#table} where user_hash = $1`, [user]);
    for (let start = 0; start < rows.length; start += BATCH) {
      yield* await this.getMany(rows.slice(start, start + BATCH).map(({ key }) => String(key)));
    }
  }

  async count(): Promise<number> {
    const now = this.#now();
    const isLive = `used <= ${now + CLOCK_SKEW} and until > ${now}`;
    const statement = `select count(*) as total from ${this.#table} where ${isLive}`;
    const [row] = await this.#pool.askLong(statement, COUNT_DEADLINE);
    return Number(row!["total"]);
  }

  async sweep(onRemoved?: (count: number) => void): Promise<number> {
    let swept = 0;
    while (true) {
      const { rows, sessions } = await this.#sweepSome();
      if (rows === 0) return swept;
      swept += sessions;
      onRemoved?.(sessions);
    }
  }

  /** Takes one step of a sweep. Returns how many sessions it removed. */
  async sweepSome(): Promise<number> {
    await this.open();
    return (await this.#sweepSome()).sessions;
  }

  async #sweepSome(): Promise<{ rows: number; sessions: number }> {
    // A step removes sessions that are over, and sessions whose last use is in the future. It skips rows that another
    // process is changing, so that no process waits for another. A later step removes these rows.
    const some = (where: string) =>
      `array(select key from ${this.#table} where ${where} limit ${SWEEP_SIZE} for update skip locked)`;
    const statement = `delete from ${this.#table} where key = any(${some("until <= $1")} || ${some("used > $2")})
      returning used`;
    const rows = await this.#ask(statement, [this.#now(), this.#now() + CLOCK_SKEW]);
    return { rows: rows.length, sessions: rows.filter(({ used }) => used !== null).length };
  }

  async #ask(statement: string, values: readonly Value[]): Promise<readonly Row[]> {
    try {
      return await this.#pool.ask(statement, values);
    } catch (error) {
      // The next call creates the table.
      if (codeOf(error) === UNDEFINED_TABLE) this.#isOpen = false;
      throw error;
    }
  }
}

function toEntry(row: Row): Entry {
  return { key: String(row["key"]), content: String(row["content"]), version: String(row["version"]) };
}

function valuesOf({ key, content, version, user, until, record, movedTo }: NewEntry): Value[] {
  const isFound = record !== undefined || movedTo !== undefined;
  return [key, content, version, isFound ? user ?? null : null, until, record === undefined ? null : usedAt(record)];
}

/** When a session was last used. Its creation counts as a use. */
function usedAt({ created, expires, idle }: SessionRecord): number {
  return Math.max(created, expires - idle);
}
