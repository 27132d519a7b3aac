/**
 * Steps: counts the elements that built-in functions process during some work: characters of strings, elements of
 * lists, bytes of buffers. Unlike times, the counts are the same on every machine.
 */
import { assert } from "@std/assert";
import { createHmac } from "node:crypto";

// deno-lint-ignore no-explicit-any -- Any function with any arguments is replaced.
type Any = any;

/** The result of a count. */
export interface Steps {
  readonly count: number;
  /** The regular expressions that were tried on a string of over 1,100 characters. */
  readonly longPatterns: ReadonlySet<string>;
}

/** Up to this length, a string may be matched with any regular expression. The server's limits are below it. */
const SHORT = 1100;

/** Counts the steps of some work. No other work may be done in between. */
export async function stepsOf(work: () => unknown): Promise<Steps> {
  let count = 0;
  let isCounting = false;
  const longPatterns = new Set<string>();
  const restore: (() => void)[] = [];
  /**
   * Makes a function add its `cost` to the count when it returns. `cost` gets the result of `before`, which is called
   * first.
   */
  const replace = (
    owner: Any,
    name: PropertyKey,
    cost: (self: Any, args: Any[], result: Any, before: number) => number,
    before: (self: Any) => number = () => 0,
  ) => {
    const property = Object.getOwnPropertyDescriptor(owner, name);
    if (typeof property?.value !== "function") return;
    const original = property.value;
    const counting = function (this: Any, ...args: Any[]) {
      const start = before(this);
      const result = Reflect.apply(original, this, args);
      if (isCounting) return result;
      // Calls by the counting itself do not count.
      isCounting = true;
      count += cost(this, args, result, start);
      isCounting = false;
      return result;
    };
    Object.defineProperty(owner, name, { ...property, value: counting });
    restore.push(() => Object.defineProperty(owner, name, property));
  };
  // The cost of one pass over the object itself, the arguments and the result.
  const over = (self: Any, args: Any[], result: Any) =>
    1 + [self, ...args, result].reduce((sum, it) => sum + sizeOf(it), 0);

  for (const name of ownNames(String.prototype)) {
    if (name === "constructor") continue;
    // The time of `normalize` is quadratic if it has to sort many combining marks.
    if (name === "normalize") replace(String.prototype, name, (self) => sizeOf(self) ** 2);
    else if (/^(charCodeAt|codePointAt|charAt|at|toString|valueOf)$/.test(String(name))) {
      replace(String.prototype, name, () => 1);
    } else replace(String.prototype, name, over);
  }
  for (const name of ownNames(RegExp.prototype)) {
    if (/^(constructor|toString|exec)$/.test(String(name))) continue;
    replace(RegExp.prototype, name, (self: RegExp, args, result) => {
      if (sizeOf(args[0]) > SHORT) longPatterns.add(self.source);
      return over("", args, result);
    });
  }
  // The cost is the distance from the end of the last match to the end of this one.
  replace(RegExp.prototype, "exec", (_, [text], match, start) => {
    return 1 + Math.max(0, (match === null ? sizeOf(text) : match.index + match[0].length) - start);
  }, ({ lastIndex }) => lastIndex);
  for (const name of ownNames(Array.prototype)) {
    if (name === "constructor") continue;
    const isCheap = /^(push|pop|at|keys|values|entries)$/.test(String(name)) || name === Symbol.iterator;
    replace(Array.prototype, name, isCheap ? (_, args) => 1 + args.length : over);
  }
  for (const list of [[], new Map(), new Set(), "", new Map().values(), /x/[Symbol.matchAll]("")] as Any[]) {
    // Loops, spreads and destructuring take a step for each element.
    replace(Object.getPrototypeOf(list[Symbol.iterator]()), "next", () => 1);
  }
  for (const prototype of [Map.prototype, Set.prototype] as Any[]) {
    for (const name of ["get", "has", "set", "add", "delete"]) replace(prototype, name, () => 1);
  }
  for (const name of ownNames(Object.getPrototypeOf(Uint8Array.prototype))) {
    if (/^(set|slice|fill|copyWithin|join|indexOf|includes|at|map)$/.test(String(name))) {
      replace(Object.getPrototypeOf(Uint8Array.prototype), name, over);
    }
  }
  for (const name of ["keys", "values", "entries", "assign", "fromEntries"]) replace(Object, name, over);
  for (const name of ["parse", "stringify"]) replace(JSON, name, over);
  for (const name of ["parse", "canParse"]) replace(URL, name, over);
  replace(TextDecoder.prototype, "decode", over);
  replace(TextEncoder.prototype, "encode", over);
  replace(TextEncoder.prototype, "encodeInto", (_, args) => 1 + Math.min(sizeOf(args[0]), sizeOf(args[1])));
  replace(Headers.prototype, "get", over);
  replace(globalThis, "structuredClone", (_, args) => JSON.stringify(args[0])?.length ?? 1);
  replaceClass("URL");
  replaceClass("URLSearchParams");
  const hmac = Object.getPrototypeOf(createHmac("sha256", ""));
  // A signature takes as long as a pass over some hundreds of characters.
  replace(hmac, "update", (_, args) => 200 + sizeOf(args[0]));

  function replaceClass(name: "URL" | "URLSearchParams"): void {
    const original = globalThis[name] as Any;
    const counting = class extends original {
      constructor(...args: Any[]) {
        super(...args);
        count += 1 + args.reduce((sum, arg) => sum + sizeOf(arg), 0);
      }
    };
    Object.assign(globalThis, { [name]: counting });
    restore.push(() => Object.assign(globalThis, { [name]: original }));
  }

  try {
    await work();
  } finally {
    for (const undo of restore.reverse()) undo();
  }
  return { count, longPatterns };
}

/**
 * Fails unless the steps of some work are linear in the size of its input.
 *
 * @param name The name of the input, for the error.
 * @param make Prepares the work for an input of a size, and returns it.
 * @param most The size of the longest possible input. Half and a quarter of it are tried as well.
 * @returns The count for the longest input.
 */
export async function assertLinear(
  name: string,
  make: (size: number) => (() => unknown) | Promise<() => unknown>,
  most: number,
): Promise<Steps> {
  // The first run fills caches.
  await (await make(most / 4))();
  const steps: Steps[] = [];
  for (const size of [most / 4, most / 2, most]) steps.push(await stepsOf(await make(size)));
  const [quarter, half, whole] = steps.map(({ count }) => count) as [number, number, number];
  const counted = `${quarter}, ${half} and ${whole} steps for ${most / 4}, ${most / 2} and ${most}`;
  // Each doubling of the input adds twice as many steps as the doubling before. If the number were quadratic, it would
  // be four times as many.
  assert(whole - half <= 3 * Math.max(half - quarter, 0) + 1000, `${name}: ${counted}`);
  // The work may take some passes over the input.
  assert(whole <= 60 * most + 20_000, `${name}: ${counted}`);
  return steps[2]!;
}

function ownNames(owner: object): PropertyKey[] {
  return Reflect.ownKeys(owner);
}

function sizeOf(value: Any): number {
  if (typeof value === "string") return value.length;
  if (value === null || typeof value !== "object") return 0;
  return typeof value.length === "number" ? value.length : 0;
}
