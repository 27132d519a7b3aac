/** Config: turns the environment into settings, and says of an unusable value what it must be. */
import { MAX_LIFETIME } from "../_lifetimes.ts";
import { createLog, type Level, LEVELS, type Log } from "../log.ts";
import { problemWithKey } from "./key_check.ts";
import { isHost } from "./protection.ts";
import type { CookieOptions } from "../session_cookie.ts";
import {
  ConfigError,
  type Environment,
  flag,
  integer,
  oneOf,
  readEnvironment,
  type Setting,
  settingsOf,
  text,
  unusable,
} from "./settings.ts";
import { type StoreName, STORES } from "../stores/table.ts";

/** The settings of the server. */
export interface Config {
  readonly hostname: string;
  readonly port: number;
  /** Whether other processes may listen on the same port. */
  readonly reusePort: boolean;
  /** The public address, if it is known. */
  readonly origin: string | undefined;
  /** Whether visitors come over https. */
  readonly https: boolean;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** The key that signs, or `undefined` if one is to be kept in `dir`. */
  readonly secretKey: string | undefined;
  readonly fallbackKeys: readonly string[];
  readonly type: StoreName;
  readonly dir: string;
  readonly url: string | undefined;
  /** What keys begin with. */
  readonly prefix: string;
  /** The table or collection. */
  readonly table: string;
  readonly sync: "normal" | "full";
  readonly permanent: boolean;
  /** Seconds. */
  readonly idle: number;
  /** Seconds. */
  readonly absolute: number;
  readonly refresh: boolean;
  readonly cookie: CookieOptions & { readonly name: string };
  readonly max: number;
  readonly logLevel: Level;
}

/**
 * Reads the settings from the environment, and warns of names that look like one and are none.
 *
 * @returns The settings, and the log that they ask for.
 * @throws {ConfigError} if one of them cannot be used.
 */
export function loadConfig(): { config: Config; log: Log } {
  const { env, unknown } = settingsOf(readEnvironment());
  const config = readConfig(env);
  const log = createLog(config.logLevel);
  for (const name of unknown) log("warn", `"${name}" is no setting of this program, so it is ignored`);
  return { config, log };
}

/**
 * Reads the settings.
 *
 * @param env The values of those that are set.
 * @throws {ConfigError} if one of them cannot be used.
 */
export function readConfig(env: Environment): Config {
  const tls = readTls(env);
  const { origin, protocol, hostname } = readOrigin(env, tls !== undefined);
  const https = (protocol ?? (tls === undefined ? "http:" : "https:")) === "https:";
  const type = oneOf(env, "SESSION_TYPE", Object.keys(STORES) as StoreName[], "filesystem");
  return {
    hostname: readHost(env),
    port: integer(env, "PORT", 8000, 0, 65_535),
    reusePort: flag(env, "REUSE_PORT", false),
    origin,
    https,
    tls,
    secretKey: env.SECRET_KEY === undefined ? undefined : key("SECRET_KEY", env.SECRET_KEY),
    fallbackKeys: readFallbacks(env),
    type,
    dir: text(env, "SESSION_FILE_DIR", "session_data", /^[^\0]+$/, "the path of a folder"),
    url: readUrl(env, type),
    prefix: text(
      env,
      "SESSION_KEY_PREFIX",
      "session:",
      /^[\w.:/-]{1,100}$/,
      "1 to 100 letters, digits or characters of _ . : / -",
    ),
    table: readTable(env, type),
    sync: oneOf(env, "SESSION_SYNC", ["normal", "full"], "normal"),
    permanent: flag(env, "SESSION_PERMANENT", true),
    ...readLifetimes(env),
    refresh: flag(env, "SESSION_REFRESH_EACH_REQUEST", true),
    cookie: readCookie(env, https, hostname),
    max: integer(env, "SESSION_MAX", 1_000_000, 1, 1_000_000_000),
    logLevel: oneOf(env, "LOG_LEVEL", LEVELS, "info"),
  };
}

function readHost(env: Environment): string {
  const needed = "a host name or an IP address";
  // Whatever has two colons is for the system to judge; one colon would be a port's.
  const value = text(env, "HOST", "127.0.0.1", /^([\w.-]+|[\w.]*:[\w.]*:[\w.:%-]*|\[[\w.:%-]+\])$/, needed);
  // An IPv6 address, as it stands in an address of the web.
  return value.replace(/^\[|\]$/g, "");
}

function readOrigin(env: Environment, hasTls: boolean): { origin?: string; protocol?: string; hostname?: string } {
  const value = env.ORIGIN;
  if (value === undefined) return {};
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (
    url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || /[?#@]/.test(value) ||
    // No browser can name another host than these, nor connect to port 0.
    !isHost(url.host) || url.port === "0"
  ) {
    throw unusable("ORIGIN", "an http: or https: address without a path, such as https://example.com", value);
  }
  if (hasTls && url.protocol === "http:") {
    throw unusable("ORIGIN", 'an https: address when "TLS_CERT_FILE" is set', value);
  }
  return { origin: url.origin, protocol: url.protocol, hostname: url.hostname };
}

function readTls(env: Environment): Config["tls"] {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = env;
  if (certFile === undefined && keyFile === undefined) return undefined;
  const needed = "the path of a PEM file, and both TLS_CERT_FILE and TLS_KEY_FILE must be set";
  if (!certFile) throw unusable("TLS_CERT_FILE", needed, certFile);
  if (!keyFile) throw unusable("TLS_KEY_FILE", needed, keyFile);
  return { certFile, keyFile };
}

function readUrl(env: Environment, type: StoreName): string | undefined {
  const needed: readonly string[] = STORES[type].schemes;
  // The scheme of an address may stand in capitals (RFC 3986, section 3.1).
  const value = env.SESSION_URL?.replace(/^[A-Za-z+]+:/, (scheme) => scheme.toLowerCase());
  // No more than that is checked here: not every address is one that URL can parse, as with a list of hosts.
  if (needed.length === 0 || needed.some((scheme) => value?.startsWith(scheme))) return value;
  // What was given may hold a password.
  const given = value === undefined ? "nothing" : "something else";
  throw new ConfigError(
    `"SESSION_URL" must be an address that starts with ${
      needed.join(" or ")
    } when "SESSION_TYPE" is ${type}: received ${given}`,
  );
}

function readTable(env: Environment, type: StoreName): string {
  const name = "(?!sqlite_)[a-z_]\\w{0,47}";
  const needed = 'a name of 1 to 48 letters, digits and "_" that begins with no digit and not with "sqlite_"';
  const hasSchemas = type === "postgres";
  const pattern = new RegExp(`^${hasSchemas ? `(?:${name}\\.)?` : ""}${name}$`, "i");
  return text(
    env,
    "SESSION_TABLE",
    "sessions",
    pattern,
    hasSchemas ? `${needed}, with a schema and "." before it or not` : needed,
  );
}

/** An absolute lifetime or an idle one that was not set follows the one that was. */
function readLifetimes(env: Environment): { idle: number; absolute: number } {
  const [first, second] = ["PERMANENT_SESSION_LIFETIME", "SESSION_ABSOLUTE_LIFETIME"] as const;
  const idle = integer(env, first, 60, 1, MAX_LIFETIME);
  const absolute = integer(env, second, 43_200, 1, MAX_LIFETIME);
  if (idle <= absolute) return { idle, absolute };
  if (env[second] === undefined) return { idle, absolute: idle };
  if (env[first] === undefined) return { idle: absolute, absolute };
  throw unusable(first, `at most what "${second}" is, ${absolute}`, String(idle));
}

function readFallbacks(env: Environment): string[] {
  const values = env.SECRET_KEY_FALLBACKS?.split(",").map((value) => value.trim()) ?? [];
  return values.filter((value) => value !== "").map((value) => key("SECRET_KEY_FALLBACKS", value));
}

function readCookie(env: Environment, https: boolean, hostname: string | undefined): Config["cookie"] {
  const base = text(
    env,
    "SESSION_COOKIE_NAME",
    "session",
    /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,90}$/,
    "1 to 90 letters, digits or !#$%&'*+.^_`|~-",
  );
  const path = text(
    env,
    "SESSION_COOKIE_PATH",
    "/",
    /^\/[\x21-\x3A\x3C-\x7E]{0,1023}$/,
    'a path that starts with "/", without spaces or ";"',
  );
  const domain = env.SESSION_COOKIE_DOMAIN === undefined ? undefined : text(
    env,
    "SESSION_COOKIE_DOMAIN",
    "",
    // As browsers take it (RFC 6265bis, section 5.6.3): two labels or more, and no IP address.
    /^(?=.{1,254}$)\.?(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)(?=[^.]*[a-z])[a-z0-9-]{1,63}(?<!-)$/i,
    "a domain name such as example.com",
  );
  if (domain !== undefined && hostname !== undefined) {
    const parent = domain.replace(/^\./, "").toLowerCase();
    if (hostname !== parent && !hostname.endsWith(`.${parent}`)) {
      throw unusable("SESSION_COOKIE_DOMAIN", `the host of "ORIGIN" or a domain above it`, domain);
    }
  }
  const secure = flag(env, "SESSION_COOKIE_SECURE", https);
  const sameSite = oneOf(env, "SESSION_COOKIE_SAMESITE", ["Lax", "Strict", "None"], "Lax");
  if (sameSite === "None" && !secure) {
    throw unusable(
      "SESSION_COOKIE_SAMESITE",
      'Lax or Strict unless the cookie is secure ("ORIGIN" with https:)',
      "None",
    );
  }
  const partitioned = flag(env, "SESSION_COOKIE_PARTITIONED", false);
  if (partitioned && !secure) {
    throw unusable("SESSION_COOKIE_PARTITIONED", 'false unless the cookie is secure ("ORIGIN" with https:)', "true");
  }
  const httpOnly = flag(env, "SESSION_COOKIE_HTTPONLY", true);
  const isHostOnly = domain === undefined && path === "/";
  let name = base;
  // RFC 6265bis, section 4.1.3: what browsers hold a cookie with such a name to.
  if (/^__(host|secure|http)-/i.test(base)) {
    const isUsable = secure && (isHostOnly || !/^__host-/i.test(base)) && (httpOnly || !/^__(host-)?http-/i.test(base));
    if (!isUsable) {
      throw unusable("SESSION_COOKIE_NAME", "a name without a prefix that the other cookie settings contradict", base);
    }
  } else if (https && secure) name = (isHostOnly ? "__Host-" : "__Secure-") + base;
  return {
    name,
    path,
    httpOnly,
    secure,
    sameSite,
    partitioned,
    ...(domain === undefined ? {} : { domain }),
  };
}

function key(name: Setting, value: string): string {
  const problem = problemWithKey(value);
  if (problem !== undefined) throw new ConfigError(`"${name}" ${problem}`);
  return value;
}
