/** Options: the check of option objects, for the manager and every store. It names an unknown or invalid option. */

/** What the value of an option must be. */
export interface Rule {
  /** The valid values in words, such as `a function`. */
  readonly needed: string;
  /** Whether a value is valid. */
  readonly accepts: (value: unknown) => boolean;
  /** Whether the option is a number in a range. A number out of the range throws a `RangeError`. */
  readonly isRange?: boolean;
  /** Whether the option must be given. */
  readonly isRequired?: boolean;
  /** Whether the value may be a secret. Then no message shows it. */
  readonly isSecret?: boolean;
}

/** `true` or `false`. */
export const BOOLEAN: Rule = { needed: "true or false", accepts: (value) => typeof value === "boolean" };
/** A string. */
export const STRING: Rule = { needed: "a string", accepts: (value) => typeof value === "string" };
/** A function. */
export const FUNCTION: Rule = { needed: "a function", accepts: (value) => typeof value === "function" };
/** An object whose members are checked where they are used. */
export const OBJECT: Rule = { needed: "an object", accepts: isObject };
/** A `SessionManager`. It is recognized by a method that no other class has. */
export const MANAGER: Rule = {
  needed: "a SessionManager",
  accepts: (value) => typeof (value as { answerBound?: unknown } | null)?.answerBound === "function",
  isRequired: true,
};
/** An address, which may hold a password. */
export const ADDRESS: Rule = {
  needed: "an address",
  accepts: (value) => typeof value === "string" && value !== "",
  isSecret: true,
};

/** One of some strings. */
export function oneOf(...choices: string[]): Rule {
  const needed = choices.map((choice) => `"${choice}"`).join(" or ");
  return { needed, accepts: (value) => choices.includes(value as string) };
}

/** A whole number that is not negative. */
export const COUNT: Rule = {
  needed: "a whole number, 0 or more",
  isRange: true,
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
};

/**
 * Refuses options that are unknown or invalid. An option that is `undefined` counts as not given.
 *
 * @param failure The start of the error's message, such as `Cannot make a MemoryStore`.
 * @param options The options.
 * @param rules The rule of each known option.
 * @throws {TypeError} naming the option; {@linkcode RangeError} for a number that is out of range.
 */
export function checkOptions(failure: string, options: object, rules: Readonly<Record<string, Rule>>): void {
  if (!isObject(options)) {
    throw new TypeError(`${failure}: needed an object with options: received ${shown(options, false)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(rules, name)) continue;
    const known = Object.keys(rules).map((rule) => `"${rule}"`).join(", ");
    throw new TypeError(`${failure}: there is no option "${name}": the options are ${known}`);
  }
  for (
    const [name, { needed, accepts, isRange = false, isRequired = false, isSecret = false }] of Object.entries(rules)
  ) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined ? !isRequired : accepts(value)) continue;
    const message = `${failure}: "${name}" must be ${needed}: received ${shown(value, isSecret)}`;
    throw isRange && typeof value === "number" ? new RangeError(message) : new TypeError(message);
  }
}

/**
 * Whether a value is an object literal, or an object of a program's own class. A `Map`, a list or a promise is refused:
 * it would count as an object without options.
 */
function isObject(value: unknown): boolean {
  return tagOf(value) === "Object";
}

/** The name of a built-in class, such as `Map`. */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** The type of a value, for messages that must not show the value itself. */
export function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function shown(value: unknown, isSecret: boolean): string {
  if (typeof value === "string") return isSecret ? "another string" : JSON.stringify(value.slice(0, 200));
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  return typeof value === "object" && !isObject(value) ? `a ${tagOf(value)}` : typeof value;
}
