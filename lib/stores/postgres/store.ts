/**
 * PostgresStore: sessions in a table of PostgreSQL.
 *
 * @module
 */
import { type Log, silent } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, freeze, isLive, type SessionRecord } from "../../record.ts";
import type { Change, SessionStore } from "../../store.ts";
import { Estimate } from "../_estimate.ts";
import { Pacer } from "../_pacer.ts";
import { turn } from "../_pause.ts";
import { type Ask, codeOf, type PostgresClient, PostgresConnection, type Row } from "./connection.ts";
import { ENDS, makeTable, quoted, USED } from "./table.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { compareAndSet } from "../_compare_and_set.ts";
import { logCorrupt } from "../_corrupt.ts";
import { hashOf } from "../_user_hash.ts";

export type { PostgresClient, Row };

/** The options of a {@linkcode PostgresStore}: where the database is, by `url` or `client`. */
export interface PostgresStoreOptions {
  /**
   * Where the database is: `postgres://user:password@host:port/database`, with the parameters that libpq, providers and
   * other clients use; several hosts stand with commas between them. `?sslmode=verify-full` asks for TLS with a
   * certificate that is checked, `require` for one that is not; without it there is TLS if the server has it. `?max=N`
   * sets how many connections there may be: 10 unless given.
   */
  readonly url?: string | undefined;
  /** A client of the `postgres` package that the program has already; it stays open when the store is closed. */
  readonly client?: PostgresClient | undefined;
  /** The table, with a schema and a dot before it or not: `sessions` unless given. It is made when missing. */
  readonly table?: string | undefined;
  /**
   * Live sessions at most: 1,000,000 unless given; `Infinity` for no limit. Counted every few seconds, so that a few
   * more may get in.
   */
  readonly max?: number | undefined;
  /** Told of sweeps and corrupt records. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** How many dead sessions one step of the sweep removes at most. */
const SWEEP_SIZE = 500;
/** How many entries are looked at for each new session. */
const LOOKS_PER_CREATE = 8;
/** How long the mark of an ended session is kept, in milliseconds: longer than any verb may take. */
const MARK_AGE = 15_000;
/** What the row of an ended session holds: no record, and none that is corrupt. */
const ENDED = "";
/** What the texts begin with that this version can read: those of later ones are left alone. */
const READABLE = /^[^,]*,/.exec(encode({ data: {}, created: 0, idle: 0, expires: 0, deadline: 0 }))![0];
const UNIQUE_VIOLATION = "23505";
const UNDEFINED_TABLE = "42P01";

/**
 * Sessions in a table of a PostgreSQL database (12 or later), directly or behind a pooler such as PgBouncer.
 *
 * The user needs `select`, `insert`, `update` and `delete` on the table; to make it, `create` on its schema, once.
 * `ready` says what is missing. In Deno it needs `--allow-net` and `--allow-env=PGAPPNAME,PGTARGETSESSIONATTRS`, which
 * the client looks up; for files of certificates `--allow-read`, for a Unix socket `--allow-net --allow-read
 * --allow-write`.
 *
 * Each verb is given up after 2.5 seconds. Where nothing stands in between, the server is told to give up then, too; a
 * pooler takes no such setting, so that there, and with a client of your own, a statement that waits for somebody else's
 * lock may still be done when the lock is let go.
 *
 * An answer that was lost is asked for again, on another connection if need be. With asynchronous replicas, what was
 * acknowledged just before a failover may be undone by it; `synchronous_commit` and `synchronous_standby_names` of the
 * server decide that.
 *
 * @example
 * ```ts ignore
 * import { PostgresStore } from "sessions/postgres";
 *
 * const store = new PostgresStore({ url: "postgres://app:secret@localhost/app" });
 * await store.ready();
 * ```
 */
export class PostgresStore implements SessionStore {
  #connection: PostgresConnection;
  #table: string;
  #log: Log;
  #now: () => number;
  #pacer: Pacer;
  #estimate: Estimate;
  #replace: string;
  #isReady = false;

  /**
   * Makes a store; connects when it is used.
   *
   * @param options Where the database is, and what differs from the defaults.
   * @throws {TypeError} if the address or the table's name cannot be used, naming the part.
   * @throws {RangeError} if `max` is no number from 1.
   */
  constructor(options: PostgresStoreOptions) {
    this.#log = options.log ?? silent;
    this.#connection = new PostgresConnection({ url: options.url, client: options.client, log: this.#log });
    this.#table = quoted(options.table ?? "sessions", this.#connection.address?.schema);
    this.#replace = `update ${this.#table} set id = $1, record = $2, user_hash = $3, created = $4, idle = $5,
      expires = $6, deadline = $7, revision = $8 where id = $9 and revision = $10 returning id`;
    const max = options.max ?? 1_000_000;
    if (!(max >= 1)) throw new RangeError(`"max" must be a number from 1: received ${options.max}`);
    this.#now = options.now ?? Date.now;
    this.#estimate = new Estimate({
      count: () => this.#run((ask) => this.#count(ask)),
      max,
      name: this.#connection.server,
      log: this.#log,
    });
    const step = () => this.#sweep();
    this.#pacer = new Pacer({ step, size: SWEEP_SIZE, perCreate: LOOKS_PER_CREATE, log: this.#log });
  }

  /**
   * Connects, makes the table if it is missing, and asks for it.
   *
   * @throws {Error} if the server cannot be reached or refuses, or the table is somebody else's.
   */
  async ready(): Promise<void> {
    this.#isReady = false;
    await this.#run(() => Promise.resolve());
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const values = valuesOf(id, encode(record), record);
    const revision = crypto.randomUUID();
    await this.#estimate.make(() =>
      this.#run(async (ask) => {
        await ask(
          `insert into ${this.#table} (id, record, user_hash, created, idle, expires, deadline, revision)
          values ($1, $2, $3, $4, $5, $6, $7, $8)`,
          [...values, revision],
        ).catch(async (error) => {
          if (codeOf(error) !== UNIQUE_VIOLATION) throw error;
          // It may be what an attempt whose answer was lost has made.
          const [row] = await ask(`select revision from ${this.#table} where id = $1`, [id]);
          if (row?.["revision"] !== revision) throw new Error("Cannot create a session: its id is already there");
        });
      })
    );
    this.#pacer.created();
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return (await this.#run((ask) => this.#live(ask, id)))?.record;
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    // Attempts whose answers are missing: what they wanted to change, and into what.
    const open = new Map<string, { readonly from: string; readonly record: SessionRecord }>();
    return await this.#run((ask) =>
      compareAndSet(async () => {
        const found = await this.#live(ask, id);
        if (found === undefined) return undefined;
        const from = found.revision;
        const made = open.get(from);
        if (made !== undefined) return made.record;
        if (open.values().some((attempt) => attempt.from !== from)) {
          throw new Error("an answer was lost, and others have changed the session since: it may be changed or not");
        }
        const { record, text } = changed(change, found.record);
        const revision = crypto.randomUUID();
        open.set(revision, { from, record });
        const rows = await ask(this.#replace, [...valuesOf(id, text, record), revision, id, from]);
        open.delete(revision);
        return rows.length === 1 ? record : "again";
      })
    );
  }

  async touch(id: string, expires: number): Promise<boolean> {
    const rows = await this.#run((ask) =>
      ask(
        `update ${this.#table} set expires = $2, revision = $3
          where id = $1 and starts_with(record, '${READABLE}') and ${ENDS} > $4 and ${USED} <= $5 returning id`,
        [id, expires, crypto.randomUUID(), this.#now(), this.#now() + CLOCK_SKEW],
      )
    );
    return rows.length === 1;
  }

  async delete(id: string): Promise<boolean> {
    // The row is given a name that nobody else knows: if the answer is lost, its being there tells who ended the session.
    const mark = `ended ${crypto.randomUUID()}`;
    let wasLive: boolean | undefined;
    const isMine = await this.#run(async (ask) => {
      const record = (await this.#find(ask, id))?.record;
      // A later version's record ends just the same; whether it was live is not for this one to say.
      wasLive ??= record === "newer" || (record !== undefined && isThere(record, this.#now()));
      const statement = `update ${this.#table} set id = $1, record = '${ENDED}', user_hash = null, expires = $2,
        deadline = $2 where id = $3 returning id`;
      const rows = record && await ask(statement, [mark, this.#now() + MARK_AGE, id]);
      return rows?.length === 1 || await this.#find(ask, mark) !== undefined;
    }, { afterSilence: true });
    if (!isMine) return false;
    this.#estimate.ended(1);
    // It has ended; if this fails, the sweep does it.
    await this.#run((ask) => ask(`delete from ${this.#table} where id = $1`, [mark])).catch(() => {});
    return wasLive!;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    let isTried = false;
    return await this.#run((ask) =>
      compareAndSet(async () => {
        const found = await this.#live(ask, from);
        // The new id is nobody else's: if it is there, an attempt whose answer was lost has moved the session.
        if (found === undefined) return isTried ? (await this.#live(ask, to))?.record : undefined;
        const { record, text } = changed(change, found.record);
        isTried = true;
        const rows = await ask(this.#replace, [
          ...valuesOf(to, text, record),
          ...[crypto.randomUUID(), from, found.revision],
        ]);
        return rows.length === 1 ? record : "again";
      }), { afterSilence: true });
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    // All in one look: of one that gets a new id meanwhile, a second look might see neither.
    const statement = `select id, record, revision, expires from ${this.#table} where user_hash = $1`;
    for (const row of await this.#run((ask) => ask(statement, [hashOf(user)]))) {
      const { record } = this.#found(row);
      // Two names may have one hash only where text cannot tell them apart, so the record decides.
      if (isThere(record, this.#now()) && record.user === user) yield [String(row["id"]), record];
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    const statement = `select id, record, revision, expires from ${this.#table}
      where id > $1 and record <> '${ENDED}' order by id limit 100`;
    let rows: readonly Row[] = [];
    do {
      const last = String(rows.at(-1)?.["id"] ?? "");
      rows = await this.#run((ask) => ask(statement, [last]));
      for (const row of rows) {
        const { record } = this.#found(row);
        if (isThere(record, this.#now())) yield [String(row["id"]), record];
      }
    } while (rows.length > 0);
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

  async close(): Promise<void> {
    await this.#pacer.close();
    await this.#estimate.close();
    await this.#connection.close();
  }

  /** What is stored under an id. */
  async #find(ask: Ask, id: string): Promise<Found | undefined> {
    const [row] = await ask(`select record, revision, expires from ${this.#table} where id = $1`, [id]);
    return row && this.#found(row);
  }

  /** The same, if it is a live session. */
  async #live(ask: Ask, id: string): Promise<Found & { record: SessionRecord } | undefined> {
    const found = await this.#find(ask, id);
    return found !== undefined && isThere(found.record, this.#now()) ? { ...found, record: found.record } : undefined;
  }

  #found(row: Row): Found {
    const record = decode(String(row["record"]), Number(row["expires"]));
    if (record === "corrupt" && row["record"] !== ENDED) logCorrupt(this.#log, this.#connection.server);
    return { record, revision: String(row["revision"]) };
  }

  async #sweep(): Promise<number> {
    // What isLive refuses. Rows that somebody is changing are left to the next step, so that nobody waits for another.
    const dead = (where: string) =>
      `array(select id from ${this.#table} where ${where} limit ${SWEEP_SIZE} for update skip locked)`;
    const rows = await this.#run((ask) =>
      ask(
        `delete from ${this.#table} where id = any(${dead(`${ENDS} <= $1`)} || ${
          dead(`${USED} > $2`)
        }) returning record`,
        [this.#now(), this.#now() + CLOCK_SKEW],
      )
    );
    return rows.length;
  }

  async #count(ask: Ask): Promise<number> {
    const [row] = await ask(
      `select count(*) as total from ${this.#table} where record <> '${ENDED}' and ${ENDS} > $1 and ${USED} <= $2`,
      [this.#now(), this.#now() + CLOCK_SKEW],
    );
    return Number(row!["total"]);
  }

  /** Does some work on the table, which is made or looked at before it is first used. */
  async #run<T>(work: (ask: Ask) => Promise<T>, options?: { afterSilence: true }): Promise<T> {
    return await this.#connection.run(async (ask) => {
      if (!this.#isReady) await makeTable(ask, this.#table);
      this.#isReady = true;
      try {
        return await work(ask);
      } catch (error) {
        // Made anew by the next verb.
        if (codeOf(error) === UNDEFINED_TABLE) this.#isReady = false;
        throw error;
      }
    }, options);
  }
}

interface Found {
  readonly record: SessionRecord | "corrupt" | "newer";
  /** Another one after every change. */
  readonly revision: string;
}

function isThere(record: Found["record"], now: number): record is SessionRecord {
  return typeof record === "object" && isLive(record, now);
}

/** What a change makes of a record, and its text. That it is too large is the caller's error, too. */
function changed(change: Change, record: SessionRecord): { record: SessionRecord; text: string } {
  const made = freeze(applyChange(change, record));
  try {
    return { record: made, text: encode(made) };
  } catch (cause) {
    throw new ChangeError("The change of a session failed", { cause });
  }
}

function valuesOf(id: string, text: string, record: SessionRecord): (string | number | null)[] {
  const { created, idle, expires, deadline, user } = record;
  return [id, text, user === undefined ? null : hashOf(user), created, idle, expires, deadline];
}
