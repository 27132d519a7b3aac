/** The settings: one table of their names, defaults, help and parsers. */
import { MAX_LIFETIME } from "../_lifetimes.ts";
import { LEVELS } from "../log.ts";
import { checkPrefix } from "../stores/_names.ts";
import { type StoreName, STORES } from "../stores/table.ts";
import { parseHost, parseOrigin } from "./addresses.ts";
import { reasonOf } from "../_reason.ts";
import { ConfigError, flag, integer, key, keys, matching, oneOf, type Parser, unchecked } from "./setting_values.ts";

interface Setting {
  /** The default value. If there is none, an unset setting is `undefined`. */
  readonly default?: string;
  /** The text that the help shows as the default if there is no default value. */
  readonly defaultText?: string;
  /** The line of the help, without the name and the default. */
  readonly help: string;
  readonly parse: Parser<unknown>;
}

const path = matching(/^[^\0]+$/, "the path of a file or folder");

/** Every setting that is read from the environment. */
export const SETTINGS = {
  HOST: { default: "127.0.0.1", help: "address to listen on, or unix:PATH for a Unix socket", parse: parseHost },
  PORT: { default: "8000", help: "port to listen on; 0 takes a free one", parse: integer(0, 65_535) },
  REUSE_PORT: { default: "false", help: "true: several processes share the port (Linux)", parse: flag },
  ORIGIN: {
    defaultText: "any host",
    help: "public address, for use behind a proxy; may have a path",
    parse: parseOrigin,
  },
  TLS_CERT_FILE: { help: "PEM file with a certificate, to serve https", parse: path },
  TLS_KEY_FILE: { help: "PEM file with the certificate's key", parse: path },
  SECRET_KEY: { defaultText: "made at first start", help: "signs the cookie; at least 32 bytes", parse: key },
  SECRET_KEY_FILE: { help: "file with keys, one per line, the first of which signs", parse: path },
  SECRET_KEY_FALLBACKS: { help: "older keys, comma-separated, still accepted", parse: keys },
  SESSION_TYPE: {
    defaultText: "filesystem, or from SESSION_URL",
    help: `${Object.keys(STORES).join(" ")}\nor sqlalchemy`,
    parse: oneOf<StoreName | "sqlalchemy">(...Object.keys(STORES) as StoreName[], "sqlalchemy"),
  },
  SESSION_URL: { help: "address of the store, such as redis://127.0.0.1:6379", parse: unchecked },
  SESSION_FILE_DIR: { default: "session_data", help: "folder of the session files and the generated key", parse: path },
  SESSION_KEY_PREFIX: {
    default: "session:",
    help: "beginning of the keys in Redis, memcached and Deno KV",
    parse: checkPrefix,
  },
  SESSION_TABLE: {
    default: "sessions",
    help: "table in PostgreSQL and SQLite, collection in MongoDB",
    parse: unchecked,
  },
  SESSION_SYNC: {
    default: "normal",
    help: "full: files and SQLite wait for the disk at every change",
    parse: oneOf("normal", "full"),
  },
  SESSION_MAX: { default: "1000000", help: "live sessions at most", parse: integer(1, 1_000_000_000) },
  SESSION_PERMANENT: { default: "true", help: "false: the cookie ends with the browser", parse: flag },
  PERMANENT_SESSION_LIFETIME: {
    default: "60",
    help: "seconds a session lives after its last use",
    parse: integer(1, MAX_LIFETIME),
  },
  SESSION_ABSOLUTE_LIFETIME: {
    default: "43200",
    help: "seconds a session lives at most",
    parse: integer(1, MAX_LIFETIME),
  },
  SESSION_REFRESH_EACH_REQUEST: { default: "true", help: "false: only a change extends the life", parse: flag },
  SESSION_BOUND: { default: "false", help: "true: sessions are bound to devices, if the browser can", parse: flag },
  SESSION_COOKIE_NAME: { default: "session", help: "name of the cookie, without __Host-", parse: unchecked },
  SESSION_COOKIE_DOMAIN: { defaultText: "the host alone", help: "domain that also gets the cookie", parse: unchecked },
  SESSION_COOKIE_PATH: {
    defaultText: "path of ORIGIN, or /",
    help: "path below which the cookie is sent",
    parse: unchecked,
  },
  SESSION_COOKIE_HTTPONLY: { default: "true", help: "scripts cannot read the cookie", parse: flag },
  SESSION_COOKIE_SECURE: { defaultText: "true with https", help: "the cookie is sent over https only", parse: flag },
  SESSION_COOKIE_SAMESITE: {
    default: "Lax",
    help: "Lax, Strict or None: which cross-site requests send it",
    parse: oneOf("Lax", "Strict", "None"),
  },
  SESSION_COOKIE_PARTITIONED: { default: "false", help: "true: one cookie per embedding site", parse: flag },
  LOG_LEVEL: { default: "info", help: "error, warn, info or debug", parse: oneOf(...LEVELS) },
} as const satisfies Record<string, Setting>;

/** The name of a setting. */
export type SettingName = keyof typeof SETTINGS;

/** The settings of an environment that have a value, trimmed. */
export type Environment = Partial<Record<SettingName, string>>;

type Table = typeof SETTINGS;

/** The settings, parsed. */
export type Values = {
  readonly [N in SettingName]:
    | ReturnType<Table[N]["parse"]>
    | (Table[N] extends { default: string } ? never : undefined);
};

/**
 * Reads every setting.
 *
 * @param env The settings that have a value.
 * @throws {ConfigError} if a value cannot be used; the message names the setting.
 */
export function readValues(env: Environment): Values {
  const entries = Object.entries<Setting>(SETTINGS).map(([name, { default: defaultValue, parse }]) => {
    const value = env[name as SettingName] ?? defaultValue;
    return [name, value === undefined ? undefined : withName(name, () => parse(value))];
  });
  return Object.fromEntries(entries) as Values;
}

/**
 * Calls a check of this program or of the library. If the check throws, the name is put before the message.
 * A message of the library begins with the name of an option, such as `"prefix" must be …`. That name is removed.
 *
 * @param name The name of the setting or argument.
 * @param check The check.
 * @returns The result of the check.
 * @throws {ConfigError} if the check throws.
 */
export function withName<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new ConfigError(`"${name}" ${reasonOf(error).replace(/^"\w+" (?=must )/, "")}`);
  }
}

/** The lines of the help about the settings. */
export function explainSettings(): string {
  const lines = Object.entries<Setting>(SETTINGS).map(([name, setting]) => {
    const { help, defaultText = "none" } = setting;
    return `  ${name.padEnd(29)}${help} (${setting.default ?? defaultText})`.replaceAll("\n", "\n".padEnd(32));
  });
  return lines.join("\n");
}
