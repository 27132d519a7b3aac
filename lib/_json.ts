/** JSON: copies values that JSON keeps unchanged. For any other value it throws an error that names the place. */
import type { Json } from "./record.ts";

/** How deep lists and objects may nest. */
const MAX_DEPTH = 200;

/**
 * A frozen copy of a value. Values that JSON would drop, or turn into a string or `null`, are refused.
 *
 * @param value Any value.
 * @param failure The start of the error's message, such as `Cannot set "cart"`.
 * @throws {TypeError} if JSON cannot keep the value unchanged.
 */
export function toJson(value: unknown, failure: string): Json {
  const parents = new Set<object>();
  return copy(value, "");

  function copy(value: unknown, place: string): Json {
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    if (typeof value === "number" && Number.isFinite(value) && !Object.is(value, -0)) return value;
    if (typeof value !== "object") throw refused(place, describe(value));
    if (parents.has(value)) throw refused(place, "a value that holds itself");
    if (parents.size === MAX_DEPTH) throw refused(place, `more than ${MAX_DEPTH} values within each other`);
    parents.add(value);
    const copied = Array.isArray(value) ? copyList(value, place) : copyObject(value, place);
    parents.delete(value);
    return Object.freeze(copied);
  }

  function copyList(value: readonly unknown[], place: string): Json[] {
    // JSON drops the other members of a list, such as the groups of a match.
    if (Object.keys(value).length > value.length) throw refused(place, "a list with members besides its items");
    // `map` would skip holes.
    return Array.from(value, (item, index) => copy(item, `${place}[${index}]`));
  }

  function copyObject(value: object, place: string): Record<string, Json> {
    // A promise is refused below. Its rejection must not end the process later.
    if (value instanceof Promise) value.catch(() => {});
    if (!isPlain(value)) throw refused(place, `a ${value.constructor?.name || "value with a prototype"}`);
    if (Object.getOwnPropertySymbols(value).length > 0) throw refused(place, "an object with a symbol for a key");
    const object: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) put(object, key, copy(item, `${place}.${key}`));
    return object;
  }

  function refused(place: string, received: string): TypeError {
    const where = place === "" ? "its value" : `its value at ${place.slice(0, 80)}`;
    return new TypeError(`${failure}: ${where} must be one that JSON keeps unchanged: received ${received}`);
  }
}

function describe(value: unknown): string {
  if (typeof value !== "number") return typeof value;
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Sets the value of any key. `__proto__` is a key like all others. */
export function put(object: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

/** Whether an object is a literal or has no prototype, in this realm or another. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
