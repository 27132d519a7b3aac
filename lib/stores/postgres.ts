/** PostgresStore: sessions in a PostgreSQL table; the only user of its client. */
// deno-lint-ignore no-import-prefix -- in deno.json, everybody would have to download it
import postgres from "npm:postgres@3.4.9";
import { type Log, silent } from "../log.ts";
import { type Apply, freeze, type SessionRecord, type SessionStore, StoreFullError } from "../store.ts";
import type { OpenSharedStore } from "../server/open_store.ts";
import { checkSize, compareAndSet, DEADLINE, DeadlineError, logCorrupt, Sweeper, toData, within } from "./shared.ts";

/** What a {@linkcode PostgresStore} is made of. */
export interface PostgresStoreOptions {
  /**
   * Where the database is: `postgres://user:password@host:port/database`. `?sslmode=verify-full` asks for TLS with a
   * certificate that is checked, `require` for one that is not; `?max=N` sets how many connections there may be.
   */
  readonly url: string;
  /** Live sessions at most: 1,000,000 unless given. Counted every few seconds, so that a few more may get in. */
  readonly max?: number;
  /** Told of sweeps and corrupt records; says nothing unless given. */
  readonly log?: Log;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: () => number;
}

/** How many dead sessions one step of the sweep removes at most. */
const SWEEP_SIZE = 500;
/** How long a count of the sessions is believed, in milliseconds. */
const COUNT_AGE = 5000;
/** How long it is believed when it says that the store is full. */
const FULL_AGE = 500;
const UNIQUE_VIOLATION = "23505";

// The column "expires" holds whichever of the two limits comes first. The type json, unlike jsonb, keeps the text as it
// was, and the order of its keys. The lock is for servers that start at once; it all is one transaction, being one query.
const SCHEMA = `
  select pg_advisory_xact_lock(hashtext('sessions'));
  create table if not exists sessions (
    id text primary key, data json not null, revision bigint not null default 0,
    created bigint not null, ends bigint not null, expires bigint not null
  );
  create index if not exists sessions_expires on sessions (expires);`;

interface Row {
  data: string;
  revision: number;
  created: number;
  ends: number;
  expires: number;
}

/** Sessions in the table `sessions` of a PostgreSQL database; it is made when missing. */
export class PostgresStore implements SessionStore {
  #url: string;
  #sql: postgres.Sql;
  #server: string;
  #max: number;
  #log: Log;
  #now: () => number;
  #sweeper: Sweeper;
  #total = 0;
  #countedAt = -Infinity;

  /**
   * Makes a store; connects when it is used.
   *
   * @param options The address, and what differs from the defaults.
   * @throws {TypeError} if the address names no user.
   */
  constructor(options: PostgresStoreOptions) {
    this.#url = options.url;
    const { host, username } = new URL(options.url);
    this.#server = `PostgreSQL at ${host}`;
    if (username === "") {
      throw new TypeError(`${this.#server}: the address must name a user, as in postgres://user@host`);
    }
    this.#max = options.max ?? 1_000_000;
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    this.#sweeper = new Sweeper(() => this.#sweep(), SWEEP_SIZE, this.#log);
    this.#sql = connect(this.#url);
  }

  /**
   * Makes the table if it is missing.
   *
   * @throws {Error} if the server cannot be reached, or refuses.
   */
  async connect(): Promise<void> {
    try {
      await this.#try(async (sql) => {
        // Looked for first, because whoever may use a table need not be allowed to make one.
        const [found] = await sql`select to_regclass('sessions') is not null as is_there`;
        if (!found!.is_there) await sql.unsafe(SCHEMA).simple();
        await sql`select id, data, revision, created, ends, expires from sessions limit 0`;
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async create(id: string, record: SessionRecord, replaces = false): Promise<void> {
    const { created, ends } = record;
    const data = JSON.stringify(record.data);
    checkSize(data);
    const isKept = await this.#try(async (sql) => {
      if (!replaces && await this.#isFull(sql)) return false;
      await sql`insert into sessions (id, data, created, ends, expires)
        values (${id}, ${data}::text::json, ${created}, ${ends}, ${Math.min(record.expires, ends)})`;
      return true;
    });
    if (!isKept) throw new StoreFullError(`${this.#server} may hold ${this.#max} sessions`);
    this.#total++;
    this.#sweeper.paid();
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return await this.#try(async (sql) => (await this.#read(sql, id))?.record);
  }

  async update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined> {
    return await this.#try((sql) =>
      compareAndSet(async () => {
        const found = await this.#read(sql, id);
        if (found === undefined) return undefined;
        const { record, revision } = found;
        const updated = freeze({ ...record, data: apply(record.data), expires: Math.min(expires, record.ends) });
        const data = JSON.stringify(updated.data);
        checkSize(data);
        const { count } = await sql`update sessions
          set data = ${data}::text::json, expires = ${updated.expires}, revision = revision + 1
          where id = ${id} and revision = ${revision} and expires > ${this.#now()}`;
        return count === 1 ? updated : "again";
      })
    );
  }

  async touch(id: string, expires: number): Promise<boolean> {
    const { count } = await this.#try((sql) =>
      sql`update sessions set expires = least(${expires}, ends) where id = ${id} and expires > ${this.#now()}`
    );
    return count === 1;
  }

  async delete(id: string): Promise<SessionRecord | undefined> {
    const [row] = await this.#try((sql) =>
      sql<Row[]>`delete from sessions where id = ${id} returning data::text, revision, created, ends, expires`
    );
    if (row === undefined) return undefined;
    this.#total--;
    return row.expires > this.#now() ? this.#record(row) : undefined;
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
      const rows = await this.#try((sql) =>
        sql<(Row & { id: string })[]>`select id, data::text, revision, created, ends, expires from sessions
          where id > ${last} and expires > ${this.#now()} order by id limit 100`
      );
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
    await this.#sql.end({ timeout: 1 });
  }

  async #read(sql: postgres.Sql, id: string): Promise<{ record: SessionRecord; revision: number } | undefined> {
    const [row] = await sql<Row[]>`select data::text, revision, created, ends, expires from sessions
      where id = ${id} and expires > ${this.#now()}`;
    const record = row && this.#record(row);
    return record && { record, revision: row!.revision };
  }

  #record({ data, created, ends, expires }: Row): SessionRecord | undefined {
    const parsed = toData(data);
    if (parsed === undefined) logCorrupt(this.#log, this.#server);
    return parsed && Object.freeze({ data: parsed, created, ends, expires });
  }

  async #sweep(): Promise<number> {
    // Those that somebody is at are left to the next step, so that two sweepers never wait for each other.
    const { count } = await this.#try((sql) =>
      sql`delete from sessions where id in (
        select id from sessions where expires <= ${this.#now()} order by expires limit ${SWEEP_SIZE}
        for update skip locked)`
    );
    return count;
  }

  /** Whether there are as many as there may be. Counting takes longer the more there are, so it is done seldom. */
  async #isFull(sql: postgres.Sql): Promise<boolean> {
    const age = performance.now() - this.#countedAt;
    if (age > COUNT_AGE || (this.#total >= this.#max && age > FULL_AGE)) {
      this.#countedAt = performance.now();
      const [row] = await sql`select count(*) as total from sessions where expires > ${this.#now()}`;
      this.#total = row!.total;
    }
    return this.#total >= this.#max;
  }

  async #try<T>(work: (sql: postgres.Sql) => PromiseLike<T>): Promise<T> {
    const sql = this.#sql;
    try {
      return await within(this.#server, Promise.resolve(work(sql).then((result) => result, explain)));
    } catch (error) {
      if (error instanceof DeadlineError && sql === this.#sql) {
        // The connections may be dead without anybody having said so. New ones will tell; what waits for the old ones
        // is refused, so that nothing is done after its failure was reported.
        this.#sql = connect(this.#url);
        sql.end({ timeout: 0 }).catch(() => {});
      }
      throw error;
    }
  }
}

function explain(error: unknown): never {
  if ((error as { code?: string }).code === UNIQUE_VIOLATION) {
    throw new Error("Cannot create a session: its id is already there");
  }
  throw error;
}

function connect(address: string): postgres.Sql {
  return postgres(address, {
    connect_timeout: DEADLINE / 1000,
    // A query that needs a connection waits for the next try to make one, so it comes soon.
    backoff: () => 0.1,
    fetch_types: false,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    connection: { application_name: "sessions", statement_timeout: DEADLINE },
    onnotice: () => {},
  }) as unknown as postgres.Sql;
}

/** Opens the store for `SESSION_TYPE=postgres`. */
export const open: OpenSharedStore = async (options) => {
  const store = new PostgresStore(options);
  await store.connect();
  return store;
};
