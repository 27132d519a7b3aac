/** Settings: the names there are, and how a value of one is read; says of an unusable one what it must be. */

/** Every setting that is read from the environment; the permission flags in `deno.json` name the same. */
export const SETTINGS = [
  "HOST",
  "PORT",
  "REUSE_PORT",
  "ORIGIN",
  "TLS_CERT_FILE",
  "TLS_KEY_FILE",
  "SECRET_KEY",
  "SECRET_KEY_FALLBACKS",
  "SESSION_TYPE",
  "SESSION_FILE_DIR",
  "SESSION_URL",
  "SESSION_KEY_PREFIX",
  "SESSION_TABLE",
  "SESSION_SYNC",
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

/** The values of the settings that are set. */
export type Environment = Partial<Record<Setting, string>>;

/** Set by desktops for their own use (X Session Management Protocol). */
const FOREIGN = "SESSION_MANAGER";

/** The environment, as far as the program may read it. */
export function readEnvironment(): Record<string, string> {
  try {
    // With --ignore-env that is what --allow-env names.
    return Deno.env.toObject();
  } catch {
    const allowed = SETTINGS.filter((variable) =>
      Deno.permissions.querySync({ name: "env", variable }).state === "granted"
    );
    return Object.fromEntries(allowed.map((name) => [name, Deno.env.get(name) ?? ""]));
  }
}

/**
 * Picks the settings out of an environment, trimmed; one that is set to nothing is not set.
 *
 * @param variables The environment.
 * @returns The settings, and the names that look like one and are none.
 */
export function settingsOf(variables: Readonly<Record<string, string>>): { env: Environment; unknown: string[] } {
  const env: Environment = {};
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(variables)) {
    const setting = SETTINGS.find((setting) => setting === name);
    if (setting === undefined) {
      if (name.startsWith("SESSION_") && name !== FOREIGN) unknown.push(name);
    } else if (value.trim() !== "") env[setting] = value.trim();
  }
  return { env, unknown };
}

/** Thrown for a value that cannot be used; its message is for the operator. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** A text of a certain form. */
export function text(env: Environment, name: Setting, unset: string, pattern: RegExp, needed: string): string {
  const value = env[name] ?? unset;
  if (!pattern.test(value)) throw unusable(name, needed, value);
  return value;
}

/** A number without a fraction. */
export function integer(env: Environment, name: Setting, unset: number, least: number, most: number): number {
  const value = env[name];
  if (value === undefined) return unset;
  const number = /^\d{1,12}$/.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) throw unusable(name, `an integer from ${least} to ${most}`, value);
  return number;
}

/** Yes or no. */
export function flag(env: Environment, name: Setting, unset: boolean): boolean {
  const value = env[name];
  if (value === undefined) return unset;
  if (/^(true|1)$/i.test(value)) return true;
  if (/^(false|0)$/i.test(value)) return false;
  throw unusable(name, "true or false", value);
}

/** One of some words, in any case. */
export function oneOf<T extends string>(env: Environment, name: Setting, choices: readonly T[], unset: T): T {
  const value = env[name];
  if (value === undefined) return unset;
  const choice = choices.find((choice) => choice.toLowerCase() === value.toLowerCase());
  if (choice === undefined) throw unusable(name, `one of ${choices.join(", ")}`, value);
  return choice;
}

/** What is said of a value that cannot be used. Not for a secret. */
export function unusable(name: Setting, needed: string, given: string | undefined): ConfigError {
  const received = given === undefined ? "nothing" : `"${given}"`;
  return new ConfigError(`"${name}" must be ${needed}: received ${received}`);
}
