/**
 * Ids and keys: the browser has a session's id. The store has its key, which is a one-way hash of the id.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";

/** An id: 32 bits of a group and 128 random bits. Lower-case hex is safe in file names even if case is ignored. */
const FORM = /^[0-9a-f]{40}$/;
/** The number of digits that name the group. */
const GROUP_DIGITS = 8;
const GROUP = /^[0-9a-f]{8}$/;
/** The number of digits in a handle. */
const HANDLE_DIGITS = 16;

// All ids use this buffer: allocating 20 bytes for each would take longer than getting the random bits.
const random = Buffer.alloc(20);

/**
 * Makes a session id: 128 random bits (ASVS 5, 7.2.3) after the digits of a group.
 *
 * @param group The group that the store's `groupOf` returned: 8 lower-case hex digits. All sessions of a user have the
 * same group, so that the store can keep them together. Unless given, the group is random.
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
 * The key under which a store keeps a session: the group of the id, and 128 bits of the id's SHA-256. An attacker with
 * a copy of a store cannot open a session, because no id can be computed from a key.
 *
 * @param id The session's id.
 * @returns 40 lower-case hex digits.
 */
export function keyOf(id: string): string {
  return id.slice(0, GROUP_DIGITS) + hash("sha256", `session key\0${id}`, "hex").slice(0, 40 - GROUP_DIGITS);
}

/**
 * A name of a session that is safe to show, such as in a list of a user's devices. It opens nothing, and it does not
 * reveal the user.
 *
 * @param key The session's key in the store.
 * @returns 16 lower-case hex digits.
 */
export function handleOf(key: string): string {
  return key.slice(GROUP_DIGITS, GROUP_DIGITS + HANDLE_DIGITS);
}
