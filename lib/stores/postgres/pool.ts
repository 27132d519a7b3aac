/** PostgresPool: the connections to PostgreSQL. It replaces unusable ones. Only this file uses the client. */
import type { Log } from "../../log.ts";
import { loadClient } from "../_client.ts";
import { parsePostgresAddress, type PostgresAddress, tlsOf } from "./address.ts";
import { reasonOf } from "../../_reason.ts";
import { CALL_DEADLINE, DEADLINE, within } from "../_deadline.ts";
import { pause, turn } from "../_pause.ts";

/** The `postgres` package. It is not loaded if the program gives its own client. */
type Postgres = typeof import("npm:postgres@3.4.9");
type PostgresOptions = Parameters<Postgres>[0];

let postgres: Postgres | undefined;

/** One row of a result. */
export type Row = Readonly<Record<string, unknown>>;

/** The parts of a client of the `postgres` package that the store uses. */
export interface PostgresClient {
  /** The hosts and ports that it connects to, for messages; and the most connections that it makes. */
  readonly options: { readonly host: readonly string[]; readonly port: readonly number[]; readonly max: number };
  /** Queries the database. */
  unsafe(
    statement: string,
    values?: Value[],
    options?: { prepare?: boolean; onexecute?: () => boolean },
  ): PromiseLike<Row[]>;
  /** Ends its connections. */
  end(options?: { timeout?: number }): Promise<void>;
}

/** A value for a parameter of a statement. */
export type Value = string | number | null;

/** How long new connections are kept at least, in milliseconds, even if they are unusable. */
const RENEW_AGE = 500;

/** How many times a statement is tried, if the connection turns out to be unusable each time. */
const TRIES = 3;
/** The error code of a read-only server: a hot standby, or a server that is configured to be read-only. */
const READ_ONLY = "25006";
/**
 * The error codes of an unusable connection. Another connection may be usable. The server is read-only, it starts or
 * stops, or it has ended the connection; or the connection is broken. The codes after `08...` are the client's.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const NO_USE =
  /^(25006|57P0[1-5]|08...|CONNECTION_CLOSED|CONNECTION_DESTROYED|CONNECTION_ENDED|ECONNRESET|EPIPE|ECONNABORTED|ENOTCONN)$/;

/** The client's error code if a host did not answer in time while it connected. */
export const CONNECT_TIMEOUT = "CONNECT_TIMEOUT";

/** The error codes of transactions that were rolled back because of others: serialization failures and deadlocks. */
const UNDONE = /^40(001|P01)$/;

/** The connections of one store. */
export class PostgresPool {
  /** The name of the server, for messages. */
  readonly server: string;
  /** The parsed address; `undefined` if the program gave a client. */
  readonly address: PostgresAddress | undefined;
  /** The most connections. */
  readonly max: number;
  #given: PostgresClient | undefined;
  #client: PostgresClient | undefined;
  #isPooled = false;
  /** How far the list of hosts is rotated. The host at this position is tried first. */
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
    this.max = (this.address ?? client!.options).max;
    this.server = `PostgreSQL at ${placeOf(this.address ?? client!.options)}`;
    for (const warning of this.address?.warnings ?? []) log("warn", `${this.server}: ${warning}`);
  }

  /**
   * Sends a statement to the database. If the connection turns out to be unusable, the statement is sent again on
   * another one. So a statement must do no harm if the database executes it twice.
   *
   * @param statement The statement; or several statements without values, which run as one transaction.
   * @param values The values for `$1` and so on.
   */
  async ask(statement: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    return await this.#track(this.#ask(statement, values));
  }

  /**
   * Sends a statement that may take long. No other statement waits for its connection. With a single connection, the
   * statement has the same time as any other.
   *
   * @param milliseconds The time after which the database cancels it.
   */
  async askLong(statement: string, milliseconds: number): Promise<readonly Row[]> {
    if (this.max === 1) return await this.ask(statement);
    const client = await this.#connected();
    // Both statements run in one transaction, so the setting applies to this statement alone. The answer of `onexecute`
    // lets the client send no other statement over this connection, until this one has its answer.
    const both = `select set_config('statement_timeout', '${milliseconds}', true); ${statement}`;
    const results = Promise.resolve(client.unsafe(both, [], { onexecute: () => false }));
    const [, rows] = await this.#track(results) as unknown as [unknown, readonly Row[]];
    return rows;
  }

  /** Waits for some work. In between, `close` waits for it, too. */
  async #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  /** Loads the client. On a busy machine, this may take longer than a verb may take. */
  async load(): Promise<void> {
    // deno-lint-ignore no-import-prefix -- an entry in deno.json would make every program download it
    if (!this.#given) postgres ??= await loadClient("PostgresStore", "postgres@3", () => import("npm:postgres@3.4.9"));
  }

  /**
   * Makes the next statement use new connections. Statements that wait for an old connection are refused. The host may
   * be gone without a trace, so the next host is tried first.
   */
  reconnect(): void {
    // A call that began before the present connections were made says nothing about them.
    const isOld = performance.now() - this.#renewedAt >= CALL_DEADLINE;
    if (this.#client !== undefined && isOld) this.#leaveHost(this.#client);
  }

  /** Waits for the running verbs, and ends the connections. A client that the program gave stays open. */
  async close(): Promise<void> {
    const end = performance.now() + CALL_DEADLINE;
    // A verb may start another statement after the one that is awaited here. A count may take longer, and is given up.
    for (; this.#running.size > 0 && performance.now() < end; await turn()) {
      await within(this.server, Promise.allSettled(this.#running), end - performance.now()).catch(() => {});
    }
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
        const code = codeOf(error);
        const isNoUse = this.#isRefusedByPooler(error) || NO_USE.test(code);
        // The client skips a hot standby itself. It skips neither a server that is configured to be read-only nor a
        // silent host.
        if (code === READ_ONLY || code === CONNECT_TIMEOUT) this.#leaveHost(client);
        else if (isNoUse) this.#renew(client);
        const isWorthIt = UNDONE.test(code) || (isNoUse && tries < TRIES);
        // The statement is not sent again when the caller is about to give up the call.
        if (!isWorthIt || performance.now() - start > CALL_DEADLINE - 200) throw error;
        // A server that restarts needs a moment. So do the transactions that this one conflicted with.
        await pause(isNoUse && tries === 1 ? 0 : 50 * tries * Math.random());
      }
    }
  }

  async #connected(): Promise<PostgresClient> {
    if (this.#isClosed) throw new Error("the store is closed");
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
      // With a function, the client does not look for a password elsewhere if the address has none.
      pass: () => password,
      database,
      ssl: tlsOf(address),
      sslnegotiation: isDirect ? "direct" : null,
      // "read-write" would accept a hot standby, https://github.com/porsager/postgres/blob/v3.4.9/src/connection.js.
      target_session_attrs: hosts.length > 1 ? "primary" : null,
      max,
      // If there are several hosts, there must be time for the next one.
      connect_timeout: (hosts.length > 1 ? CALL_DEADLINE : DEADLINE) / 1000,
      // A query without a connection waits until the client tries again to connect, so the client tries again soon.
      backoff: () => 0.1,
      fetch_types: false,
      // With `statement_timeout`, the server cancels a statement when no verb waits for it any more. A pooler that
      // refused this setting does not get it again.
      connection: { ...startup, ...(this.#isPooled ? {} : { statement_timeout: CALL_DEADLINE }) },
      onnotice: () => {},
      // These settings are given here, so that the client does not read them from the environment.
      ...{ idle_timeout: null, max_lifetime: 45 * 60, max_pipeline: 100, keep_alive: 60, prepare: true, debug: false },
      publications: "alltables",
    } as unknown as PostgresOptions);
  }

  /**
   * Whether a pooler refused the connection because of `statement_timeout`. Poolers that lend a connection for one
   * transaction at a time refuse it. The next connections are made without it.
   */
  #isRefusedByPooler(error: unknown): boolean {
    if (this.#isPooled || this.#given !== undefined) return false;
    this.#isPooled = /startup parameter.*statement_timeout/.test(reasonOf(error));
    if (this.#isPooled) this.#renewedAt = -Infinity;
    return this.#isPooled;
  }

  /** Makes the next statement use new connections, which try the next host first. */
  #leaveHost(client: PostgresClient): void {
    if (this.#renew(client)) this.#first++;
  }

  /** Makes the next statement use new connections, unless they are new. Returns whether it did. */
  #renew(client: PostgresClient): boolean {
    if (this.#given !== undefined || client !== this.#client) return false;
    if (performance.now() - this.#renewedAt < RENEW_AGE) return false;
    this.#renewedAt = performance.now();
    this.#client = undefined;
    // Statements that are only slow still get their answers.
    const ending = client.end({ timeout: CALL_DEADLINE / 1000 }).catch(() => {});
    this.#running.add(ending);
    ending.finally(() => this.#running.delete(ending));
    return true;
  }
}

/** The code of an error of the server or of the client; empty if it has none. */
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

/** The list, rotated so that the item at `first` comes first. */
function rotated<T>(list: readonly T[], first: number): T[] {
  return list.map((_, index) => list[(index + first) % list.length]!);
}
