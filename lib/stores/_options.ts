/** StoreOptions: the options that every store has, and the check of all options of a store. */
import { checkOptions, COUNT, FUNCTION, type Rule } from "../_options.ts";
import { type Log, standardErrorLog } from "../log.ts";
import { reported } from "../_report.ts";

/** The options that every store has. */
export interface StoreOptions {
  /** Live sessions at most: 1,000,000 unless given. Past it, `create` refuses new ones. */
  readonly max?: number | undefined;
  /** Called with corrupt records, sweeps and failures in the background: standard error, from `warn` on, unless given. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** A name, such as a prefix or a table, whose characters are checked by `_names.ts`. */
export const NAME: Rule = { needed: "a string", accepts: (value) => typeof value === "string" };

/**
 * A client that the program has, which is known by its methods.
 *
 * @param needed What the client must be, with the name of its package.
 * @param methods The methods that it must have.
 */
export function clientWith(needed: string, ...methods: string[]): Rule {
  const has = (value: unknown, name: string) => typeof (value as Record<string, unknown> | null)?.[name] === "function";
  return { needed, accepts: (value) => methods.every((name) => has(value, name)) };
}

/**
 * Checks that a store on an engine has either an address or a client.
 *
 * @param store The name of the store's class.
 * @param options What the program gave.
 * @throws {TypeError} if both are given, or none.
 */
export function checkPlace(store: string, options: { readonly url?: unknown; readonly client?: unknown }): void {
  if ((options.url === undefined) !== (options.client === undefined)) return;
  throw new TypeError(`Cannot make a ${store}: it needs one of "url" and "client"`);
}

/**
 * Checks the options of a store, and fills in those that every store has.
 *
 * @param store The name of the store's class.
 * @param options What the program gave.
 * @param rules The options that only this store has.
 * @throws {TypeError} naming the option; {@linkcode RangeError} for a number that is out of range.
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
  return { max, log: reported("The log of a store", log), now };
}
