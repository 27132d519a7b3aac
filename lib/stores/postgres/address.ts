/** Parses addresses of PostgreSQL databases, with the parameters that libpq, providers and other clients use. */
import { readFileSync } from "node:fs";
import { parseAddress } from "../_address.ts";
import { STORES } from "../table.ts";

/** When TLS is used: never; if the server offers it; always, with an unchecked or a checked certificate. */
export type Tls = "disable" | "prefer" | "require" | "verify";

/** A parsed address. */
export interface PostgresAddress {
  /** Names or IP addresses of the servers. They are tried in this order. */
  readonly hosts: readonly string[];
  /** Their ports, in the same order. */
  readonly ports: readonly number[];
  /** The folder of a Unix socket. If there is one, the hosts are not used. */
  readonly folder: string | undefined;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** The schema of the table, if the address names one. */
  readonly schema: string | undefined;
  readonly tls: Tls;
  /** Paths of certificates and keys. */
  readonly files: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Whether TLS starts without asking the server first. */
  readonly isDirect: boolean;
  /** Whether statements may be prepared. */
  readonly prepares: boolean;
  /** The most connections at the same time. */
  readonly max: number;
  /** The settings that are sent to the server when a connection starts. */
  readonly startup: Readonly<Record<string, string>>;
  /** Warnings about parameters that this client cannot follow. It connects without them. */
  readonly warnings: readonly string[];
}

/** Other clients' names of parameters, and the names that are used here. */
const SYNONYMS: Readonly<Record<string, string>> = {
  connection_limit: "max",
  pool_max_conns: "max",
  currentSchema: "schema",
};

/** The parameters that are used, besides the names above. */
const USED = [
  ...["host", "port", "user", "password", "dbname", "schema", "max", "application_name", "fallback_application_name"],
  ...["options", "sslmode", "ssl", "sslaccept", "sslrootcert", "sslcert", "sslkey", "sslnegotiation"],
  ...["channel_binding", "target_session_attrs", "prepare", "pgbouncer", "prepared_statements", "statement_cache_size"],
  ...["prepareThreshold", "client_encoding", "gssencmode"],
];

/** Parameters that are allowed and ignored. Most of them set limits, and the store has limits of its own. */
const HARMLESS = [
  ...["connect_timeout", "pool_timeout", "socket_timeout", "statement_timeout", "lock_timeout", "idle_timeout"],
  ...["idle_in_transaction_session_timeout", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time"],
  ...["keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "keep_alive"],
  ...["load_balance_hosts", "sslcompression", "sslsni", "uselibpqcompat", "supa", "workaround"],
];

const EXAMPLE = "postgres://user:password@host:5432/database";

/** The TLS that each value of "sslmode" and "ssl" stands for. "verify-ca" checks as strictly as "verify-full". */
const MODES: Readonly<Record<string, Tls>> = {
  disable: "disable",
  allow: "prefer",
  prefer: "prefer",
  require: "require",
  "no-verify": "require",
  "verify-ca": "verify",
  "verify-full": "verify",
};

/**
 * Parses an address.
 *
 * @param address The address: `postgres://user:password@host:port/database?parameters`.
 * @throws {TypeError} if a part of the address is invalid. The message names the part, but does not repeat the address.
 */
export function parsePostgresAddress(address: string): PostgresAddress {
  const { url, more } = split(address);
  const query = url.searchParams;
  for (const [other, name] of Object.entries(SYNONYMS)) {
    for (const value of query.getAll(other)) query.append(name, value);
    query.delete(other);
  }
  for (const name of query.keys()) {
    if (![...USED, ...HARMLESS].includes(name)) {
      throw new TypeError(`the address has a parameter that cannot be used: "${name}"`);
    }
    if (query.getAll(name).length > 1) throw new TypeError(`the address has the parameter "${name}" more than once`);
  }
  const parameter: Parameter = (name) => query.get(name) || undefined;

  const given = parameter("host") ?? decodeURIComponent(url.hostname);
  const folder = /^[/@]/.test(given) ? given : undefined;
  const nodes = parameter("host") && !folder ? given.split(",").map((host) => [host, ""] as const) : [
    [given, url.port] as const,
    ...more,
  ];
  const ports = (parameter("port") ?? "").split(",");
  const { tls, files, warnings } = tlsParameters(parameter);
  const application = parameter("application_name") ?? parameter("fallback_application_name") ?? "sessions";
  const options = parameter("options");
  const user = parameter("user") ?? decodeURIComponent(url.username);
  if (user === "") throw new TypeError(`the address must name a user, as in ${EXAMPLE}`);
  oneOf(parameter, "client_encoding", ["utf8", "UTF8", "UTF-8", "utf-8", "auto"]);
  oneOf(parameter, "gssencmode", ["disable", "prefer"]);
  // All three values get a server that accepts writes, because the store cannot use a read-only one.
  oneOf(parameter, "target_session_attrs", ["any", "read-write", "primary"]);
  const hosts = nodes.map(([host]) => host.replace(/^\[|\]$/g, "") || "localhost");

  return {
    hosts,
    ports: nodes.map(([, port], index) => whole("port", port || ports[index] || ports[0] || "5432", 65_535)),
    folder,
    user,
    password: parameter("password") ?? decodeURIComponent(url.password),
    database: parameter("dbname") ?? (decodeURIComponent(url.pathname.slice(1)) || user),
    schema: parameter("schema"),
    tls: folder === undefined ? tls : "disable",
    files,
    isDirect: oneOf(parameter, "sslnegotiation", ["postgres", "direct"]) === "direct",
    prepares: !isOff(parameter, "prepare") && !isOff(parameter, "prepared_statements") &&
      !isOn(parameter, "pgbouncer") &&
      parameter("statement_cache_size") !== "0" && parameter("prepareThreshold") !== "0",
    max: whole("max", parameter("max") ?? "10", 10_000),
    startup: { application_name: application, ...(options === undefined ? {} : { options }) },
    warnings,
  };
}

/** The TLS options of the client. Reads the files that the address names. */
export function tlsOf({ tls, files }: PostgresAddress): false | "prefer" | "require" | Record<string, unknown> {
  if (tls === "disable") return false;
  const read = Object.fromEntries(Object.entries(files).map(([name, path]) => [name, readFileSync(path, "utf8")]));
  if (tls === "verify") return { ...read, rejectUnauthorized: true };
  return Object.keys(read).length === 0 ? tls : { ...read, rejectUnauthorized: false };
}

/** Splits an address into a URL with the first host, and the other hosts with their ports: a URL can have one host. */
function split(address: string): { url: URL; more: (readonly [host: string, port: string])[] } {
  const [, start = "", hosts = "", rest = ""] = /^([^/?#]*:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(address) ?? [];
  const [first = "", ...others] = hosts.split(",");
  // A URL without a host cannot have a user or a port. So an address without a host gets "localhost".
  const url = parseAddress(
    hosts === "" || first !== hosts || first === "" ? `${start}${first || "localhost"}${rest}` : address,
    EXAMPLE,
    STORES.postgres.schemes,
  );
  const more = others.map((host) => {
    const { hostname, port } = parseAddress(`postgres://${host}`, EXAMPLE, STORES.postgres.schemes);
    return [hostname, port] as const;
  });
  return { url, more };
}

/** Returns the value of a parameter of an address; `undefined` if it is missing or empty. */
type Parameter = (name: string) => string | undefined;

/** The TLS that the parameters ask for, the files of certificates, and the warnings. */
function tlsParameters(parameter: Parameter): Pick<PostgresAddress, "tls" | "files" | "warnings"> {
  const ssl = parameter("ssl");
  const isPlain = ssl === "true" || ssl === "1" || ssl === "false" || ssl === "0";
  const name = parameter("sslmode") ?? (isPlain ? (ssl === "true" || ssl === "1" ? "verify-full" : "disable") : ssl);
  let tls = MODES[name ?? "prefer"];
  if (tls === undefined) throw unusable(parameter("sslmode") ? "sslmode" : "ssl", name!, Object.keys(MODES));
  const accept = oneOf(parameter, "sslaccept", ["strict", "accept_invalid_certs"]);
  const root = parameter("sslrootcert");
  // As in libpq, an address that requires TLS and names a root certificate asks for a check of the server's one.
  // The name "system" alone asks for it, too.
  if (tls === "require" && (root !== undefined || accept === "strict")) tls = "verify";
  if (tls === "prefer" && root === "system") tls = "verify";
  const [cert, key] = [parameter("sslcert"), parameter("sslkey")];
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError('the address must have both of "sslcert" and "sslkey", or neither');
  }
  const files = {
    ...(root === undefined || root === "system" ? {} : { ca: root }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
  const binding = oneOf(parameter, "channel_binding", ["disable", "prefer", "require"]);
  if (binding === "require" && (tls === "disable" || tls === "prefer")) {
    throw new TypeError('the address has "channel_binding=require", which needs TLS: add "sslmode=require" or better');
  }
  const warnings = binding === "require" && tls === "require"
    ? [
      '"channel_binding" is not used, and the certificate is not checked: "sslmode=verify-full" in the address checks it',
    ]
    : [];
  return { tls, files, warnings };
}

function oneOf<T extends string>(
  parameter: Parameter,
  name: string,
  values: readonly T[],
): T | undefined {
  const value = parameter(name);
  if (value === undefined || values.includes(value as T)) return value as T | undefined;
  throw unusable(name, value, values);
}

function unusable(name: string, value: string, values: readonly string[]): TypeError {
  const usable = values.map((value) => `"${value}"`).join(", ");
  return new TypeError(
    `the address has a parameter that cannot be used: "${name}" must be one of ${usable}: received "${value}"`,
  );
}

function whole(name: string, value: string, most: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= most) return number;
  throw new TypeError(`the address must have a whole number from 1 to ${most} as "${name}": received "${value}"`);
}

function isOff(parameter: Parameter, name: string): boolean {
  return oneOf(parameter, name, ["true", "false", "1", "0"])?.match(/^(false|0)$/) != null;
}

function isOn(parameter: Parameter, name: string): boolean {
  return oneOf(parameter, name, ["true", "false", "1", "0"])?.match(/^(true|1)$/) != null;
}
