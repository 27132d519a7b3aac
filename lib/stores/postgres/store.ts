/**
 * PostgresStore: sessions in a table of PostgreSQL.
 *
 * @module
 */
import { ADDRESS, STRING } from "../../_options.ts";
import type { SessionRecord } from "../../record.ts";
import { checkStoreOptions, checkUrlOrClient, clientRule, type StoreOptions } from "../_options.ts";
import { Pacer } from "../_pacer.ts";
import { EntryStore } from "../entry_store.ts";
import { type PostgresClient, PostgresPool, type Row } from "./pool.ts";
import { PostgresEntries, SWEEP_SIZE } from "./entries.ts";
import { quoted } from "./table.ts";

export type { PostgresClient, Row };

/** The options of a {@linkcode PostgresStore}. It needs one of `url` and `client`. */
export interface PostgresStoreOptions extends StoreOptions {
  /**
   * The address of the database: `postgres://user:password@host:port/database`. It takes the common parameters of
   * libpq, hosting providers and other clients (stores/README.md), and refuses others. Several hosts are separated by
   * commas. `?sslmode=verify-full` requires TLS and checks the server's certificate. `?sslmode=require` requires TLS
   * and does not check the certificate. Without `sslmode`, TLS is used if the server offers it. `?max=N` limits the
   * number of connections: 10 unless given. (The option `max` is another one: it limits the sessions.)
   */
  readonly url?: string | undefined;
  /** A client of the `postgres` package that the program already has. The store does not close it. */
  readonly client?: PostgresClient | undefined;
  /** The name of the table, such as `sessions` or `app.sessions`: `sessions` unless given. It is created if missing. */
  readonly table?: string | undefined;
}

/** For each new session, at most this many expired rows are removed. Once per second, `SWEEP_SIZE` more are removed. */
const SWEPT_PER_CREATE = 8;
const RULES = {
  url: ADDRESS,
  client: clientRule('a client of the package "postgres"', ["unsafe", "end"]),
  table: STRING,
};

/**
 * A store of sessions in a table of a PostgreSQL database (12 or later). The connection may go through a pooler
 * such as PgBouncer.
 *
 * The database's encoding must be UTF8. The database user needs the privileges `select`, `insert`, `update` and
 * `delete` on the table. If the store is to create the table, the user also needs `create` on its schema. To create it
 * yourself, take the SQL from stores/README.md. If a privilege is missing, the error of `ready` names it.
 *
 * In Deno the program needs `--allow-net`. It also needs `--allow-env=PGAPPNAME,PGTARGETSESSIONATTRS`, because the
 * client reads these two variables. If the address names files of certificates, the program needs `--allow-read`. For a
 * Unix socket it needs `--allow-net --allow-read --allow-write`.
 *
 * If the address names several hosts, the store uses the primary, which accepts writes. After a failover, it uses the
 * new primary. If a host does not answer within a second, the store tries the next one.
 *
 * Statements are pipelined: a connection sends the next one before the first is answered. If an operation takes a
 * quarter of a second or longer, the store treats the database as slow: each connection works on one operation at a
 * time, until operations are faster again. An operation that gets no connection for 2.5 seconds fails, and the visitor
 * is answered 503.
 *
 * The store waits one second for the answer to a statement. Then it gives up the statement, and reads the session again
 * to find out what the database did. It does this on a new connection, unless the program gave the client. An operation
 * takes at most five seconds in all.
 *
 * Whether the database may still execute a statement that was given up:
 *
 * - On a direct connection, an operation that failed is not executed later: the store sets `statement_timeout`, so that
 *   the server cancels the statement after one second, too.
 * - Through a pooler, which the store detects, or with a client of your own, the server does not cancel the statement.
 *   If the statement waits for a lock, the database may execute it after the store has reported a failure.
 *
 * For the option `max`, the store counts its sessions from time to time. A count has a limit of its own: 20
 * seconds. A new session waits one second at most for a running count. Then the result of the previous one decides.
 *
 * With asynchronous replicas, a failover may undo changes that were acknowledged just before it. The server's settings
 * `synchronous_commit` and `synchronous_standby_names` decide whether this can happen.
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
   * Makes a store. At its first use, the store connects, and creates the table if it is missing. To do this earlier,
   * call `ready`.
   *
   * @param options The address or the client of the database, and the options that differ from their defaults.
   * @throws {TypeError} if an option, or a part of the address, is invalid; the message names it. Throws a
   * {@linkcode RangeError} if a number is out of range.
   */
  constructor(options: PostgresStoreOptions) {
    const common = checkStoreOptions("PostgresStore", options, RULES);
    checkUrlOrClient("PostgresStore", options);
    const { url, client, table = "sessions" } = options;
    const pool = new PostgresPool({ url, client, log: common.log });
    const entries = new PostgresEntries(pool, quoted(table, pool.address?.schema), common.now);
    super(entries, { name: pool.server, connections: pool.max, ...common });
    const step = () => entries.sweepSome();
    this.#pacer = new Pacer({ step, size: SWEEP_SIZE, perCreate: SWEPT_PER_CREATE, log: common.log });
  }

  override async create(key: string, record: SessionRecord): Promise<void> {
    await super.create(key, record);
    this.#pacer.created();
  }

  /** Starts to remove expired rows in the background, if that is due. Returns immediately. */
  sweep(): void {
    this.#pacer.run();
  }

  override async close(): Promise<void> {
    await this.#pacer.close();
    await super.close();
  }
}
