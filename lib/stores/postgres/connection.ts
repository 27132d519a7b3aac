/** Connections to PostgreSQL, which are replaced when they cannot be used any more; the only user of its client. */
import type { Log } from "../../log.ts";
import { loadClient } from "../_client.ts";
import { parsePostgresAddress, type PostgresAddress, tlsOf } from "./address.ts";
import { reasonOf } from "../../_reason.ts";
import { ChangeError } from "../_change.ts";
import { DEADLINE, DeadlineError } from "../_deadline.ts";
import { pause } from "../_pause.ts";

/** The package; a program that brings its own client never loads it. */
type Postgres = typeof import("npm:postgres@3.4.9");
type PostgresOptions = Parameters<Postgres>[0];

/** One row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** A client of the `postgres` package: what is needed of it. */
export interface PostgresClient {
  /** Where it connects to, for messages. */
  readonly options: { readonly host: readonly string[]; readonly port: readonly number[] };
  /** Asks the database. */
  unsafe(statement: string, values?: (string | number | null)[], options?: { prepare?: boolean }): PromiseLike<Row[]>;
  /** Ends its connections. */
  end(options?: { timeout?: number }): Promise<void>;
}

/** Asks the database: a statement, and the values for `$1` and so on. */
export type Ask = (statement: string, values?: readonly (string | number | null)[]) => Promise<readonly Row[]>;

/** How a piece of work may be tried again when nobody knows whether it was done. */
export interface RunOptions {
  /** Whether it is asked again after a silence, too: then it takes twice as long at most. */
  readonly afterSilence?: boolean;
}

/** How long, in milliseconds, connections that were just replaced are not replaced again. */
const RENEW_AGE = 500;

/**
 * What the server or the client says of a connection that is of no use any more, though another one may be: it leads to
 * a server that only reads, that starts or stops, that was told to end it, or it is broken.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const NO_USE =
  /^(25006|57P0[1-5]|08...|CONNECTION_CLOSED|CONNECTION_DESTROYED|CONNECTION_ENDED|ECONNRESET|EPIPE|ECONNABORTED|ENOTCONN)$/;

/** The connections of one store. */
export class PostgresConnection {
  /** What to call the server, in messages. */
  readonly server: string;
  /** What the address says; `undefined` where a client was given. */
  readonly address: PostgresAddress | undefined;
  #given: PostgresClient | undefined;
  #client: PostgresClient | undefined;
  #isPooled = false;
  #renewedAt = -Infinity;
  #running = new Set<Promise<unknown>>();
  #isClosed = false;

  /**
   * @param options The address, or a client.
   * @throws {TypeError} if there is not exactly one of them, or the address cannot be used.
   */
  constructor(options: { readonly url?: string | undefined; readonly client?: PostgresClient | undefined; log: Log }) {
    const { url, client, log } = options;
    if ((url === undefined) === (client === undefined)) {
      throw new TypeError('A store in PostgreSQL needs one of "url" and "client"');
    }
    this.#given = client;
    this.address = url === undefined ? undefined : parsePostgresAddress(url);
    this.server = `PostgreSQL at ${placeOf(this.address ?? client!.options)}`;
    for (const warning of this.address?.warnings ?? []) log("warn", `${this.server}: ${warning}`);
  }

  /**
   * Does some work that may be done twice. Connections that turn out to be of no use are made anew, and the work is done
   * once more with them.
   *
   * @param work Asks the database; the same work again must be right whether or not it was done before.
   * @throws What `change` threw, as it is; otherwise an error that names the server.
   */
  async run<T>(work: (ask: Ask) => Promise<T>, options: RunOptions = {}): Promise<T> {
    if (this.#isClosed) throw new Error(`${this.server}: the store is closed`);
    const running = this.#run(work, options);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Waits for what runs, and ends the connections, unless they are those of a client that was given. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    const client = this.#client;
    this.#client = undefined;
    if (this.#given === undefined) await client?.end({ timeout: 1 });
  }

  async #run<T>(work: (ask: Ask) => Promise<T>, { afterSilence = false }: RunOptions): Promise<T> {
    const start = performance.now();
    for (let attempts = 1;; attempts++) {
      const client = await this.#connected();
      const outcome = await this.#once(client, work);
      if ("value" in outcome) return outcome.value;
      const { error } = outcome;
      if (error instanceof ChangeError) throw error.cause;
      const isSilent = error instanceof DeadlineError;
      const isNoUse = this.#isRefusedByPooler(error) || isSilent || NO_USE.test(codeOf(error));
      if (isNoUse) this.#renew(client);
      const isWorthIt = isSilent
        ? afterSilence && attempts === 1
        : attempts < 3 && performance.now() - start < DEADLINE;
      if (!isNoUse || !isWorthIt) throw failure(this.server, error);
      // A server that restarts needs a moment.
      await pause(attempts === 1 ? 0 : 50 * 2 ** attempts);
    }
  }

  async #connected(): Promise<PostgresClient> {
    const known = this.#given ?? this.#client;
    if (known !== undefined) return known;
    // deno-lint-ignore no-import-prefix -- in deno.json, everyone would have to download it
    const postgres = await loadClient("PostgresStore", "postgres@3", () => import("npm:postgres@3.4.9"));
    return this.#client ??= connect(postgres, this.address!, this.#isPooled);
  }

  /** Does the work once, within the deadline. */
  async #once<T>(client: PostgresClient, work: (ask: Ask) => Promise<T>): Promise<{ value: T } | { error: unknown }> {
    const prepare = !this.#isPooled && (this.address?.prepares ?? true);
    let isOver = false;
    const ask: Ask = async (statement, values = []) => {
      // Nothing more is done after a failure was reported.
      if (isOver) throw new Error("given up");
      return await client.unsafe(statement, [...values], { prepare: prepare && values.length > 0 });
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<{ error: unknown }>((resolve) => {
      const error = new DeadlineError(`no answer in ${DEADLINE / 1000} seconds`);
      timer = setTimeout(() => resolve({ error }), DEADLINE);
    });
    try {
      return await Promise.race([work(ask).then((value) => ({ value }), (error) => ({ error })), late]);
    } finally {
      isOver = true;
      clearTimeout(timer);
    }
  }

  /** A pooler that hands out connections for one transaction at a time knows no settings of a connection. */
  #isRefusedByPooler(error: unknown): boolean {
    if (this.#isPooled || this.#given !== undefined) return false;
    this.#isPooled = /startup parameter.*statement_timeout/.test(reasonOf(error));
    if (this.#isPooled) this.#renewedAt = -Infinity;
    return this.#isPooled;
  }

  /** Has the next work use new connections. What waits for the old ones is refused. */
  #renew(client: PostgresClient): void {
    if (this.#given !== undefined || client !== this.#client) return;
    if (performance.now() - this.#renewedAt < RENEW_AGE) return;
    this.#renewedAt = performance.now();
    this.#client = undefined;
    client.end({ timeout: 0 }).catch(() => {});
  }
}

/** The code of a failure, of the server's or the client's. */
export function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code ?? "");
}

/** A failure that names the server, and nothing that the client may have put into its error but the message. */
function failure(server: string, error: unknown): Error {
  const Failure = error instanceof DeadlineError ? DeadlineError : Error;
  return new Failure(`${server}: ${reasonOf(error)}`);
}

function placeOf({ hosts, host = hosts, ports, port = ports, folder, path = folder }: {
  readonly hosts?: readonly string[];
  readonly host?: readonly string[];
  readonly ports?: readonly number[];
  readonly port?: readonly number[];
  readonly folder?: string | undefined;
  readonly path?: string | false | undefined;
}): string {
  if (path) return path;
  return host!.map((name, index) => `${name.includes(":") ? `[${name}]` : name}:${port![index]}`).join(",");
}

function connect(postgres: Postgres, address: PostgresAddress, isPooled: boolean): PostgresClient {
  const { hosts, ports, folder, user, password, database, target, max, startup, isDirect } = address;
  return postgres({
    host: [...hosts],
    port: [...ports],
    ...(folder === undefined ? {} : { path: `${folder}/.s.PGSQL.${ports[0]}` }),
    user,
    // As a function, so that without a password it does not look for one elsewhere.
    pass: () => password,
    database,
    ssl: tlsOf(address),
    sslnegotiation: isDirect ? "direct" : null,
    target_session_attrs: target ?? null,
    max,
    connect_timeout: DEADLINE / 1000,
    // A query that needs a connection waits for the next try to make one, so it comes soon.
    backoff: () => 0.1,
    fetch_types: false,
    // Before a pooler said that it takes no settings, the server is asked to give up when nobody waits any more.
    connection: { ...startup, ...(isPooled ? {} : { statement_timeout: DEADLINE }) },
    onnotice: () => {},
    // Said here, so that nothing is looked up in the environment that a server may be started with.
    ...{ idle_timeout: null, max_lifetime: 45 * 60, max_pipeline: 100, keep_alive: 60, prepare: true, debug: false },
    publications: "alltables",
  } as unknown as PostgresOptions);
}
