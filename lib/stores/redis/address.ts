/** Parses the address of a Redis: one server, Sentinels that know the server, or a Cluster. */
import { checkParameters, parseAddress } from "../_address.ts";
import { STORES } from "../table.ts";

/** A parsed address. */
export interface RedisAddress {
  readonly kind: "single" | "sentinel" | "cluster";
  /** The name of the server, for messages. */
  readonly name: string;
  readonly nodes: readonly ({ readonly host: string; readonly port: number } | { readonly path: string })[];
  /** The name by which Sentinels know the master; empty without Sentinels. */
  readonly master: string;
  readonly isTls: boolean;
  readonly database: number;
  readonly credentials: { readonly username?: string; readonly password?: string };
}

/**
 * Parses an address.
 *
 * @param address The address: `redis://user:password@host:port/database`, or another form that RedisStore takes.
 * @throws {TypeError} if a part of the address is invalid. The message names the part, but does not repeat the address.
 */
export function parseRedisAddress(address: string): RedisAddress {
  const example = "redis://user:password@host:6379/0";
  const url = parseAddress(address, example, STORES.redis.schemes);
  checkParameters(url, ["db", "sentinel", "cluster"], ["node"]);
  const query = url.searchParams;
  const isSocket = url.protocol === "redis+unix:";
  const master = query.get("sentinel");
  if (master === "") throw new TypeError('the address must name the master, as in "?sentinel=mymaster"');
  const cluster = query.get("cluster");
  if (!["", "true", "false", null].includes(cluster)) {
    throw new TypeError(`"cluster" in the address must be true or false: received "${cluster}"`);
  }
  const isCluster = cluster === "" || cluster === "true";
  if (isCluster && master !== null) throw new TypeError('the address cannot have both "sentinel" and "cluster"');
  const kind = isCluster ? "cluster" : master !== null ? "sentinel" : "single";
  if (kind === "single" ? query.has("node") : isSocket) {
    throw new TypeError(`the address can have more nodes, and no socket, only with "sentinel" or "cluster"`);
  }
  // The client would ignore such a user, and log in as the default user.
  if (url.username !== "" && url.password === "") {
    throw new TypeError(`the address names a user without a password: it must be like ${example}`);
  }
  const credentials = {
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
  };
  if (isSocket) {
    const path = decodeURIComponent(url.pathname);
    const isLocal = ["", "localhost"].includes(url.host) && path.length > 1;
    if (!isLocal) throw new TypeError("the address of a socket must be like redis+unix:///path/to/redis.sock?db=0");
    const database = databaseOf(query.get("db") ?? "0");
    return { kind, name: path, nodes: [{ path }], master: "", isTls: false, database, credentials };
  }
  if (url.hostname === "") throw new TypeError(`the address must name a host, as in ${example}`);
  const path = url.pathname.slice(1);
  if (path !== "" && query.has("db")) throw new TypeError('the address names the database twice: by its path and "db"');
  const database = databaseOf(query.get("db") ?? (path || "0"));
  if (isCluster && database !== 0) throw new TypeError("a Redis Cluster has the database 0 only: use a prefix instead");
  const nodes = [url.host, ...query.getAll("node")].map((node) => nodeOf(node, kind === "sentinel" ? 26379 : 6379));
  const isTls = url.protocol === "rediss:" || url.protocol === "valkeys:";
  return { kind, name: url.host, nodes, master: master ?? "", isTls, database, credentials };
}

function databaseOf(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new TypeError("the database in the address must be a number, as in redis://host:6379/3");
}

function nodeOf(text: string, port: number): { host: string; port: number } {
  const url = URL.canParse(`redis://${text}`) ? new URL(`redis://${text}`) : undefined;
  if (url === undefined || url.host === "" || url.href.replace(/\/$/, "") !== `redis://${url.host}`) {
    throw new TypeError('"node" in the address must be a host and a port, as in "&node=host:6379"');
  }
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || port) };
}
