/**
 * The table of stores: the module, the class, the addresses and the options of each store.
 *
 * The folders of Redis, PostgreSQL and MongoDB have a file `client.lock`. It is the lock file for the tests and the
 * type check of that store, so that these download one client and not all three. The server uses `deno.lock` instead.
 */

/** A store that a setting or a command can name. */
export interface StoreEntry {
  /** Its module, relative to this folder. */
  readonly module: string;
  /** The name of its class. */
  readonly className: string;
  /** The schemes of its addresses, the usual one first; none for a store that takes no address. */
  readonly schemes: readonly string[];
  /** Its options, except `log`. */
  readonly options: readonly StoreOption[];
}

/** The name of an option of a store. */
export type StoreOption = "dir" | "url" | "max" | "prefix" | "table" | "collection" | "sync";

/** The name of a store. */
export type StoreName =
  | "filesystem"
  | "memory"
  | "null"
  | "redis"
  | "sqlite"
  | "postgres"
  | "memcached"
  | "mongodb"
  | "denokv";

/** Every store that `SESSION_TYPE` can name. */
export const STORES: Readonly<Record<StoreName, StoreEntry>> = {
  filesystem: { module: "file/store.ts", className: "FileStore", schemes: [], options: ["dir", "max", "sync"] },
  memory: { module: "memory.ts", className: "MemoryStore", schemes: [], options: ["max"] },
  null: { module: "null.ts", className: "NullStore", schemes: [], options: [] },
  redis: {
    module: "redis/store.ts",
    className: "RedisStore",
    schemes: ["redis:", "rediss:", "redis+unix:", "valkey:", "valkeys:"],
    options: ["url", "max", "prefix"],
  },
  sqlite: {
    module: "sqlite/store.ts",
    className: "SqliteStore",
    schemes: ["sqlite:"],
    options: ["url", "max", "table", "sync"],
  },
  postgres: {
    module: "postgres/store.ts",
    className: "PostgresStore",
    schemes: ["postgres:", "postgresql:"],
    options: ["url", "max", "table"],
  },
  memcached: {
    module: "memcached/store.ts",
    className: "MemcachedStore",
    schemes: ["memcached:", "memcached+unix:"],
    options: ["url", "prefix"],
  },
  mongodb: {
    module: "mongodb/store.ts",
    className: "MongoStore",
    schemes: ["mongodb:", "mongodb+srv:"],
    options: ["url", "max", "collection"],
  },
  denokv: {
    module: "deno_kv/store.ts",
    className: "DenoKvStore",
    schemes: ["denokv:", "https:"],
    options: ["url", "max", "prefix"],
  },
};
