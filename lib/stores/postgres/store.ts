/**
 * PostgresStore: sessions in a table of PostgreSQL.
 *
 * @module
 */
import { ADDRESS } from "../../_options.ts";
import type { SessionRecord } from "../../record.ts";
import { checkPlace, checkStoreOptions, clientWith, NAME, type StoreOptions } from "../_options.ts";
import { Pacer } from "../_pacer.ts";
import { EntryStore } from "../entry_store.ts";
import { type PostgresClient, PostgresConnection, type Row } from "./connection.ts";
import { PostgresEntries, SWEEP_SIZE } from "./entries.ts";
import { quoted } from "./table.ts";

export type { PostgresClient, Row };

/** The options of a {@linkcode PostgresStore}: where the database is, by `url` or `client`. */
export interface PostgresStoreOptions extends StoreOptions {
  /**
   * Where the database is: `postgres://user:password@host:port/database`, with the parameters that libpq, providers and
   * other clients use; several hosts stand with commas between them. `?sslmode=verify-full` asks for TLS with a
   * certificate that is checked, `require` for one that is not; without it there is TLS if the server has it. `?max=N`
   * sets how many connections there may be: 10 unless given.
   */
  readonly url?: string | undefined;
  /** A client of the `postgres` package that the program has already. It stays open when the store is closed. */
  readonly client?: PostgresClient | undefined;
  /** The table, with a schema and a dot before it or not: `sessions` unless given. It is made when missing. */
  readonly table?: string | undefined;
}

/** How many rows are looked at for each new session. */
const LOOKS_PER_CREATE = 8;
const RULES = { url: ADDRESS, client: clientWith('a client of the package "postgres"', "unsafe", "end"), table: NAME };

/**
 * Sessions in a table of a PostgreSQL database (12 or later), directly or behind a pooler such as PgBouncer.
 *
 * The database must be in UTF8. The user needs `select`, `insert`, `update` and `delete` on the table; to make it,
 * `create` on its schema, once. `ready` says what is missing. In Deno it needs `--allow-net` and
 * `--allow-env=PGAPPNAME,PGTARGETSESSIONATTRS`, which the client looks up; for files of certificates `--allow-read`, for
 * a Unix socket `--allow-net --allow-read --allow-write`.
 *
 * Of several hosts, the one that can be written is used; after a failover, the new one.
 *
 * A statement is given up after a second, and its session is looked at on another connection: what the store reports is
 * what was done. Where nothing stands in between, the server gives up then, too. A pooler takes no such setting, so that
 * there, and with a client of your own, a statement that waits for a lock may still be done when the lock is released.
 *
 * With asynchronous replicas, what was acknowledged just before a failover may be undone by it;
 * `synchronous_commit` and `synchronous_standby_names` of the server decide that.
 *
 * @example
 * ```ts ignore
 * import { PostgresStore } from "sessions/postgres";
 *
 * const store = new PostgresStore({ url: "postgres://app:secret@localhost/app" });
 * await store.ready();
 * ```
 */
export class PostgresStore extends EntryStore {
  #pacer: Pacer;

  /**
   * Makes a store. It connects at its first use.
   *
   * @param options Where the database is, and what differs from the defaults.
   * @throws {TypeError} naming an option, or a part of the address, that cannot be used; {@linkcode RangeError} for a
   * number that is out of range.
   */
  constructor(options: PostgresStoreOptions) {
    const common = checkStoreOptions("PostgresStore", options, RULES);
    checkPlace("PostgresStore", options);
    const { url, client, table = "sessions" } = options;
    const connection = new PostgresConnection({ url, client, log: common.log });
    const entries = new PostgresEntries(connection, quoted(table, connection.address?.schema), common.now);
    super(entries, { name: connection.server, ...common });
    const step = () => entries.sweepSome();
    this.#pacer = new Pacer({ step, size: SWEEP_SIZE, perCreate: LOOKS_PER_CREATE, log: common.log });
  }

  override async create(key: string, record: SessionRecord): Promise<void> {
    await super.create(key, record);
    this.#pacer.created();
  }

  /** Starts the steps of the sweep that are due. */
  sweep(): void {
    this.#pacer.run();
  }

  override async close(): Promise<void> {
    await this.#pacer.close();
    await super.close();
  }
}
