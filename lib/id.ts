/**
 * Ids and keys: the browser has a session's id; the store has its key, which is made from the id by a one-way hash.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";

/** An id is 32 bits of a group and 128 random bits, in lower-case hex: safe as a file name where case is folded. */
const FORM = /^[0-9a-f]{40}$/;
/** How many digits name the group. */
const GROUP_DIGITS = 8;
const GROUP = /^[0-9a-f]{8}$/;
/** How many digits of a key show a session. */
const HANDLE_DIGITS = 16;

// One buffer for every id: 20 new bytes for each would cost more than the random bits.
const random = Buffer.alloc(20);

/**
 * Makes a session id: 128 random bits (ASVS 5, 7.2.3) after the digits of a group.
 *
 * @param group The group that a store asked for, 8 lower-case hex digits: it keeps the sessions of one user together.
 * Random unless given.
 * @returns 40 lower-case hex digits.
 * @throws {TypeError} if the group is not 8 lower-case hex digits.
 *
 * @example
 * ```ts
 * import { newId } from "sessions";
 * import { assertMatch } from "@std/assert";
 *
 * assertMatch(newId(), /^[0-9a-f]{40}$/);
 * assertMatch(newId("00c0ffee"), /^00c0ffee[0-9a-f]{32}$/);
 * ```
 */
export function newId(group?: string): string {
  const digits = crypto.getRandomValues(random).toString("hex");
  if (group === undefined) return digits;
  if (!GROUP.test(group)) throw new TypeError("Cannot make a session id: the group must be 8 lower-case hex digits");
  return group + digits.slice(GROUP_DIGITS);
}

/**
 * Whether a string has the form of an id. A key has the same form.
 *
 * @param value Any string.
 */
export function isId(value: string): boolean {
  return FORM.test(value);
}

/**
 * The key under which a store keeps a session: the group of the id, and 128 bits of the id's SHA-256. A copy of a store
 * opens no session, because no id can be made from a key.
 *
 * @param id The session's id.
 * @returns 40 lower-case hex digits.
 */
export function keyOf(id: string): string {
  return id.slice(0, GROUP_DIGITS) + hash("sha256", `session key\0${id}`, "hex").slice(0, 40 - GROUP_DIGITS);
}

/**
 * The name under which a session can be shown, such as in a list of a user's devices. It opens nothing, and it does not
 * tell whose session it is.
 *
 * @param key The session's key in the store.
 * @returns 16 lower-case hex digits.
 */
export function handleOf(key: string): string {
  return key.slice(GROUP_DIGITS, GROUP_DIGITS + HANDLE_DIGITS);
}
