/** Config: the settings of the server as one object, after the checks that concern several settings. */
import { createLog, type Level, type Log } from "../log.ts";
import { attributesOf, type CookieOptions } from "../session_cookie.ts";
import { checkCollection, checkQualifiedTable, checkTable } from "../stores/_names.ts";
import type { StoreName } from "../stores/table.ts";
import { type Host, type Origin, storeAddress } from "./addresses.ts";
import { readEnvironment, settingsOf } from "./environment.ts";
import { ConfigError } from "./setting_values.ts";
import { type Environment, readValues, type SettingName, type Values, withName } from "./settings.ts";

/** The settings of the server. */
export interface Config {
  /** The host name or address, or the socket, to listen on. */
  readonly host: Host;
  readonly port: number;
  /** Whether other processes may listen on the same port. */
  readonly reusePort: boolean;
  /** The public address without its path, if it is known. */
  readonly origin: string | undefined;
  /** The path of the public address, such as `/app`, or the empty string. */
  readonly basePath: string;
  /** Whether visitors use https. */
  readonly https: boolean;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** The key that signs. If neither it nor `secretKeyFile` is set, a generated key is kept in `dir`. */
  readonly secretKey: string | undefined;
  /** A file with keys. */
  readonly secretKeyFile: string | undefined;
  readonly fallbackKeys: readonly string[];
  readonly type: StoreName;
  readonly dir: string;
  readonly url: string | undefined;
  /** The string that the keys in a shared store begin with. */
  readonly prefix: string;
  /** The table or collection. */
  readonly table: string;
  readonly sync: "normal" | "full";
  readonly permanent: boolean;
  /** How long a session lives after its last use, in seconds. */
  readonly idle: number;
  /** How long a session lives at most, in seconds. */
  readonly absolute: number;
  readonly refresh: boolean;
  /** Whether sessions are bound to devices, in browsers that support it. */
  readonly bound: boolean;
  readonly cookie: CookieOptions & { readonly name: string };
  readonly max: number;
  readonly logLevel: Level;
}

/**
 * Reads the settings from the environment, and warns of variables that look like a setting but are not one.
 *
 * @returns The settings, and a log with the level that they set.
 * @throws {ConfigError} if a setting cannot be used.
 */
export function loadConfig(): { config: Config; log: Log } {
  const { env, unknown } = settingsOf(readEnvironment());
  const config = readConfig(env);
  const log = createLog(config.logLevel);
  for (const { name, meant } of unknown) {
    const advice = meant && `did you mean "${meant}"?`;
    log("warn", `"${name}" is not a setting of this program, so it is ignored`, advice);
  }
  return { config, log };
}

/**
 * Reads the settings.
 *
 * @param env The settings that have a value.
 * @throws {ConfigError} if a setting cannot be used.
 */
export function readConfig(env: Environment): Config {
  const values = readValues(env);
  const tls = tlsOf(values);
  const { ORIGIN: address } = values;
  if (tls !== undefined && address?.isHttps === false) {
    throw settingError("ORIGIN", 'an https: address when "TLS_CERT_FILE" is set', env.ORIGIN);
  }
  const https = address?.isHttps ?? tls !== undefined;
  const { type, url } = withName("SESSION_URL", () => storeAddress(values.SESSION_TYPE, values.SESSION_URL));
  const config: Config = {
    host: values.HOST,
    port: values.PORT,
    reusePort: values.REUSE_PORT,
    origin: address?.origin,
    basePath: address?.basePath ?? "",
    https,
    tls,
    secretKey: values.SECRET_KEY,
    secretKeyFile: values.SECRET_KEY_FILE,
    fallbackKeys: values.SECRET_KEY_FALLBACKS ?? [],
    type,
    dir: values.SESSION_FILE_DIR,
    url,
    prefix: values.SESSION_KEY_PREFIX,
    table: tableOf(values, type),
    sync: values.SESSION_SYNC,
    permanent: values.SESSION_PERMANENT,
    ...lifetimesOf(values, env),
    refresh: values.SESSION_REFRESH_EACH_REQUEST,
    bound: values.SESSION_BOUND,
    cookie: cookieOf(values, https),
    max: values.SESSION_MAX,
    logLevel: values.LOG_LEVEL,
  };
  checkPairs(config);
  return config;
}

/** Refuses settings that exclude each other. */
function checkPairs({ host, reusePort, tls, secretKey, secretKeyFile, type, url, bound, https, cookie }: Config): void {
  if (secretKey !== undefined && secretKeyFile !== undefined) {
    throw new ConfigError('"SECRET_KEY_FILE" must be unset when "SECRET_KEY" is set: received both');
  }
  const isSocket = "path" in host;
  if (isSocket && tls !== undefined) {
    throw new ConfigError(
      '"TLS_CERT_FILE" must be unset when "HOST" is a Unix socket: the proxy in front of it serves https',
    );
  }
  const isInMemory = type === "memory" || url === "denokv::memory:";
  if (reusePort && (isSocket || isInMemory)) {
    const reason = isSocket ? '"HOST" is a Unix socket' : "sessions are in the memory of one process";
    throw settingError("REUSE_PORT", `false when ${reason}`, "true");
  }
  if (bound && !(https && cookie.secure)) {
    throw settingError(
      "SESSION_BOUND",
      'false unless visitors use https ("ORIGIN" or "TLS_CERT_FILE") and the cookie is secure',
      "true",
    );
  }
  if (bound && cookie.domain !== undefined) {
    throw settingError("SESSION_BOUND", 'false when "SESSION_COOKIE_DOMAIN" is set', "true");
  }
}

function tlsOf({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile }: Values): Config["tls"] {
  if (certFile === undefined && keyFile === undefined) return undefined;
  const needed = "the path of a PEM file, and both TLS_CERT_FILE and TLS_KEY_FILE must be set";
  if (certFile === undefined) throw settingError("TLS_CERT_FILE", needed, certFile);
  if (keyFile === undefined) throw settingError("TLS_KEY_FILE", needed, keyFile);
  return { certFile, keyFile };
}

function tableOf({ SESSION_TABLE: table }: Values, type: StoreName): string {
  const checks: Partial<Record<StoreName, (table: string) => string>> = {
    postgres: checkQualifiedTable,
    mongodb: checkCollection,
  };
  return withName("SESSION_TABLE", () => (checks[type] ?? checkTable)(table));
}

/** The two lifetimes. If idle exceeds absolute and only one of them is set, the other becomes equal to it. */
function lifetimesOf(values: Values, env: Environment): { idle: number; absolute: number } {
  const [first, second] = ["PERMANENT_SESSION_LIFETIME", "SESSION_ABSOLUTE_LIFETIME"] as const;
  const { [first]: idle, [second]: absolute } = values;
  if (idle <= absolute) return { idle, absolute };
  if (env[second] === undefined) return { idle, absolute: idle };
  if (env[first] === undefined) return { idle: absolute, absolute };
  throw settingError(first, `at most the value of "${second}", ${absolute}`, String(idle));
}

/** The settings that are options of the cookie. */
const COOKIE_SETTINGS: Readonly<Record<string, SettingName>> = {
  name: "SESSION_COOKIE_NAME",
  domain: "SESSION_COOKIE_DOMAIN",
  path: "SESSION_COOKIE_PATH",
  httpOnly: "SESSION_COOKIE_HTTPONLY",
  secure: "SESSION_COOKIE_SECURE",
  sameSite: "SESSION_COOKIE_SAMESITE",
  partitioned: "SESSION_COOKIE_PARTITIONED",
};

function cookieOf(values: Values, https: boolean): Config["cookie"] {
  const { ORIGIN: address, SESSION_COOKIE_NAME: name, SESSION_COOKIE_DOMAIN: domain } = values;
  const { SESSION_COOKIE_PATH: path = address?.basePath || "/", SESSION_COOKIE_SECURE: secure = https } = values;
  const options = {
    name,
    path,
    httpOnly: values.SESSION_COOKIE_HTTPONLY,
    secure,
    sameSite: values.SESSION_COOKIE_SAMESITE,
    partitioned: values.SESSION_COOKIE_PARTITIONED,
    ...(domain !== undefined && { domain }),
  };
  checkCookie(options);
  if (domain !== undefined && address !== undefined) {
    const parent = domain.replace(/^\./, "").toLowerCase();
    if (address.hostname !== parent && !address.hostname.endsWith(`.${parent}`)) {
      throw settingError("SESSION_COOKIE_DOMAIN", 'the host of "ORIGIN" or a domain above it', domain);
    }
  }
  checkCookiePath(path, address);
  if (!https || !secure || /^__(host|secure|http)-/i.test(name)) return options;
  const prefixed = { ...options, name: (domain === undefined && path === "/" ? "__Host-" : "__Secure-") + name };
  checkCookie(prefixed);
  return prefixed;
}

/** Checks the cookie with the library's check. In its errors, the names of settings replace those of options. */
function checkCookie(options: CookieOptions): void {
  try {
    attributesOf(options);
  } catch (error) {
    const [, message = "", received = ""] = /: (".*): received "?(.*?)"?$/s.exec((error as Error).message) ?? [];
    const renamed = message.replace(/"(\w+)"/g, (_, option) => `"${COOKIE_SETTINGS[option]}"`);
    throw new ConfigError(`${renamed}: received "${received}"`);
  }
}

/** Refuses a path with which not every page would get the cookie (RFC 6265, section 5.1.4). */
function checkCookiePath(path: string, address: Origin | undefined): void {
  const pages = `${address?.basePath ?? ""}/`;
  if (pages === path || pages.startsWith(path.endsWith("/") ? path : `${path}/`)) return;
  throw settingError(
    "SESSION_COOKIE_PATH",
    `the path of the pages, ${pages}, which "ORIGIN" sets, or a path above it`,
    path,
  );
}

function settingError(name: SettingName, needed: string, given: string | undefined): ConfigError {
  return new ConfigError(`"${name}" must be ${needed}: received ${given === undefined ? "nothing" : `"${given}"`}`);
}
