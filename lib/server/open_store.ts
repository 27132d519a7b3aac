/** Opens the store that the settings name. The shared ones are loaded, client and all, only when one is asked for. */
import { resolve } from "node:path";
import type { Config, SessionType } from "./config.ts";
import type { Log } from "../log.ts";
import { reasonOf } from "./reason.ts";
import type { SessionStore } from "../store.ts";
import { FileStore } from "../stores/file/store.ts";
import { MemoryStore } from "../stores/memory.ts";
import { NullStore } from "../stores/null.ts";

/**
 * Opens the store that the settings name.
 *
 * @param config The settings.
 * @param log Told of what goes wrong in the background.
 * @throws {Error} naming the setting, if the store cannot be used.
 */
export async function openStore(config: Config, log: Log): Promise<SessionStore> {
  const { type, dir } = config;
  const isShared = type in SHARED_STORES;
  const make = isShared ? await loadShared(type as SharedType, config, log) : () => makeOwn(config, log);
  let store: SessionStore | undefined;
  try {
    store = make();
    await store.ready?.();
    return store;
  } catch (error) {
    await store?.close?.().catch(() => {});
    const needed = isShared
      ? '"SESSION_URL" must be the address of a store that can be used'
      : `"SESSION_FILE_DIR" must be a folder that can be read and written: received "${dir}"`;
    throw new Error(`the session store does not work: ${needed}: ${reasonOf(error)}`);
  }
}

function makeOwn({ type, dir, max, sync }: Config, log: Log): SessionStore {
  if (type === "memory") return new MemoryStore({ max });
  if (type === "null") return new NullStore();
  // Deno makes a relative path absolute at every call, which costs as much as a quarter of looking at the file.
  return new FileStore({ dir: resolve(dir), max, sync, log });
}

/** The modules of the shared stores in `lib/stores`, and what their stores are called. */
export const SHARED_STORES = {
  redis: ["redis", "RedisStore"],
  sqlite: ["sqlite", "SqliteStore"],
  postgres: ["postgres", "PostgresStore"],
  memcached: ["memcached", "MemcachedStore"],
  mongodb: ["mongodb", "MongoStore"],
  denokv: ["deno_kv", "DenoKvStore"],
} as const satisfies Partial<Record<SessionType, readonly [module: string, name: string]>>;

type SharedType = keyof typeof SHARED_STORES;

/** A store that is reached by an address. Each takes of the options what it has a use for. */
type SharedStore = new (options: {
  readonly url: string;
  readonly max: number;
  readonly prefix: string;
  readonly table: string;
  readonly collection: string;
  readonly sync: Config["sync"];
  readonly log: Log;
}) => SessionStore;

async function loadShared(type: SharedType, config: Config, log: Log): Promise<() => SessionStore> {
  const { url = "", max, prefix, table, sync } = config;
  const [module, name] = SHARED_STORES[type];
  // A computed name keeps the clients out of the program's module graph. A bundle has all its modules in one folder.
  const isBundled = import.meta.url.endsWith(".js");
  const path = isBundled ? `./${module}.js` : `../stores/${module}/store.ts`;
  let loaded: Record<string, SharedStore>;
  try {
    loaded = await import(new URL(path, import.meta.url).href);
  } catch (error) {
    // What stands in the default lock file is downloaded by everybody, so the clients have lock files of their own.
    if (!/lockfile/.test(String(error))) throw error;
    throw new Error(
      `the client for "SESSION_TYPE" ${type} is not in the lock file: start with "deno task start", or ` +
        `"--lock=lib/stores/${module}/client.lock"`,
    );
  }
  return () => new loaded[name]!({ url, max, prefix, table, collection: table, sync, log });
}
