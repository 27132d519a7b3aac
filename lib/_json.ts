/** JSON: copies a value that JSON can keep as it is, and refuses every other, naming where it differs. */
import type { Json } from "./record.ts";

/** How many lists and objects may lie within each other. */
const MAX_DEPTH = 200;

/**
 * A frozen copy of a value. JSON would drop, turn into text or into `null` what is refused here.
 *
 * @param value Any value.
 * @param failure What cannot be done if the value is refused, as `Cannot set "cart"`.
 * @throws {TypeError} if JSON cannot keep the value as it is.
 */
export function toJson(value: unknown, failure: string): Json {
  return copy(value, "", []);

  function copy(value: unknown, place: string, parents: object[]): Json {
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    if (typeof value !== "object") throw refused(place, typeof value === "number" ? String(value) : typeof value);
    if (parents.includes(value)) throw refused(place, "a value that holds itself");
    if (parents.length === MAX_DEPTH) throw refused(place, `more than ${MAX_DEPTH} values within each other`);
    const within = [...parents, value];
    if (Array.isArray(value)) {
      // Not `map`, which passes over holes.
      const items = Array.from(value, (item, index) => copy(item, `${place}[${index}]`, within));
      return Object.freeze(items);
    }
    if (!isPlain(value)) throw refused(place, `a ${value.constructor?.name || "value with a prototype"}`);
    if (Object.getOwnPropertySymbols(value).length > 0) throw refused(place, "an object with a symbol for a key");
    const object: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) put(object, key, copy(item, `${place}.${key}`, within));
    return Object.freeze(object);
  }

  function refused(place: string, received: string): TypeError {
    const where = place === "" ? "its value" : `its value at ${place.slice(0, 80)}`;
    return new TypeError(`${failure}: ${where} must be what JSON keeps as it is: received ${received}`);
  }
}

/** Puts a value under a key, whatever that is called: `__proto__` is a key like any other. */
export function put(object: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

/** Whether an object is made by `{}` or a literal, in this realm or another. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
