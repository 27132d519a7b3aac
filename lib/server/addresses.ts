/** The addresses in the settings: the address to listen on, the public address, and the store's address. */
import { type StoreName, STORES } from "../stores/table.ts";
import { isHost } from "./protection.ts";
import { invalidValue } from "./setting_values.ts";

/** A host name or an IP address, or the path of a Unix socket. */
export type Host = { readonly hostname: string } | { readonly path: string };

/** Reads `HOST`. */
export function parseHost(value: string): Host {
  const [, path] = /^unix:(.*)$/.exec(value) ?? [];
  if (path !== undefined) {
    if (path === "" || path.includes("\0")) throw invalidValue("unix: followed by the path of a socket", value);
    return { path };
  }
  // A value with two colons may be an IPv6 address; the system checks that. A single colon would come before a port.
  if (!/^([\w.-]+|[\w.]*:[\w.]*:[\w.:%-]*|\[[\w.:%-]+\])$/.test(value)) {
    throw invalidValue("a host name, an IP address, or unix: followed by the path of a socket", value);
  }
  return { hostname: value.replace(/^\[|\]$/g, "") };
}

/** The public address. */
export interface Origin {
  /** Scheme, host and port, such as `https://example.com`. */
  readonly origin: string;
  readonly isHttps: boolean;
  readonly hostname: string;
  /** The path that all pages are below, without a final slash; an empty string if there is none. */
  readonly basePath: string;
}

/** Reads `ORIGIN`. */
export function parseOrigin(value: string): Origin {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (
    url === undefined || !/^https?:$/.test(url.protocol) || /[?#@]/.test(value) ||
    // Browsers cannot request any other host, and never connect to port 0.
    !isHost(url.host) || url.port === "0" || !/^(\/[\w.~!$&'()*+,=:%-]+)*\/?$/.test(url.pathname)
  ) {
    throw invalidValue("an http: or https: address, such as https://example.com or https://example.com/app", value);
  }
  const { origin, protocol, hostname, pathname } = url;
  return { origin, isHttps: protocol === "https:", hostname, basePath: pathname.replace(/\/$/, "") };
}

/** A store and its address. */
export interface StoreAddress {
  readonly type: StoreName;
  /** The address; `undefined` if the store takes none. */
  readonly url: string | undefined;
}

/**
 * Decides which store is used.
 *
 * @param type The value of `SESSION_TYPE`.
 * @param given The value of `SESSION_URL`, which may hold a password.
 * @throws {TypeError} if the store cannot use the address. The caller puts the name of the setting before the message.
 */
export function storeAddress(type: StoreName | "sqlalchemy" | undefined, given: string | undefined): StoreAddress {
  // The scheme of an address may be in capital letters (RFC 3986, section 3.1).
  const url = given?.replace(/^[A-Za-z][\w+.-]*:/, (scheme) => scheme.toLowerCase());
  if (type === "sqlalchemy") return sqlAlchemyAddress(url);
  if (type === undefined) {
    if (url === undefined) return { type: "filesystem", url };
    const found = NAMES.find((name) => hasScheme(url, name));
    if (found !== undefined) return { type: found, url };
    if (SQLALCHEMY.test(url)) return sqlAlchemyAddress(url);
    const schemes = NAMES.flatMap((name) => STORES[name].schemes).join(", ");
    throw new TypeError(`must be an address that starts with one of ${schemes}: received something else`);
  }
  const { schemes } = STORES[type];
  if (schemes.length === 0) return { type, url: undefined };
  // Only the scheme is checked here, because `URL` cannot parse every address, such as one with a list of hosts.
  if (hasScheme(url, type)) return { type, url };
  const received = url === undefined ? "nothing" : "something else";
  throw new TypeError(
    `must be an address that starts with ${schemes.join(" or ")} when "SESSION_TYPE" is ${type}: received ${received}`,
  );
}

const NAMES = Object.keys(STORES) as StoreName[];

function hasScheme(url: string | undefined, name: StoreName): boolean {
  return STORES[name].schemes.some((scheme) => url?.startsWith(scheme));
}

/** An address of SQLAlchemy: a dialect, an optional driver, and the rest. */
const SQLALCHEMY = /^(postgresql|postgres|sqlite)(?:\+\w+)?:\/\/(.*)$/s;

/** Reads an address as SQLAlchemy does: `sqlite:///` and a relative path, or `sqlite:////` for an absolute one. */
function sqlAlchemyAddress(url: string | undefined): StoreAddress {
  const [, dialect, rest = ""] = SQLALCHEMY.exec(url ?? "") ?? [];
  if (dialect === undefined) {
    const received = url === undefined ? "nothing" : "something else";
    throw new TypeError(
      "must be an address that starts with postgresql:// or sqlite:/// " +
        `when "SESSION_TYPE" is sqlalchemy: received ${received}`,
    );
  }
  if (dialect !== "sqlite") return { type: "postgres", url: `postgresql://${rest}` };
  const path = rest.replace(/^\//, "");
  if (path === "" || path === ":memory:") {
    throw new TypeError(
      "must name a file, such as sqlite:///sessions.db: a database in memory ends with the process; " +
        '"SESSION_TYPE" memory does the same',
    );
  }
  if (path === rest) {
    throw new TypeError("must have three slashes and a relative path, or four and an absolute one: sqlite:///…");
  }
  return { type: "sqlite", url: `sqlite:${path}` };
}
