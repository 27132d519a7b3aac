/** RedisStore: sessions in Redis or Valkey, alone, behind Sentinel or as a Cluster; the only user of its client. */
// deno-lint-ignore no-import-prefix -- in deno.json, everybody would have to download it
import { createClient, createCluster, createSentinel } from "npm:@redis/client@6.3.1";
import { type Log, silent } from "../log.ts";
import { type Apply, freeze, type SessionRecord, type SessionStore, StoreFullError } from "../store.ts";
import type { OpenSharedStore } from "../server/open_store.ts";
import { compareAndSet, fromText, logCorrupt, reasonOf, toText, within } from "./shared.ts";

/** What a {@linkcode RedisStore} is made of. */
export interface RedisStoreOptions {
  /**
   * Where Redis is: `redis://user:password@host:port/database`, `rediss://` with TLS. `?sentinel=NAME` makes the host a
   * Sentinel that knows the master of that name, `?cluster` a node of a Cluster; `&node=host:port` adds another one.
   */
  readonly url: string;
  /** Keys at most in the database, or on each master of a Cluster: 1,000,000 unless given. */
  readonly max?: number;
  /** Told of lost connections and corrupt records; says nothing unless given. */
  readonly log?: Log;
}

/** How long no answer may come before the connection counts as lost, in milliseconds; a ping comes twice in that time. */
const SILENCE = 2000;
const PREFIX = "session:";

// A session is a text with its idle limit as the key's time to live, by the clock of Redis: using it is one PEXPIRE,
// and Redis removes it by itself. Each of these runs as one step, and uses one key, as a Cluster needs it.
const CREATE = `
  if redis.call("EXISTS", KEYS[1]) == 1 then return "there" end
  if redis.call("DBSIZE") >= (tonumber(ARGV[3]) or math.huge) then return "full" end
  redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
  return "kept"`;
const REPLACE = `
  if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
  redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
  return 1`;
const TOUCH = `
  local ends = string.match(redis.call("GETRANGE", KEYS[1], 0, 99), '"ends":(%d+)')
  if not ends then return 0 end
  local left = math.min(tonumber(ARGV[1]), tonumber(ends)) - tonumber(ARGV[2])
  if left <= 0 then return 0 end
  return redis.call("PEXPIRE", KEYS[1], string.format("%d", left))`;

/** What the three kinds of client have in common, of what is needed here. */
interface Client {
  connect(): Promise<unknown>;
  get(key: string): Promise<string | null>;
  getDel(key: string): Promise<string | null>;
  pTTL(key: string): Promise<number>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  on(event: "error", listener: (error: unknown) => void): unknown;
  destroy(): unknown;
}

type Scan = (options: { MATCH: string; COUNT: number }) => AsyncIterable<string[]>;

/**
 * Sessions in Redis 6.2 or later, or Valkey.
 *
 * Redis must be told to keep what it has: `maxmemory-policy noeviction`, and `appendonly yes` if sessions are to
 * outlive it (`appendfsync always` if every last one is). Behind Sentinel and in a Cluster, what was stored just before
 * a master died may be gone with it, because replicas lag behind.
 */
export class RedisStore implements SessionStore {
  #client: Client;
  #scans: () => Promise<Scan[]>;
  #server: string;
  #max: number;
  #log: Log;
  #isConnected = false;

  /**
   * Makes a store; connects when told to.
   *
   * @param options The address, and what differs from the defaults.
   */
  constructor(options: RedisStoreOptions) {
    this.#max = options.max ?? 1_000_000;
    this.#log = options.log ?? silent;
    const url = new URL(options.url);
    this.#server = `Redis at ${url.host}`;
    // Before it was ever connected it does not try again: the start has failed.
    const { client, scans } = makeClient(url, () => this.#isConnected);
    this.#client = client;
    this.#scans = scans;
    this.#client.on("error", (error) => {
      if (this.#isConnected) this.#log("error", "The connection to the session store failed", reasonOf(error));
    });
  }

  /**
   * Connects.
   *
   * @throws {Error} if Redis cannot be reached, or refuses.
   */
  async connect(): Promise<void> {
    try {
      await within(this.#server, this.#client.connect().then(() => this.#client.get(PREFIX)));
      this.#isConnected = true;
    } catch (error) {
      await this.close();
      throw error;
    }
    // Where it may not be asked, it is believed.
    const memory = String(await this.#eval('return redis.call("INFO", "memory")', "").catch(() => ""));
    if (/^maxmemory:[1-9]/m.test(memory) && !memory.includes("maxmemory_policy:noeviction")) {
      this.#log("warn", 'Redis may evict live sessions: set its "maxmemory-policy" to noeviction');
    }
  }

  async create(id: string, record: SessionRecord, replaces = false): Promise<void> {
    const left = Math.max(1, Math.min(record.expires, record.ends) - Date.now());
    const outcome = await this.#eval(CREATE, id, toText(record), left, replaces ? Infinity : this.#max);
    if (outcome === "full") throw new StoreFullError(`${this.#server} may hold ${this.#max} sessions`);
    if (outcome !== "kept") throw new Error("Cannot create a session: its id is already there");
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return await within(this.#server, this.#read(id, "get").then((found) => found?.record));
  }

  async update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined> {
    return await within(
      this.#server,
      compareAndSet(async () => {
        const found = await this.#read(id, "get");
        if (found === undefined) return undefined;
        const { record, text } = found;
        const updated = freeze({ ...record, data: apply(record.data), expires: Math.min(expires, record.ends) });
        const left = Math.max(1, updated.expires - Date.now());
        return await this.#evalNow(REPLACE, id, text, toText(updated), left) === 1 ? updated : "again";
      }),
    );
  }

  async touch(id: string, expires: number): Promise<boolean> {
    return await this.#eval(TOUCH, id, expires, Date.now()) === 1;
  }

  async delete(id: string): Promise<SessionRecord | undefined> {
    return await within(this.#server, this.#read(id, "getDel").then((found) => found?.record));
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    for (const scan of await this.#scans()) {
      for await (const keys of scan({ MATCH: `${PREFIX}*`, COUNT: 100 })) {
        for (const key of keys) {
          const id = key.slice(PREFIX.length);
          const record = await this.read(id);
          if (record !== undefined) yield [id, record];
        }
      }
    }
  }

  // deno-lint-ignore require-await -- a failure rejects
  async close(): Promise<void> {
    this.#client.destroy();
  }

  /** Both commands leave in one packet, in this order; whatever comes between them, the id is never made anew. */
  async #read(id: string, get: "get" | "getDel"): Promise<{ record: SessionRecord; text: string } | undefined> {
    const key = PREFIX + id;
    const [left, text] = await Promise.all([this.#client.pTTL(key), this.#client[get](key)]);
    const now = Date.now();
    if (text === null || left <= 0) return undefined;
    const parsed = fromText(text);
    if (parsed === undefined) logCorrupt(this.#log, this.#server);
    if (parsed === undefined || parsed.ends <= now) return undefined;
    return { record: Object.freeze({ ...parsed, expires: Math.min(now + left, parsed.ends) }), text };
  }

  async #eval(script: string, id: string, ...values: (string | number)[]): Promise<unknown> {
    return await within(this.#server, this.#evalNow(script, id, ...values));
  }

  async #evalNow(script: string, id: string, ...values: (string | number)[]): Promise<unknown> {
    return await this.#client.eval(script, { keys: [PREFIX + id], arguments: values.map(String) });
  }
}

function makeClient(url: URL, retries: () => boolean): { client: Client; scans: () => Promise<Scan[]> } {
  const query = url.searchParams;
  const isTls = url.protocol === "rediss:";
  const nodes = [url.host, ...query.getAll("node")].map((node) => {
    const { hostname, port } = new URL(`redis://${node}`);
    return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (query.has("sentinel") ? 26379 : 6379)) };
  });
  const socket = {
    ...(isTls ? { tls: true as const } : {}),
    connectTimeout: SILENCE,
    socketTimeout: SILENCE,
    reconnectStrategy: (count: number) => retries() && Math.min(50 * 2 ** count, 1000) + Math.random() * 100,
  };
  const options = {
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    socket,
    pingInterval: SILENCE / 2,
    // Nothing waits for a connection: while there is none, everything fails at once.
    disableOfflineQueue: true,
    maintNotifications: "disabled" as const,
  };
  if (query.has("cluster")) {
    const rootNodes = nodes.map((node) => ({ socket: { ...node, ...(isTls ? { tls: isTls } : {}) } }));
    const cluster = createCluster({ rootNodes, defaults: options });
    const scans = async () => {
      const masters = await Promise.all(cluster.masters.map((node) => cluster.nodeClient(node)));
      return masters.map((master) => master.scanIterator.bind(master) as Scan);
    };
    return { client: cluster as unknown as Client, scans };
  }
  const database = Number(url.pathname.slice(1));
  const name = query.get("sentinel");
  const client = name === null
    ? createClient({ ...options, socket: { ...nodes[0], ...socket }, database })
    : createSentinel({
      name,
      sentinelRootNodes: nodes,
      sentinelClientOptions: { socket, pingInterval: SILENCE / 2 },
      nodeClientOptions: { ...options, database },
      scanInterval: SILENCE,
      passthroughClientErrorEvents: true,
    });
  return {
    client: client as unknown as Client,
    scans: () => Promise.resolve([client.scanIterator.bind(client) as Scan]),
  };
}

/** Opens the store for `SESSION_TYPE=redis`. */
export const open: OpenSharedStore = async (options) => {
  const store = new RedisStore(options);
  await store.connect();
  return store;
};
