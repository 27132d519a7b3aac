/**
 * The settings: one table of their names, defaults, meanings and checks. The settings and the help are read from it.
 */
import { MAX_LIFETIME } from "../_lifetimes.ts";
import { LEVELS } from "../log.ts";
import { checkPrefix } from "../stores/_names.ts";
import { type StoreName, STORES } from "../stores/table.ts";
import { parseHost, parseOrigin } from "./addresses.ts";
import { reasonOf } from "../_reason.ts";
import { ConfigError, flag, integer, key, keys, matching, oneOf, type Parser, unchecked } from "./setting_values.ts";

interface Setting {
  /** The default. Without one, a setting that is unset is `undefined`. */
  readonly unset?: string;
  /** What the help says in place of a default value. */
  readonly otherwise?: string;
  /** One line of help. */
  readonly meaning: string;
  readonly parse: Parser<unknown>;
}

const path = matching(/^[^\0]+$/, "the path of a file or folder");

/** Every setting that is read from the environment. */
export const SETTINGS = {
  HOST: { unset: "127.0.0.1", meaning: "address to listen on, or unix:PATH for a Unix socket", parse: parseHost },
  PORT: { unset: "8000", meaning: "port to listen on; 0 takes a free one", parse: integer(0, 65_535) },
  REUSE_PORT: { unset: "false", meaning: "true: several processes share the port (Linux)", parse: flag },
  ORIGIN: {
    otherwise: "any host",
    meaning: "public address, for use behind a proxy; with a path or not",
    parse: parseOrigin,
  },
  TLS_CERT_FILE: { meaning: "PEM file with a certificate, to serve https", parse: path },
  TLS_KEY_FILE: { meaning: "PEM file with the certificate's key", parse: path },
  SECRET_KEY: { otherwise: "made at first start", meaning: "signs the cookie; at least 32 bytes", parse: key },
  SECRET_KEY_FILE: { meaning: "file with keys, one per line, the first of which signs", parse: path },
  SECRET_KEY_FALLBACKS: { meaning: "older keys, comma-separated, still accepted", parse: keys },
  SESSION_TYPE: {
    otherwise: "filesystem, or by SESSION_URL",
    meaning: `${Object.keys(STORES).join(" ")}\nor sqlalchemy`,
    parse: oneOf<StoreName | "sqlalchemy">(...Object.keys(STORES) as StoreName[], "sqlalchemy"),
  },
  SESSION_URL: { meaning: "address of the store, such as redis://127.0.0.1:6379", parse: unchecked },
  SESSION_FILE_DIR: { unset: "session_data", meaning: "folder of the files, and of the key that is made", parse: path },
  SESSION_KEY_PREFIX: {
    unset: "session:",
    meaning: "beginning of the keys in Redis, memcached and Deno KV",
    parse: checkPrefix,
  },
  SESSION_TABLE: {
    unset: "sessions",
    meaning: "table in PostgreSQL and SQLite, collection in MongoDB",
    parse: unchecked,
  },
  SESSION_SYNC: {
    unset: "normal",
    meaning: "full: files and SQLite wait for the disk at every change",
    parse: oneOf("normal", "full"),
  },
  SESSION_MAX: { unset: "1000000", meaning: "live sessions at most", parse: integer(1, 1_000_000_000) },
  SESSION_PERMANENT: { unset: "true", meaning: "false: the cookie ends with the browser", parse: flag },
  PERMANENT_SESSION_LIFETIME: {
    unset: "60",
    meaning: "seconds a session lives after its last use",
    parse: integer(1, MAX_LIFETIME),
  },
  SESSION_ABSOLUTE_LIFETIME: {
    unset: "43200",
    meaning: "seconds a session lives at most",
    parse: integer(1, MAX_LIFETIME),
  },
  SESSION_REFRESH_EACH_REQUEST: { unset: "true", meaning: "false: only a change extends the life", parse: flag },
  SESSION_BOUND: { unset: "false", meaning: "true: sessions bound to the device where the browser can", parse: flag },
  SESSION_COOKIE_NAME: { unset: "session", meaning: "name of the cookie, without __Host-", parse: unchecked },
  SESSION_COOKIE_DOMAIN: { otherwise: "the host alone", meaning: "domain that also gets the cookie", parse: unchecked },
  SESSION_COOKIE_PATH: {
    otherwise: "path of ORIGIN",
    meaning: "path below which the cookie is sent",
    parse: unchecked,
  },
  SESSION_COOKIE_HTTPONLY: { unset: "true", meaning: "scripts cannot read the cookie", parse: flag },
  SESSION_COOKIE_SECURE: { otherwise: "from ORIGIN", meaning: "the cookie is sent over https only", parse: flag },
  SESSION_COOKIE_SAMESITE: {
    unset: "Lax",
    meaning: "Lax, Strict or None: which requests of other sites carry it",
    parse: oneOf("Lax", "Strict", "None"),
  },
  SESSION_COOKIE_PARTITIONED: { unset: "false", meaning: "true: one cookie per embedding site", parse: flag },
  LOG_LEVEL: { unset: "info", meaning: "error, warn, info or debug", parse: oneOf(...LEVELS) },
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
    | (Table[N] extends { unset: string } ? never : undefined);
};

/**
 * Reads every setting.
 *
 * @param env The settings that have a value.
 * @throws {ConfigError} naming the setting, if a value cannot be used.
 */
export function readValues(env: Environment): Values {
  const entries = Object.entries<Setting>(SETTINGS).map(([name, { unset, parse }]) => {
    const value = env[name as SettingName] ?? unset;
    return [name, value === undefined ? undefined : named(name, () => parse(value))];
  });
  return Object.fromEntries(entries) as Values;
}

/**
 * Calls a check, of this program or of the library, and puts the setting's name before what it says. The library's
 * checks name the option first: `"prefix" must be …`.
 *
 * @param name The name of the setting.
 * @param check The check.
 */
export function named<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new ConfigError(`"${name}" ${reasonOf(error).replace(/^"\w+" (?=must )/, "")}`);
  }
}

/** The settings as lines of help. */
export function explainSettings(): string {
  const lines = Object.entries<Setting>(SETTINGS).map(([name, { unset, otherwise = "none", meaning }]) => {
    return `  ${name.padEnd(29)}${meaning} (${unset ?? otherwise})`.replaceAll("\n", "\n".padEnd(32));
  });
  return lines.join("\n");
}
