/**
 * MongoStore: sessions in a MongoDB collection.
 *
 * @module
 */
import { ADDRESS } from "../../_options.ts";
import { checkPlace, checkStoreOptions, clientWith, NAME, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { MongoCollection, type MongoConnection } from "./collection.ts";
import { MongoEntries } from "./entries.ts";

export type { MongoConnection };

/** The options of a {@linkcode MongoStore}. */
export interface MongoStoreOptions extends StoreOptions {
  /**
   * Where MongoDB is: `mongodb://user:password@host:port/database`, with more hosts after commas for a replica set, or
   * `mongodb+srv://…`. Its options may be any of the client's but those that would weaken what the store promises.
   */
  readonly url?: string | undefined;
  /** A client that the program has, instead of `url`; its default database is used, and the program closes it. */
  readonly client?: MongoConnection | undefined;
  /** The collection, made if missing; programs with different ones can share a database. `"sessions"` unless given. */
  readonly collection?: string | undefined;
}

const CLIENT = clientWith('a MongoClient of the package "mongodb"', "connect", "db", "close");
const RULES = { url: ADDRESS, client: CLIENT, collection: NAME };

/**
 * Sessions in MongoDB 4.4 or later, alone, as a replica set or sharded. What it answered is on most servers of the set,
 * so no failover loses it. MongoDB removes what is over by itself.
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
   * Makes a store; connects when it is used.
   *
   * @param options Where MongoDB is, and what differs from the defaults.
   * @throws {TypeError} if an option is unknown or cannot be used, naming it.
   */
  constructor(options: MongoStoreOptions) {
    const common = checkStoreOptions("MongoStore", options, RULES);
    checkPlace("MongoStore", options);
    const collection = new MongoCollection({ ...options, log: common.log });
    super(new MongoEntries(collection, common.now), { name: collection.name, ...common });
  }
}
