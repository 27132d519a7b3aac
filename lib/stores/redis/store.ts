/**
 * RedisStore: sessions in Redis or Valkey, alone, behind Sentinel or as a Cluster.
 *
 * @module
 */
import { ADDRESS } from "../../_options.ts";
import { checkPrefix } from "../_names.ts";
import { checkPlace, checkStoreOptions, clientWith, NAME, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { type RedisClient, RedisConnection } from "./connection.ts";
import { RedisEntries } from "./entries.ts";

export type { RedisClient };

/** The options of a {@linkcode RedisStore}: where Redis is, or a client of it. */
export interface RedisStoreOptions extends StoreOptions {
  /**
   * Where Redis is: `redis://user:password@host:port/database`, `rediss://` with TLS, `redis+unix:///path?db=0` for a
   * socket. `?sentinel=NAME` makes the host a Sentinel that knows the master of that name, `?cluster` a node of a
   * Cluster; `&node=host:port` adds another one.
   */
  readonly url?: string | undefined;
  /** A client that the program has already, connected or not. The store does not close it. */
  readonly client?: RedisClient | undefined;
  /** What the keys begin with: `session:` unless given. Another one for each application that shares this Redis. */
  readonly prefix?: string | undefined;
}

const CLIENT = 'a client of the package "@redis/client" or "redis", version 5 or later';
const RULES = { url: ADDRESS, client: clientWith(CLIENT, "get", "zScan", "eval"), prefix: NAME };

/**
 * Sessions in Redis 6.2 or later, or Valkey.
 *
 * Redis must be told to keep what it has: `maxmemory-policy noeviction`, and `appendonly yes` if sessions are to
 * outlive it (`appendfsync always` if every last one is). Behind Sentinel and in a Cluster, what was acknowledged just
 * before a failover may be undone by it, because replicas lag behind; `min-replicas-to-write` narrows that.
 *
 * @example
 * ```ts ignore
 * import { RedisStore } from "sessions/redis";
 *
 * const store = new RedisStore({ url: "redis://localhost" });
 * ```
 */
export class RedisStore extends EntryStore {
  /**
   * Makes a store. It connects at its first use.
   *
   * @param options Where Redis is, and what differs from the defaults.
   * @throws {TypeError} naming an option, or a part of the address, that cannot be used; {@linkcode RangeError} for a
   * number that is out of range.
   */
  constructor(options: RedisStoreOptions) {
    const common = checkStoreOptions("RedisStore", options, RULES);
    checkPlace("RedisStore", options);
    const { url, client, prefix = "session:" } = options;
    checkPrefix(prefix);
    const connection = new RedisConnection({ url, client, log: common.log });
    const { max, log, now } = common;
    super(new RedisEntries({ connection, prefix, max, log, now }), { name: connection.server, ...common });
  }
}
