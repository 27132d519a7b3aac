/** The parsers of the settings' values. The error for an invalid value says what the value must be. */
import { problemWithKey } from "./key_check.ts";

/** Thrown if a setting cannot be used. The message is for the operator. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Parses the value of a setting. The caller puts the setting's name before the message of an error. */
export type Parser<T> = (value: string) => T;

/**
 * The error for an invalid value. It repeats the value, so it must not be used for a secret.
 *
 * @param needed What the value must be.
 * @param value The value.
 */
export function invalidValue(needed: string, value: string): ConfigError {
  return new ConfigError(`must be ${needed}: received "${value}"`);
}

/** Accepts any value. It is for settings that are checked later, together with others or by the library. */
export const unchecked: Parser<string> = (value) => value;

/** Accepts a string that matches a pattern. */
export function matching(pattern: RegExp, needed: string): Parser<string> {
  return (value) => {
    if (!pattern.test(value)) throw invalidValue(needed, value);
    return value;
  };
}

/** Accepts an integer in a range. */
export function integer(least: number, most: number): Parser<number> {
  return (value) => {
    const number = /^\d{1,12}$/.test(value) ? Number(value) : NaN;
    if (!(number >= least && number <= most)) throw invalidValue(`an integer from ${least} to ${most}`, value);
    return number;
  };
}

/** Accepts `true` and `false`, in upper or lower case, and `1` and `0`. */
export const flag: Parser<boolean> = (value) => {
  if (/^(true|1)$/i.test(value)) return true;
  if (/^(false|0)$/i.test(value)) return false;
  throw invalidValue("true or false", value);
};

/** Accepts one of several words, in upper or lower case. */
export function oneOf<T extends string>(...choices: readonly T[]): Parser<T> {
  return (value) => {
    const choice = choices.find((choice) => choice.toLowerCase() === value.toLowerCase());
    if (choice === undefined) throw invalidValue(`one of ${choices.join(", ")}`, value);
    return choice;
  };
}

/** Accepts a key that is hard to guess. The error never repeats the key. */
export const key: Parser<string> = (value) => {
  const problem = problemWithKey(value);
  if (problem !== undefined) throw new ConfigError(problem);
  return value;
};

/** Accepts keys that are separated by commas. It ignores empty ones. */
export const keys: Parser<string[]> = (value) =>
  value.split(",").map((one) => one.trim()).filter((one) => one !== "").map(key);
