/** RedisConnection: one connection to Redis. It is replaced after a failure. Only this file uses the client. */
import type { Log } from "../../log.ts";
import { reasonOf } from "../../_reason.ts";
import { CALL_DEADLINE } from "../_deadline.ts";
import { pause } from "../_pause.ts";
import { loadClient } from "../_client.ts";
import { parseRedisAddress, type RedisAddress } from "./address.ts";

/** The package `@redis/client`. It is not loaded if the program gives its own client. */
type Package = typeof import("npm:@redis/client@6.3.1");

let redis: Package | undefined;

async function load(): Promise<Package> {
  // deno-lint-ignore no-import-prefix -- an entry in deno.json would make every program download it
  return redis ??= await loadClient("RedisStore", "@redis/client@6", () => import("npm:@redis/client@6.3.1"));
}

/** The part of one server's client that the store uses. */
export interface NodeClient {
  sendCommand(args: string[]): Promise<unknown>;
}

/**
 * The parts of a client that the store uses. The client is from `@redis/client` 5 or later, which the package `redis`
 * contains. The client is for one server or for a Cluster.
 */
export interface RedisClient {
  /** Whether it is connected, or connecting. */
  readonly isOpen: boolean;
  /** Connects it. */
  connect(): Promise<unknown>;
  /** The command GET. */
  get(key: string): Promise<unknown>;
  /** The command ZSCAN. */
  zScan(key: string, cursor: string, options: { COUNT: number }): Promise<unknown>;
  /** The command EVAL. */
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  /** Listens to events. */
  on(event: "error", listener: (error: unknown) => void): unknown;
  /** Stops listening. */
  off(event: "error", listener: (error: unknown) => void): unknown;
}

type OwnClient = RedisClient & { destroy(): unknown; close(): Promise<unknown> };
type ClusterClient = RedisClient & {
  readonly masters: readonly { readonly host: string; readonly port: number }[];
  nodeClient(node: unknown): Promise<unknown> | unknown;
};

/** The milliseconds without an answer after which the connection counts as lost. A ping is sent twice in this time. */
const SILENCE = 2000;

/**
 * Error replies after which the connection is replaced. The server may have become a replica, it may be starting, or its
 * users may have changed. In the error of a script, the word follows a dash.
 */
const BAD_CONNECTION = /(^|-)(READONLY|LOADING|MASTERDOWN|NOAUTH|WRONGPASS|UNBLOCKED|NOREPLICAS)\b/;

/**
 * A connection that opens at its first use. After a failure it is replaced by a new one, and the name of the server is
 * looked up again.
 */
export class RedisConnection {
  /** The name of the server, for messages. */
  readonly server: string;
  /** Whether this is a Cluster. Its keys are on several servers, so one script can use only keys of one slot. */
  readonly isCluster: boolean;
  #given: RedisClient | undefined;
  #address: RedisAddress | undefined;
  /** The masters of a Cluster, as the last client knew them. */
  #masters: RedisAddress["nodes"] = [];
  #connecting: Promise<RedisClient> | undefined;
  #client: RedisClient | undefined;
  #connectedAt = -Infinity;
  #isClosed = false;
  #log: Log;

  /**
   * Checks the address. It does not connect yet.
   *
   * @param url The address, unless there is a client.
   * @param client A client that the program already has.
   * @param log Called when a connection fails.
   * @throws {TypeError} if the address cannot be used.
   */
  constructor({ url, client, log }: { url?: string | undefined; client?: RedisClient | undefined; log: Log }) {
    this.#log = log;
    this.#given = client;
    const address = client === undefined ? parseRedisAddress(url!) : undefined;
    this.#address = address;
    this.server = address === undefined ? "Redis" : `Redis at ${address.name}`;
    this.isCluster = address === undefined ? "masters" in client! : address.kind === "cluster";
    // Without a listener for errors, a lost connection would end the program.
    client?.on("error", this.#onError);
  }

  /** Connects, unless there is a connection. */
  open(): Promise<unknown> | undefined {
    return this.#client === undefined ? this.#connect() : undefined;
  }

  /**
   * Sends commands. If the connection fails, the commands are sent again over a new one. So they must do no harm if
   * Redis executes them twice.
   *
   * @param work Sends the commands.
   */
  async ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
    const start = performance.now();
    for (let tries = 1;; tries++) {
      const client = await this.#connect();
      try {
        return await work(client);
      } catch (error) {
        const isAnswer = isReply(error);
        const isBad = BAD_CONNECTION.test(reasonOf(error));
        if (isAnswer && !isBad) throw error;
        // The client of a Cluster replaces its broken connections itself.
        if (isAnswer) this.#drop(client, error, leave);
        else if (!this.isCluster) this.#drop(client, error);
        // Nothing is sent again when the deadline of the call is near.
        if (performance.now() - start > CALL_DEADLINE - 300) throw error;
        await pause(tries === 1 ? 0 : 50);
      }
    }
  }

  /**
   * The clients of all servers that hold keys: the masters of a Cluster, or the one server. Some may not be connected
   * yet. An unreachable one never is.
   */
  masters(client: RedisClient): Promise<NodeClient>[] {
    if (!this.isCluster) return [Promise.resolve(client as unknown as NodeClient)];
    const cluster = client as ClusterClient;
    return cluster.masters.map((node) => Promise.resolve(cluster.nodeClient(node) as NodeClient));
  }

  /**
   * Makes the next command use a new connection. The client of a Cluster does not notice that a node is silent while
   * commands are sent to it. So it is replaced, too. The new client asks all known nodes which of them are masters now.
   */
  reconnect(): void {
    const client = this.#client;
    // A call that waited for a new connection says nothing about it.
    if (client === undefined || performance.now() - this.#connectedAt < CALL_DEADLINE) return;
    if (this.isCluster) this.#masters = (client as ClusterClient).masters.map(({ host, port }) => ({ host, port }));
    this.#drop(client, new Error("no answer"));
  }

  /** Closes the connection. A client that the program gave stays open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const client = await this.#connecting?.catch(() => undefined);
    this.#given?.off("error", this.#onError);
    if (client !== undefined && client !== this.#given) destroy(client as OwnClient);
  }

  #connect(): Promise<RedisClient> {
    if (this.#isClosed) return Promise.reject(new Error("the store was closed"));
    if (this.#connecting !== undefined) return this.#connecting;
    const connecting = this.#given !== undefined ? this.#connectGiven(this.#given) : this.#connectOwn();
    return this.#connecting = connecting.then((client) => {
      this.#connectedAt = performance.now();
      return this.#client = client;
    }, (error) => {
      this.#connecting = undefined;
      throw error;
    });
  }

  async #connectGiven(client: RedisClient): Promise<RedisClient> {
    if (!client.isOpen) await client.connect();
    return client;
  }

  async #connectOwn(): Promise<RedisClient> {
    const client = await makeClient({ ...this.#address!, nodes: [...this.#address!.nodes, ...this.#masters] });
    client.on("error", (error) => {
      // An error of the first attempt to connect is thrown below.
      if (client !== this.#client) return;
      if (this.isCluster) this.#onError(error);
      else this.#drop(client, error);
    });
    try {
      await client.connect();
    } catch (error) {
      destroy(client);
      throw error;
    }
    return client;
  }

  #onError = (error: unknown): void => {
    if (!this.#isClosed) this.#log("error", "The connection to the session store failed", reasonOf(error));
  };

  /**
   * Closes a connection, so that the next command makes a new one. Logs the reason, but none of the errors that follow:
   * closing a connection causes another one.
   */
  #drop(client: RedisClient, reason: unknown, close: (client: OwnClient) => void = destroy): void {
    if (client === this.#given || client !== this.#client) return;
    this.#onError(reason);
    this.#connecting = this.#client = undefined;
    close(client as OwnClient);
  }
}

/** Closes a connection after all commands on it are answered. */
function leave(client: OwnClient): void {
  client.close().catch(() => {});
}

/** Closes a connection immediately. */
function destroy(client: OwnClient): void {
  try {
    client.destroy();
  } catch {
    // The connection was already closed, or never opened.
  }
}

/** Whether an error is a reply of Redis. A client of the program may come from another copy of the package. */
function isReply(error: unknown): boolean {
  if (redis !== undefined && error instanceof redis.ErrorReply) return true;
  return error instanceof Error && /^(ErrorReply|SimpleError|BlobError)$/.test(error.constructor.name);
}

async function makeClient(address: RedisAddress): Promise<OwnClient> {
  const redis = await load();
  const { kind, isTls, credentials, database, nodes } = address;
  const tls = isTls ? { tls: true as const } : {};
  const timeouts = { connectTimeout: SILENCE, socketTimeout: SILENCE };
  const options = {
    ...credentials,
    pingInterval: SILENCE / 2,
    // Commands do not wait for a connection. While there is none, they fail immediately.
    disableOfflineQueue: true,
    maintNotifications: "disabled" as const,
  };
  if (kind === "cluster") {
    const reconnectStrategy = (count: number) => Math.min(50 * 2 ** count, 1000) + Math.random() * 100;
    // A node that is silent is given up early, so that another one is asked before the deadline of the waiting callers.
    const brief = { connectTimeout: SILENCE / 2, socketTimeout: SILENCE / 2 };
    const rootNodes = nodes.map((node) => ({
      socket: { ...node, ...tls, ...brief } as { host: string; port: number },
    }));
    const defaults = { ...options, socket: { ...tls, ...timeouts, reconnectStrategy } };
    // If a node is unreachable, the client soon asks the other nodes which one replaces it.
    const topologyRefreshOnReconnectionAttemptStrategy = SILENCE / 2;
    return redis.createCluster({
      rootNodes,
      defaults,
      topologyRefreshOnReconnectionAttemptStrategy,
      // The client connects although one of the masters may be unreachable.
      minimizeConnections: true,
    }) as unknown as OwnClient;
  }
  // The client does not reconnect: RedisConnection makes a new one, so that the name is looked up again.
  const socket = { ...tls, ...timeouts, reconnectStrategy: false as const };
  const node = kind === "sentinel" ? await masterOf(address, socket) : nodes[0]!;
  return redis.createClient({
    ...options,
    database,
    socket: { ...socket, ...node } as typeof socket,
  }) as unknown as OwnClient;
}

/** Asks one Sentinel after the other for the address of the master. */
async function masterOf(address: RedisAddress, socket: object): Promise<{ host: string; port: number }> {
  const redis = await load();
  let failure: unknown;
  for (const node of address.nodes) {
    // The Sentinels share the time, so that the last one is asked before the deadline of the waiting callers.
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
