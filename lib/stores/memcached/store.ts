/**
 * MemcachedStore: sessions in one memcached server.
 *
 * @module
 */
import { ADDRESS, STRING } from "../../_options.ts";
import { checkParameters, parseAddress } from "../_address.ts";
import { HEAD_BYTES } from "../_marks.ts";
import { checkPrefix } from "../_names.ts";
import { checkStoreOptions, checkUrlOrClient, clientRule, type StoreOptions } from "../_options.ts";
import { EntryStore } from "../entry_store.ts";
import { STORES } from "../table.ts";
import { type MemcachedClient, MemcachedConnection, type MemcachedTarget } from "./connection.ts";
import { MemcachedEntries } from "./entries.ts";

export type { MemcachedClient };

/** The options of a {@linkcode MemcachedStore}. It needs one of `url` and `client`. It has no `max`. */
export interface MemcachedStoreOptions extends Omit<StoreOptions, "max"> {
  /**
   * The address of memcached: `memcached://host:port`, or `memcached+unix:///path` for a socket. It must be one server:
   * with several servers, an old state of a session could come back.
   */
  readonly url?: string | undefined;
  /** A client of the package `memcache-client` that the program already has. The store does not close it. */
  readonly client?: MemcachedClient | undefined;
  /** The prefix of the keys: `session:` unless given. Applications that share a server need different prefixes. */
  readonly prefix?: string | undefined;
}

/** The most bytes of a session as JSON: memcached's limit of 1 MiB, less what memcached and the store add. */
const MAX_BYTES = 1_000_000;
const RULES = {
  url: ADDRESS,
  client: clientRule('a client of the package "memcache-client"', ["gets", "store", "delete"]),
  prefix: STRING,
  max: { needed: "left out: memcached cannot count its sessions", accepts: () => false },
};

/**
 * A store of sessions in one memcached server. Memcached is a cache: when its memory is full, it evicts live sessions,
 * and when it stops, it loses all sessions. It cannot count or find sessions, so the store has no `max`, no `list` and
 * no `sessionsOf`. Among the sessions that memcached keeps, no change is lost, and no ended session comes back.
 *
 * @example
 * ```ts ignore
 * import { MemcachedStore } from "sessions/memcached";
 *
 * const store = new MemcachedStore({ url: "memcached://localhost" });
 * ```
 */
export class MemcachedStore extends EntryStore {
  /**
   * Makes a store. The store connects at its first use.
   *
   * @param options The address or the client of memcached, and the options that differ from their defaults.
   * @throws {TypeError} if an option, or a part of the address, is invalid; the message names it.
   */
  constructor(options: MemcachedStoreOptions) {
    const common = checkStoreOptions("MemcachedStore", options, RULES);
    checkUrlOrClient("MemcachedStore", options);
    const { url, client, prefix = "session:" } = options;
    const address = url === undefined ? undefined : parse(url);
    const used = address === undefined ? { given: client! } : { own: new MemcachedConnection(address.target) };
    super(new MemcachedEntries(used, checkPrefix(prefix), common.now), {
      ...common,
      name: address === undefined ? "memcached" : `memcached at ${address.name}`,
      maxBytes: MAX_BYTES + HEAD_BYTES,
    });
  }
}

function parse(address: string): { name: string; target: MemcachedTarget } {
  const example = "memcached://host:11211";
  const url = parseAddress(address, example, STORES.memcached.schemes);
  checkParameters(url, []);
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("the address of memcached cannot have a user name or a password: its text protocol knows none");
  }
  if (url.protocol === "memcached+unix:") {
    const path = decodeURIComponent(url.pathname);
    const isPath = ["", "localhost"].includes(url.host) && path.length > 1;
    if (!isPath) throw new TypeError("the address of a socket must be like memcached+unix:///path/to/memcached.sock");
    return { name: path, target: { path } };
  }
  if (url.hostname === "") throw new TypeError(`the address must name a host, as in ${example}`);
  if (!["", "/"].includes(url.pathname)) {
    throw new TypeError(`the address of memcached has no use for a path: received "${url.pathname}"`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return { name: url.host, target: { host, port: Number(url.port || 11211) } };
}
