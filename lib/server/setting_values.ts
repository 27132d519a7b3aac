/** How the value of a setting is read: each function returns a parser that says what a wrong value must be. */
import { problemWithKey } from "./key_check.ts";

/** Thrown for a setting that cannot be used; its message is for the operator. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Turns the value of a setting into what it means, or throws an error whose message follows the setting's name. */
export type Parser<T> = (value: string) => T;

/**
 * The error for a wrong value that is no secret.
 *
 * @param needed What the value must be.
 * @param value The value.
 */
export function wrong(needed: string, value: string): ConfigError {
  return new ConfigError(`must be ${needed}: received "${value}"`);
}

/** Any value, for settings that are checked with others or by the library. */
export const unchecked: Parser<string> = (value) => value;

/** A string of a certain form. */
export function matching(pattern: RegExp, needed: string): Parser<string> {
  return (value) => {
    if (!pattern.test(value)) throw wrong(needed, value);
    return value;
  };
}

/** A number without a fraction. */
export function integer(least: number, most: number): Parser<number> {
  return (value) => {
    const number = /^\d{1,12}$/.test(value) ? Number(value) : NaN;
    if (!(number >= least && number <= most)) throw wrong(`an integer from ${least} to ${most}`, value);
    return number;
  };
}

/** `true` or `false`, in any case, or `1` or `0`. */
export const flag: Parser<boolean> = (value) => {
  if (/^(true|1)$/i.test(value)) return true;
  if (/^(false|0)$/i.test(value)) return false;
  throw wrong("true or false", value);
};

/** One of some words, in any case. */
export function oneOf<T extends string>(...choices: readonly T[]): Parser<T> {
  return (value) => {
    const choice = choices.find((choice) => choice.toLowerCase() === value.toLowerCase());
    if (choice === undefined) throw wrong(`one of ${choices.join(", ")}`, value);
    return choice;
  };
}

/** A key that may sign. The error never repeats it. */
export const key: Parser<string> = (value) => {
  const problem = problemWithKey(value);
  if (problem !== undefined) throw new ConfigError(problem);
  return value;
};

/** Keys with commas between them; empty ones are left out. */
export const keys: Parser<string[]> = (value) =>
  value.split(",").map((one) => one.trim()).filter((one) => one !== "").map(key);
