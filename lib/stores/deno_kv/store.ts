/**
 * DenoKvStore: sessions in Deno KV, in a file on this machine or in a remote database.
 *
 * @module
 */
import { ADDRESS, STRING } from "../../_options.ts";
import { checkPrefix } from "../_names.ts";
import { checkStoreOptions, clientRule, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { type Kv, type KvAtomic, KvDatabase, type KvEntry } from "./database.ts";
import { KvEntries } from "./entries.ts";

export type { Kv, KvAtomic, KvEntry };

/** The options of a {@linkcode DenoKvStore}. */
export interface DenoKvStoreOptions extends StoreOptions {
  /**
   * The address of the database. `denokv:PATH` is a file, which is created if missing. `denokv::memory:` keeps the
   * sessions in memory. `https://HOST/…` is a remote database. Its access token must be in the environment variable
   * `DENO_KV_ACCESS_TOKEN`. Without an address, the store uses the database that Deno keeps for the program, or the
   * program's database on Deno Deploy.
   */
  readonly url?: string | undefined;
  /** A database that the program has opened, instead of `url`. The store does not close it. */
  readonly client?: Kv | undefined;
  /** The first part of every key: `session:` unless given. Programs that share a database need different prefixes. */
  readonly prefix?: string | undefined;
}

/** The most bytes that Deno KV keeps under a key. */
const MAX_BYTES = 64 * 1024;
const RULES = { url: ADDRESS, client: clientRule("a Deno.Kv", ["get", "getMany", "list", "atomic"]), prefix: STRING };

/**
 * A store of sessions in Deno KV. The program must run with `--unstable-kv`, or have `"unstable": ["kv"]` in its
 * deno.json.
 *
 * A session may take up to 65,327 bytes as JSON. If a use extends a session, the store writes the whole session again.
 * If the database's file is moved or replaced while it is in use, every verb rejects until the file is back.
 *
 * @example
 * ```ts
 * import { DenoKvStore } from "sessions/deno-kv";
 * import { newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const store = new DenoKvStore({ url: "denokv::memory:" });
 * const key = newId();
 * const now = Date.now();
 * await store.create(key, { data: { n: 1 }, created: now, idle: 1000, expires: now + 1000, deadline: now + 5000 });
 * assertEquals((await store.read(key))?.data, { n: 1 });
 * await store.close();
 * ```
 */
export class DenoKvStore extends EntryStore {
  /**
   * Makes a store. The store opens the database at its first use.
   *
   * @param options The address of the database, or the open database, and the options that differ from their defaults.
   * @throws {TypeError} if an option, or a part of the address, is invalid; the message names it.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: DenoKvStoreOptions = {}) {
    const common = checkStoreOptions("DenoKvStore", options, RULES);
    const { url, client, prefix = "session:" } = options;
    if (url !== undefined && client !== undefined) {
      throw new TypeError('Cannot make a DenoKvStore: it takes "url" or "client", but not both');
    }
    const database = new KvDatabase(url, client);
    const entries = new KvEntries(database, checkPrefix(prefix), common.now);
    super(entries, { name: database.name, ...common, maxBytes: MAX_BYTES });
  }
}
