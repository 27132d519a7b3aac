/** Connections to PostgreSQL, which are replaced when they cannot be used any more; the only user of its client. */
import type { Log } from "../../log.ts";
import { loadClient } from "../_client.ts";
import { parsePostgresAddress, type PostgresAddress, tlsOf } from "./address.ts";
import { reasonOf } from "../../_reason.ts";
import { CALL_DEADLINE, DEADLINE } from "../_deadline.ts";
import { pause, turn } from "../_pause.ts";

/** The package; a program that brings its own client never loads it. */
type Postgres = typeof import("npm:postgres@3.4.9");
type PostgresOptions = Parameters<Postgres>[0];

let postgres: Postgres | undefined;

/** One row of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** A client of the `postgres` package: what is needed of it. */
export interface PostgresClient {
  /** Where it connects to, for messages. */
  readonly options: { readonly host: readonly string[]; readonly port: readonly number[] };
  /** Queries the database. */
  unsafe(statement: string, values?: Value[], options?: { prepare?: boolean }): PromiseLike<Row[]>;
  /** Ends its connections. */
  end(options?: { timeout?: number }): Promise<void>;
}

/** A value of a statement. */
export type Value = string | number | null;

/** How long, in milliseconds, connections that were just replaced are not replaced again. */
const RENEW_AGE = 500;

/** How often a statement is tried on connections that turn out to be of no use. */
const TRIES = 3;
/** The code of a server that only reads: a hot standby, or one that is set so. */
const READ_ONLY = "25006";
/**
 * The codes of a connection that is of no use any more, though another one may be: it leads to a server that only reads,
 * that starts or stops, or that ended it, or it is broken. The last eight are the client's.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const NO_USE =
  /^(25006|57P0[1-5]|08...|CONNECTION_CLOSED|CONNECTION_DESTROYED|CONNECTION_ENDED|ECONNRESET|EPIPE|ECONNABORTED|ENOTCONN)$/;

/** The codes of transactions that were undone, because they met others: serialization failures and deadlocks. */
const UNDONE = /^40(001|P01)$/;

/** The connections of one store. */
export class PostgresConnection {
  /** What to call the server, in messages. */
  readonly server: string;
  /** What the address says; `undefined` where a client was given. */
  readonly address: PostgresAddress | undefined;
  #given: PostgresClient | undefined;
  #client: PostgresClient | undefined;
  #isPooled = false;
  /** Which host is tried first. */
  #first = 0;
  #renewedAt = -Infinity;
  #running = new Set<Promise<unknown>>();
  #isClosed = false;

  /**
   * @param options The address, or a client.
   * @throws {TypeError} if the address cannot be used.
   */
  constructor(options: { readonly url?: string | undefined; readonly client?: PostgresClient | undefined; log: Log }) {
    const { url, client, log } = options;
    this.#given = client;
    this.address = url === undefined ? undefined : parsePostgresAddress(url);
    this.server = `PostgreSQL at ${placeOf(this.address ?? client!.options)}`;
    for (const warning of this.address?.warnings ?? []) log("warn", `${this.server}: ${warning}`);
  }

  /**
   * Asks the database. A statement is repeated on another connection if its own was of no use, so it must be right to do
   * it twice.
   *
   * @param statement The statement, or several without values, which are one transaction.
   * @param values The values for `$1` and so on.
   */
  async ask(statement: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    if (this.#isClosed) throw new Error("the store is closed");
    const running = this.#ask(statement, values);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Loads the client, which on a busy machine may take longer than a verb may. */
  async load(): Promise<void> {
    // deno-lint-ignore no-import-prefix -- in deno.json, everyone would have to download it
    if (!this.#given) postgres ??= await loadClient("PostgresStore", "postgres@3", () => import("npm:postgres@3.4.9"));
  }

  /** Has the next statement use new connections. Statements that wait for the old ones are refused. */
  reconnect(): void {
    if (this.#client !== undefined) this.#renew(this.#client);
  }

  /** Waits for the verbs that run, and ends the connections, unless they are those of a client that was given. */
  async close(): Promise<void> {
    // A verb may take several statements.
    for (; this.#running.size > 0; await turn()) await Promise.allSettled(this.#running);
    this.#isClosed = true;
    const client = this.#client;
    this.#client = undefined;
    if (this.#given === undefined) await client?.end({ timeout: 1 });
  }

  async #ask(statement: string, values: readonly Value[]): Promise<readonly Row[]> {
    const start = performance.now();
    for (let tries = 1;; tries++) {
      const client = await this.#connected();
      const prepare = !this.#isPooled && (this.address?.prepares ?? true) && values.length > 0;
      try {
        return await client.unsafe(statement, [...values], { prepare });
      } catch (error) {
        const isNoUse = this.#isRefusedByPooler(error) || NO_USE.test(codeOf(error));
        if (isNoUse) this.#renew(client, codeOf(error) === READ_ONLY);
        const isWorthIt = UNDONE.test(codeOf(error)) || (isNoUse && tries < TRIES);
        // Nothing is done after the call was given up.
        if (!isWorthIt || performance.now() - start > CALL_DEADLINE - 200) throw error;
        // A server that restarts needs a moment, and so do the transactions that it met.
        await pause(isNoUse && tries === 1 ? 0 : 50 * tries * Math.random());
      }
    }
  }

  async #connected(): Promise<PostgresClient> {
    const known = this.#given ?? this.#client;
    if (known !== undefined) return known;
    await this.load();
    return this.#client ??= this.#connect(postgres!, this.address!);
  }

  #connect(postgres: Postgres, address: PostgresAddress): PostgresClient {
    const { hosts, ports, folder, user, password, database, max, startup, isDirect } = address;
    return postgres({
      host: rotated(hosts, this.#first),
      port: rotated(ports, this.#first),
      ...(folder === undefined ? {} : { path: `${folder}/.s.PGSQL.${ports[0]}` }),
      user,
      // As a function, so that without a password it does not look for one elsewhere.
      pass: () => password,
      database,
      ssl: tlsOf(address),
      sslnegotiation: isDirect ? "direct" : null,
      // The client's "read-write" takes a hot standby, https://github.com/porsager/postgres/blob/v3.4.9/src/connection.js.
      target_session_attrs: hosts.length > 1 ? "primary" : null,
      max,
      connect_timeout: DEADLINE / 1000,
      // A query that needs a connection waits for the next try to make one, so it comes soon.
      backoff: () => 0.1,
      fetch_types: false,
      // Unless a pooler has refused settings, the server is asked to give up when no verb waits any more.
      connection: { ...startup, ...(this.#isPooled ? {} : { statement_timeout: CALL_DEADLINE }) },
      onnotice: () => {},
      // Given here, so that the client looks nothing up in the environment.
      ...{ idle_timeout: null, max_lifetime: 45 * 60, max_pipeline: 100, keep_alive: 60, prepare: true, debug: false },
      publications: "alltables",
    } as unknown as PostgresOptions);
  }

  /** A pooler that hands out connections for one transaction at a time knows no settings of a connection. */
  #isRefusedByPooler(error: unknown): boolean {
    if (this.#isPooled || this.#given !== undefined) return false;
    this.#isPooled = /startup parameter.*statement_timeout/.test(reasonOf(error));
    if (this.#isPooled) this.#renewedAt = -Infinity;
    return this.#isPooled;
  }

  #renew(client: PostgresClient, isReadOnly = false): void {
    if (this.#given !== undefined || client !== this.#client) return;
    if (performance.now() - this.#renewedAt < RENEW_AGE) return;
    this.#renewedAt = performance.now();
    this.#client = undefined;
    // The client knows a hot standby, but takes a server that is set to only read. Then another host comes first.
    if (isReadOnly) this.#first++;
    // Statements that are only slow get their answers.
    const ending = client.end({ timeout: CALL_DEADLINE / 1000 }).catch(() => {});
    this.#running.add(ending);
    ending.finally(() => this.#running.delete(ending));
  }
}

/** The code of a failure, of the server's or the client's. */
export function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code ?? "");
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

/** A list that begins at another one of its items. */
function rotated<T>(list: readonly T[], first: number): T[] {
  return list.map((_, index) => list[(index + first) % list.length]!);
}
