/** RedisConnection: where Redis is, how it is reached again after a failure, and what its failures mean. */
import type { Log } from "../../log.ts";
import { reasonOf } from "../../_reason.ts";
import { DEADLINE, within } from "../_deadline.ts";
import { pause } from "../_pause.ts";
import { loadClient } from "../_client.ts";
import { parseRedisAddress, type RedisAddress } from "./address.ts";

/** The package; a program that brings its own client never loads it. */
type Package = typeof import("npm:@redis/client@6.3.1");

let redis: Package | undefined;

async function load(): Promise<Package> {
  // deno-lint-ignore no-import-prefix -- in deno.json, everyone would have to download it
  return redis ??= await loadClient("RedisStore", "@redis/client@6", () => import("npm:@redis/client@6.3.1"));
}

/** What is used of one server's client. */
interface NodeClient {
  sendCommand(args: string[]): Promise<unknown>;
}

/** What is used of a client of `@redis/client` 5 or later (the package `redis` brings it), single or of a Cluster. */
export interface RedisClient {
  /** Whether it was told to connect. */
  readonly isOpen: boolean;
  /** Connects it. */
  connect(): Promise<unknown>;
  /** The command GET. */
  get(key: string): Promise<unknown>;
  /** The command PTTL. */
  pTTL(key: string): Promise<unknown>;
  /** The command ZRANGE. */
  zRange(key: string, start: number, stop: number): Promise<unknown>;
  /** The command EVAL. */
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  /** Listens to events. */
  on(event: "error", listener: (error: unknown) => void): unknown;
  /** Stops listening. */
  off(event: "error", listener: (error: unknown) => void): unknown;
}

type OwnClient = RedisClient & { destroy(): unknown; close(): Promise<unknown> };
type ClusterClient = RedisClient & {
  readonly masters: readonly unknown[];
  nodeClient(node: unknown): Promise<unknown> | unknown;
};

/** How long no answer may come before the connection counts as lost, in milliseconds; a ping comes twice in that time. */
const SILENCE = 2000;

/**
 * Answers that mean: not here, or not now. A server of this name may have become a replica, be starting, or have other
 * users now; in a script's error the word comes after a dash. Nothing was done.
 */
const BAD_CONNECTION = /(^|-)(READONLY|LOADING|MASTERDOWN|NOAUTH|WRONGPASS|UNBLOCKED|NOREPLICAS)\b/;

/** Thrown when there is no connection: nothing was sent. */
class NotConnectedError extends Error {
  override name = "NotConnectedError";
}

/** Thrown when an answer was lost, so that what was asked may be done or not. */
export class LostAnswerError extends Error {
  override name = "LostAnswerError";
}

/**
 * A connection that is made at its first use, and replaced, with its name looked up again, when it broke or leads
 * to a server that is no good any more.
 */
export class RedisConnection {
  /** What to call the server in messages. */
  readonly server: string;
  /** Whether keys lie on several servers, so that one step can use keys of one slot only. */
  readonly isCluster: boolean;
  #given: RedisClient | undefined;
  #address: RedisAddress | undefined;
  #client: Promise<RedisClient> | undefined;
  #current: RedisClient | undefined;
  #isClosed = false;
  #log: Log;

  /**
   * Checks the address; connects nowhere yet.
   *
   * @param url The address, unless there is a client.
   * @param client A client that the program has already.
   * @param log Called with lost connections.
   * @throws {TypeError} if there is not exactly one of address and client, or the address cannot be used.
   */
  constructor({ url, client, log }: { url?: string | undefined; client?: RedisClient | undefined; log: Log }) {
    if ((url === undefined) === (client === undefined)) {
      throw new TypeError('Cannot make a RedisStore: it needs one of "url" and "client"');
    }
    this.#log = log;
    this.#given = client;
    const address = url === undefined ? undefined : parseRedisAddress(url);
    this.#address = address;
    this.server = address === undefined ? "Redis" : `Redis at ${address.name}`;
    this.isCluster = address === undefined ? "masters" in client! : address.kind === "cluster";
    // Without a listener, a lost connection would end the program.
    client?.on("error", this.#onError);
  }

  /**
   * Asks Redis something. On a connection that is no good, nothing was done, and a new one is tried once.
   *
   * @param work Sends the commands.
   * @throws {LostAnswerError} if what was asked may be done or not.
   */
  async once<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
    return await this.#ask(work, false);
  }

  /**
   * The same for what may be done more than once. When the answer is lost, it is asked again until the deadline is near.
   *
   * @param work Sends the commands.
   */
  async untilAnswered<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
    return await this.#ask(work, true);
  }

  /** Loads the client, which on a busy machine may take longer than a verb may. */
  async load(): Promise<void> {
    if (this.#given === undefined) await load();
  }

  /** Every server that holds keys of its own. */
  async masters(client: RedisClient): Promise<NodeClient[]> {
    if (!this.isCluster) return [client as unknown as NodeClient];
    const cluster = client as ClusterClient;
    return await Promise.all(cluster.masters.map((node) => cluster.nodeClient(node) as Promise<NodeClient>));
  }

  /** The names that match a pattern, some at a time; one may come twice. */
  async *scan(pattern: string): AsyncGenerator<string[]> {
    const masters = await within(this.server, this.once((client) => this.masters(client)));
    for (const master of masters) {
      let cursor = "0";
      do {
        const step = master.sendCommand(["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"]);
        const [next, names] = await within(this.server, step) as [string, string[]];
        cursor = next;
        yield names;
      } while (cursor !== "0");
    }
  }

  /** Lets go of the connection; a client that was given stays as it is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    this.#given?.off("error", this.#onError);
    if (client !== undefined && client !== this.#given) destroy(client as OwnClient);
  }

  async #ask<T>(work: (client: RedisClient) => Promise<T>, mayRepeat: boolean): Promise<T> {
    const start = performance.now();
    let isLost = false;
    for (let tries = 1;; tries++) {
      let client: RedisClient | undefined;
      try {
        client = await this.#connect();
        return await work(client);
      } catch (error) {
        const isRefused = isReply(error);
        const isBad = isRefused && BAD_CONNECTION.test(reasonOf(error));
        if (isRefused && !isBad) throw error;
        if (client !== undefined && isBad) this.#drop(client, leave);
        else if (client !== undefined && !this.isCluster) this.#drop(client);
        const wasSent = !isBad && !wasNeverSent(error);
        isLost ||= wasSent;
        // When nothing is known to be under way, one more try is enough: Redis is away, and the callers get an error that says so.
        const mayTry = isLost ? mayRepeat : tries === 1 && client !== undefined;
        if (!mayTry || performance.now() - start > DEADLINE - 500) {
          throw isLost ? new LostAnswerError(reasonOf(error)) : error;
        }
        if (tries > 1) await pause(50);
      }
    }
  }

  #connect(): Promise<RedisClient> {
    if (this.#isClosed) return Promise.reject(new NotConnectedError("the store was closed"));
    if (this.#client !== undefined) return this.#client;
    const connecting = this.#given !== undefined ? this.#connectGiven(this.#given) : this.#connectOwn();
    return this.#client = connecting.then((client) => this.#current = client, (error) => {
      this.#client = undefined;
      throw new NotConnectedError(reasonOf(error));
    });
  }

  async #connectGiven(client: RedisClient): Promise<RedisClient> {
    if (!client.isOpen) await client.connect();
    return client;
  }

  async #connectOwn(): Promise<RedisClient> {
    const client = await makeClient(this.#address!);
    let isConnected = false;
    client.on("error", (error) => {
      if (!isConnected) return;
      this.#onError(error);
      // A Cluster's client tends its many connections itself.
      if (!this.isCluster) this.#drop(client);
    });
    try {
      await client.connect();
    } catch (error) {
      destroy(client);
      throw error;
    }
    isConnected = true;
    return client;
  }

  #onError = (error: unknown): void => {
    if (!this.#isClosed) this.#log("error", "The connection to the session store failed", reasonOf(error));
  };

  /** Lets go of a connection, so that the next use makes one. */
  #drop(client: RedisClient, close: (client: OwnClient) => void = destroy): void {
    if (client === this.#given || client !== this.#current) return;
    this.#client = this.#current = undefined;
    close(client as OwnClient);
  }
}

/** Closed when what is under way on it has its answers. */
function leave(client: OwnClient): void {
  client.close().catch(() => {});
}

/** Closed at once; one that never opened has nothing to close. */
function destroy(client: OwnClient): void {
  try {
    client.destroy();
  } catch {
    // It is closed.
  }
}

/** Whether an error is Redis's answer. A client that was given may come from another copy of the package. */
function isReply(error: unknown): boolean {
  return redis !== undefined && error instanceof redis.ErrorReply ||
    /^(ErrorReply|SimpleError|BlobError)$/.test(nameOf(error));
}

function wasNeverSent(error: unknown): boolean {
  const own = redis === undefined ? [] : [redis.ClientClosedError, redis.ClientOfflineError];
  return [NotConnectedError, ...own].some((type) => error instanceof type) ||
    /^Client(Closed|Offline)Error$/.test(nameOf(error));
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.constructor.name : "";
}

async function makeClient(address: RedisAddress): Promise<OwnClient> {
  const redis = await load();
  const { kind, isTls, credentials, database, nodes } = address;
  const tls = isTls ? { tls: true as const } : {};
  const timeouts = { connectTimeout: SILENCE, socketTimeout: SILENCE };
  const options = {
    ...credentials,
    pingInterval: SILENCE / 2,
    // Nothing waits for a connection: while there is none, everything fails at once.
    disableOfflineQueue: true,
    maintNotifications: "disabled" as const,
  };
  if (kind === "cluster") {
    const reconnectStrategy = (count: number) => Math.min(50 * 2 ** count, 1000) + Math.random() * 100;
    const rootNodes = nodes.map((node) => ({ socket: { ...node, ...tls } as { host: string; port: number } }));
    const defaults = { ...options, socket: { ...tls, ...timeouts, reconnectStrategy } };
    // When one of them is away, the others are asked soon who took over.
    const topologyRefreshOnReconnectionAttemptStrategy = SILENCE / 2;
    return redis.createCluster({
      rootNodes,
      defaults,
      topologyRefreshOnReconnectionAttemptStrategy,
    }) as unknown as OwnClient;
  }
  // A broken connection is replaced by a new one, so that the name is looked up again.
  const socket = { ...tls, ...timeouts, reconnectStrategy: false as const };
  const node = kind === "sentinel" ? await masterOf(address, socket) : nodes[0]!;
  return redis.createClient({
    ...options,
    database,
    socket: { ...socket, ...node } as typeof socket,
  }) as unknown as OwnClient;
}

/** Asks one Sentinel after the other where the master is. */
async function masterOf(address: RedisAddress, socket: object): Promise<{ host: string; port: number }> {
  const redis = await load();
  let failure: unknown;
  for (const node of address.nodes) {
    // All waiting callers share one deadline.
    const client = redis.createClient({
      socket: { ...socket, ...node, connectTimeout: SILENCE / address.nodes.length },
    });
    client.on("error", () => {});
    try {
      await client.connect();
      const found = await client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master]);
      if (Array.isArray(found)) return { host: String(found[0]), port: Number(found[1]) };
      failure = new Error(`the Sentinel knows no master named "${address.master}"`);
    } catch (error) {
      failure = error;
    } finally {
      destroy(client as unknown as OwnClient);
    }
  }
  throw failure;
}
