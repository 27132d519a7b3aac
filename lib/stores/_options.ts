/** StoreOptions: the options that every store has, and the check of all options of a store. */
import { checkOptions, COUNT, FUNCTION, type Rule } from "../_options.ts";
import { type Log, standardErrorLog } from "../log.ts";
import { withErrorReport } from "../_report.ts";

/** The options that every store has. */
export interface StoreOptions {
  /** The most live sessions: 1,000,000 unless given. When the store has as many, `create` refuses new ones. */
  readonly max?: number | undefined;
  /**
   * Called if a record is corrupt, sessions were swept, or work in the background failed. Unless given, warnings and
   * errors go to standard error.
   */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/**
 * The rule for a client that the program gives. A client is recognized by its methods.
 *
 * @param needed What the client must be, with the name of its package.
 * @param methods The methods that it must have.
 */
export function clientRule(needed: string, methods: readonly string[]): Rule {
  const has = (value: unknown, name: string) => typeof (value as Record<string, unknown> | null)?.[name] === "function";
  return { needed, accepts: (value) => methods.every((name) => has(value, name)) };
}

/**
 * Checks that a store on an engine has an address or a client, but not both.
 *
 * @param store The name of the store's class.
 * @param options The options that the program gave.
 * @throws {TypeError} if both are given, or neither.
 */
export function checkUrlOrClient(store: string, options: { readonly url?: unknown; readonly client?: unknown }): void {
  if ((options.url === undefined) !== (options.client === undefined)) return;
  throw new TypeError(`Cannot make a ${store}: it needs one of "url" and "client"`);
}

/**
 * Checks the options of a store. Returns the options that every store has, with their defaults.
 *
 * @param store The name of the store's class.
 * @param options The options that the program gave.
 * @param rules The rules for the options that only this store has.
 * @throws {TypeError} if an option is unknown or invalid; the message names it.
 * @throws {RangeError} if a number is out of range.
 *
 * @example
 * ```ts
 * import { checkStoreOptions } from "sessions/store";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const rules = { path: { needed: "a string", accepts: (value: unknown) => typeof value === "string" } };
 * const options = { path: "sessions.db", max: 10 };
 * assertEquals(checkStoreOptions("MyStore", options, rules).max, 10);
 * assertThrows(() => checkStoreOptions("MyStore", { max: -1 }, rules), RangeError, "Cannot make a MyStore");
 * ```
 */
export function checkStoreOptions(
  store: string,
  options: StoreOptions,
  rules: Readonly<Record<string, Rule>> = {},
): { max: number; log: Log; now: () => number } {
  checkOptions(`Cannot make a ${store}`, options, { max: COUNT, log: FUNCTION, now: FUNCTION, ...rules });
  const { max = 1_000_000, log = standardErrorLog, now = Date.now } = options;
  return { max, log: withErrorReport("The log of a store", log), now };
}
