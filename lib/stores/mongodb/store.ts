/**
 * MongoStore: sessions in a MongoDB collection.
 *
 * @module
 */
import { ADDRESS, STRING } from "../../_options.ts";
import { checkStoreOptions, checkUrlOrClient, clientRule, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { MongoCollection, type MongoConnection } from "./collection.ts";
import { MongoEntries } from "./entries.ts";

export type { MongoConnection };

/** The options of a {@linkcode MongoStore}. It needs one of `url` and `client`. */
export interface MongoStoreOptions extends StoreOptions {
  /**
   * The address of MongoDB: `mongodb://user:password@host:port/database`, or `mongodb+srv://…`. The hosts of a replica
   * set are separated by commas. The address may have the options of the client, except those that would weaken the
   * store's promises.
   */
  readonly url?: string | undefined;
  /** A client that the program already has. The store uses its default database, and does not close it. */
  readonly client?: MongoConnection | undefined;
  /**
   * The collection: `sessions` unless given. It is created if missing. Programs that share a database need different
   * collections.
   */
  readonly collection?: string | undefined;
}

const CLIENT = clientRule('a MongoClient of the package "mongodb"', ["connect", "db", "close"]);
const RULES = { url: ADDRESS, client: CLIENT, collection: STRING };

/**
 * A store of sessions in MongoDB 4.4 or later: one server, a replica set or a sharded cluster. A change that the store
 * has acknowledged is on most servers of the set, so no failover loses it. MongoDB removes expired sessions itself.
 *
 * @example
 * ```ts ignore
 * import { MongoStore } from "sessions/mongodb";
 *
 * const store = new MongoStore({ url: "mongodb://127.0.0.1:27017/app" });
 * ```
 */
export class MongoStore extends EntryStore {
  /**
   * Makes a store. The store connects at its first use.
   *
   * @param options The address or the client of MongoDB, and the options that differ from their defaults.
   * @throws {TypeError} if an option, or a part of the address, is invalid; the message names it.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: MongoStoreOptions) {
    const common = checkStoreOptions("MongoStore", options, RULES);
    checkUrlOrClient("MongoStore", options);
    const collection = new MongoCollection({ ...options, log: common.log });
    super(new MongoEntries(collection, common.now), { name: collection.name, ...common });
  }
}
