/**
 * RedisStore: sessions in Redis or Valkey: one server, servers behind Sentinel, or a Cluster.
 *
 * @module
 */
import { ADDRESS, STRING } from "../../_options.ts";
import { checkPrefix } from "../_names.ts";
import { checkStoreOptions, checkUrlOrClient, clientRule, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { type RedisClient, RedisConnection } from "./connection.ts";
import { RedisEntries } from "./entries.ts";

export type { RedisClient };

/** The options of a {@linkcode RedisStore}. It needs one of `url` and `client`. */
export interface RedisStoreOptions extends StoreOptions {
  /**
   * The address of Redis: `redis://user:password@host:port/database`, `rediss://…` with TLS, or
   * `redis+unix:///path?db=0` for a socket. With `?sentinel=NAME`, the host is a Sentinel that knows the master of that
   * name. With `?cluster`, the host is a node of a Cluster. `&node=host:port` adds another Sentinel or node.
   */
  readonly url?: string | undefined;
  /** A client that the program already has, connected or not. The store does not close it. */
  readonly client?: RedisClient | undefined;
  /** The prefix of the keys: `session:` unless given. Applications that share a Redis need different prefixes. */
  readonly prefix?: string | undefined;
}

const CLIENT = 'a client of the package "@redis/client" or "redis", version 5 or later';
const RULES = { url: ADDRESS, client: clientRule(CLIENT, ["get", "zScan", "eval"]), prefix: STRING };

/**
 * A store of sessions in Redis 6.2 or later, or in Valkey.
 *
 * Redis must not evict sessions: set its `maxmemory-policy` to `noeviction`. With `appendonly yes`, sessions survive a
 * restart of Redis. With `appendfsync always`, even the last changes before a crash survive. Behind Sentinel and in a
 * Cluster, a failover may undo changes that were acknowledged just before it, because replicas lag behind.
 * `min-replicas-to-write` makes this less likely.
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
   * Makes a store. The store connects at its first use.
   *
   * @param options The address or the client of Redis, and the options that differ from their defaults.
   * @throws {TypeError} if an option, or a part of the address, is invalid; the message names it.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: RedisStoreOptions) {
    const common = checkStoreOptions("RedisStore", options, RULES);
    checkUrlOrClient("RedisStore", options);
    const { url, client, prefix = "session:" } = options;
    checkPrefix(prefix);
    const connection = new RedisConnection({ url, client, log: common.log });
    const { max, log, now } = common;
    super(new RedisEntries({ connection, prefix, max, log, now }), { name: connection.server, ...common });
  }
}
