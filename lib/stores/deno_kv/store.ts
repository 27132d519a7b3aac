/**
 * DenoKvStore: sessions in Deno KV, in a file on this machine or in a database elsewhere.
 *
 * @module
 */
import { ADDRESS } from "../../_options.ts";
import { checkPrefix } from "../_names.ts";
import { checkStoreOptions, clientWith, NAME, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { type Kv, type KvAtomic, KvDatabase, type KvEntry } from "./database.ts";
import { KvEntries } from "./entries.ts";

export type { Kv, KvAtomic, KvEntry };

/** The options of a {@linkcode DenoKvStore}. */
export interface DenoKvStoreOptions extends StoreOptions {
  /**
   * Where the database is: `denokv:PATH` for a file, which is made if missing; `denokv::memory:` for none;
   * `https://HOST/…` for one elsewhere, whose access token is in the environment variable `DENO_KV_ACCESS_TOKEN`.
   * Without it, the one that Deno keeps for the program, or that the program has on Deno Deploy.
   */
  readonly url?: string | undefined;
  /** A database that the program has opened, instead of `url`; the program closes it. */
  readonly client?: Kv | undefined;
  /** The first part of every key; programs with different ones can share a database. `"session:"` unless given. */
  readonly prefix?: string | undefined;
}

/** The most bytes that Deno KV keeps under a key. */
const MAX_BYTES = 64 * 1024;
const RULES = { url: ADDRESS, client: clientWith("a Deno.Kv", "get", "getMany", "list", "atomic"), prefix: NAME };

/**
 * Sessions in Deno KV. The program must run with `--unstable-kv`, or have `"unstable": ["kv"]` in its deno.json.
 *
 * A session may take 65,327 bytes as JSON. Using a session writes it again. If a database's file is moved or replaced
 * while it is in use, every verb rejects until the file is back.
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
   * Makes a store; the database is opened at the first use.
   *
   * @param options Where it is, and what differs from the defaults.
   * @throws {TypeError} if an option is unknown or cannot be used, naming it.
   */
  constructor(options: DenoKvStoreOptions = {}) {
    const common = checkStoreOptions("DenoKvStore", options, RULES);
    const database = new KvDatabase(options.url, options.client);
    const entries = new KvEntries(database, checkPrefix(options.prefix ?? "session:"), common.now);
    super(entries, { name: database.name, ...common, maxBytes: MAX_BYTES });
  }
}
