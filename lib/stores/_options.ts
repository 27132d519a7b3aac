/** StoreOptions: the options that every store has, and the check of all options of a store. */
import { checkOptions, COUNT, FUNCTION, type Rule } from "../_options.ts";
import { type Log, standardErrorLog } from "../log.ts";

/** The options that every store has. */
export interface StoreOptions {
  /** Live sessions at most: 1,000,000 unless given. Past it, `create` refuses new ones. */
  readonly max?: number | undefined;
  /** Called with corrupt records, sweeps and failures in the background: standard error, from `warn` on, unless given. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/**
 * Checks the options of a store, and fills in those that every store has.
 *
 * @param store The name of the store's class.
 * @param options What the program gave.
 * @param rules The options that only this store has.
 * @throws {TypeError} naming the option; {@linkcode RangeError} for a number that is out of range.
 */
export function checkStoreOptions(
  store: string,
  options: StoreOptions,
  rules: Readonly<Record<string, Rule>> = {},
): { max: number; log: Log; now: () => number } {
  checkOptions(`Cannot make a ${store}`, options, { ...rules, max: COUNT, log: FUNCTION, now: FUNCTION });
  const { max = 1_000_000, log = standardErrorLog, now = Date.now } = options;
  return { max, log, now };
}
