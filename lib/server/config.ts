/** Config: turns the environment into settings, and says of an unusable value what it must be. */
import { type Level, LEVELS } from "../log.ts";
import { type CookieOptions, MAX_LIFETIME } from "../session_manager.ts";
import { MIN_KEY_BYTES } from "../signer.ts";

/** Every setting that is read from the environment; the permission flags in `deno.json` name the same. */
export const SETTINGS = [
  "HOST",
  "PORT",
  "ORIGIN",
  "TLS_CERT_FILE",
  "TLS_KEY_FILE",
  "SECRET_KEY",
  "SECRET_KEY_FALLBACKS",
  "SESSION_TYPE",
  "SESSION_FILE_DIR",
  "SESSION_URL",
  "SESSION_PERMANENT",
  "PERMANENT_SESSION_LIFETIME",
  "SESSION_ABSOLUTE_LIFETIME",
  "SESSION_REFRESH_EACH_REQUEST",
  "SESSION_COOKIE_NAME",
  "SESSION_COOKIE_DOMAIN",
  "SESSION_COOKIE_PATH",
  "SESSION_COOKIE_HTTPONLY",
  "SESSION_COOKIE_SECURE",
  "SESSION_COOKIE_SAMESITE",
  "SESSION_COOKIE_PARTITIONED",
  "SESSION_MAX",
  "LOG_LEVEL",
] as const;

/** The name of a setting. */
export type Setting = typeof SETTINGS[number];

/** The environment's values of the settings that are set. */
export type Environment = Partial<Record<Setting, string>>;

/** The kinds of store that `SESSION_TYPE` can name. */
export const SESSION_TYPES = [
  "filesystem",
  "memory",
  "null",
  "redis",
  "sqlite",
  "postgres",
  "memcached",
] as const;

/** A kind of store. */
export type SessionType = typeof SESSION_TYPES[number];

/** What the server goes by. */
export interface Config {
  readonly hostname: string;
  readonly port: number;
  /** The public address, if it is known. */
  readonly origin: string | undefined;
  /** Whether visitors come over https. */
  readonly https: boolean;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** The key that signs, or `undefined` if one is to be kept in `dir`. */
  readonly secretKey: string | undefined;
  readonly fallbackKeys: readonly string[];
  readonly type: SessionType;
  readonly dir: string;
  readonly url: string | undefined;
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

/** Thrown for a value that cannot be used; its message is for the operator. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/**
 * Reads the settings.
 *
 * @param env The environment's values.
 * @throws {ConfigError} if one of them cannot be used.
 */
export function readConfig(env: Environment): Config {
  const { origin, protocol, hostname } = readOrigin(env);
  const tls = readTls(env);
  const https = (protocol ?? (tls === undefined ? "http:" : "https:")) === "https:";
  const type = oneOf(env, "SESSION_TYPE", SESSION_TYPES, "filesystem");
  const url = readUrl(env, type);
  return {
    hostname: text(env, "HOST", "127.0.0.1", /^[A-Za-z0-9_.:%-]+$/, "a host name or an IP address"),
    port: integer(env, "PORT", 8000, 0, 65_535),
    origin,
    https,
    tls,
    secretKey: env.SECRET_KEY === undefined ? undefined : key("SECRET_KEY", env.SECRET_KEY),
    fallbackKeys: env.SECRET_KEY_FALLBACKS?.split(",").map((value) => key("SECRET_KEY_FALLBACKS", value.trim())) ?? [],
    type,
    dir: text(env, "SESSION_FILE_DIR", "session_data", /^[^\0]+$/, "the path of a folder"),
    url,
    permanent: flag(env, "SESSION_PERMANENT", true),
    idle: integer(env, "PERMANENT_SESSION_LIFETIME", 60, 1, MAX_LIFETIME),
    absolute: integer(env, "SESSION_ABSOLUTE_LIFETIME", 43_200, 1, MAX_LIFETIME),
    refresh: flag(env, "SESSION_REFRESH_EACH_REQUEST", true),
    cookie: readCookie(env, https, hostname),
    max: integer(env, "SESSION_MAX", 1_000_000, 1, 1_000_000_000),
    logLevel: oneOf(env, "LOG_LEVEL", LEVELS, "info"),
  };
}

function readOrigin(env: Environment): { origin?: string; protocol?: string; hostname?: string } {
  const value = env.ORIGIN;
  if (value === undefined) return {};
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (
    url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || /[?#@]/.test(value) ||
    url.hostname === ""
  ) {
    throw unusable("ORIGIN", "an http: or https: address without a path, such as https://example.com", value);
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

function readUrl(env: Environment, type: SessionType): string | undefined {
  const schemes: Partial<Record<SessionType, string[]>> = {
    redis: ["redis:", "rediss:"],
    sqlite: ["sqlite:"],
    postgres: ["postgres:", "postgresql:"],
    memcached: ["memcached:"],
  };
  const needed = schemes[type];
  const value = env.SESSION_URL;
  if (needed === undefined) return value;
  if (value === undefined || !URL.canParse(value) || !needed.includes(new URL(value).protocol)) {
    // What was given may hold a password.
    const given = value === undefined ? "nothing" : "something else";
    throw new ConfigError(
      `"SESSION_URL" must be an address that starts with ${
        needed.join(" or ")
      } when "SESSION_TYPE" is ${type}: received ${given}`,
    );
  }
  return value;
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
    /^\/[\x21-\x3A\x3C-\x7E]*$/,
    'a path that starts with "/", without spaces or ";"',
  );
  const domain = env.SESSION_COOKIE_DOMAIN === undefined ? undefined : text(
    env,
    "SESSION_COOKIE_DOMAIN",
    "",
    /^\.?[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?$/i,
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
  let name = base;
  if (/^__(host|secure)-/i.test(base)) {
    const isUsable = secure && (!/^__host-/i.test(base) || (domain === undefined && path === "/"));
    if (!isUsable) {
      throw unusable("SESSION_COOKIE_NAME", "a name without a prefix that the other cookie settings contradict", base);
    }
  } else if (https && secure) {
    // RFC 6265bis, section 4.1.3: browsers take a __Host- cookie only from the host itself, over https.
    name = (domain === undefined && path === "/" ? "__Host-" : "__Secure-") + base;
  }
  return {
    name,
    path,
    httpOnly: flag(env, "SESSION_COOKIE_HTTPONLY", true),
    secure,
    sameSite,
    partitioned,
    ...(domain === undefined ? {} : { domain }),
  };
}

function text(env: Environment, name: Setting, unset: string, pattern: RegExp, needed: string): string {
  const value = env[name] ?? unset;
  if (!pattern.test(value)) throw unusable(name, needed, value);
  return value;
}

function integer(env: Environment, name: Setting, unset: number, least: number, most: number): number {
  const value = env[name];
  if (value === undefined) return unset;
  const number = /^\d{1,12}$/.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) throw unusable(name, `an integer from ${least} to ${most}`, value);
  return number;
}

function flag(env: Environment, name: Setting, unset: boolean): boolean {
  const value = env[name];
  if (value === undefined) return unset;
  if (/^(true|1)$/i.test(value)) return true;
  if (/^(false|0)$/i.test(value)) return false;
  throw unusable(name, "true or false", value);
}

function oneOf<T extends string>(env: Environment, name: Setting, choices: readonly T[], unset: T): T {
  const value = env[name];
  if (value === undefined) return unset;
  const choice = choices.find((choice) => choice.toLowerCase() === value.toLowerCase());
  if (choice === undefined) throw unusable(name, `one of ${choices.join(", ")}`, value);
  return choice;
}

function key(name: Setting, value: string): string {
  const { length } = new TextEncoder().encode(value);
  if (length < MIN_KEY_BYTES) {
    throw new ConfigError(
      `"${name}" must be at least ${MIN_KEY_BYTES} bytes${
        name === "SECRET_KEY_FALLBACKS" ? " for each key, with commas between them" : ""
      }: received ${length}`,
    );
  }
  return value;
}

function unusable(name: Setting, needed: string, given: string | undefined): ConfigError {
  const received = given === undefined ? "nothing" : `"${given}"`;
  return new ConfigError(`"${name}" must be ${needed}: received ${received}`);
}
