/**
 * Session ids: how they are made, and the name under which one can be shown.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** 128 random bits and the 32 of the group, in lower-case hex: safe as a file name on systems that fold case. */
const ID = /^[0-9a-f]{40}$/;

/** How many of an id's digits name its group. */
const GROUP_DIGITS = 8;

// Filled anew for every id: 20 bytes of their own for each would cost more than the bits.
const random = Buffer.alloc(20);

/**
 * Makes an id: 128 random bits (ASVS 5, 7.2.3), and before them the digits of a group, so that a store can keep the
 * sessions of one user near each other.
 *
 * @param user The user whose session it is; without one the group is random, so that all ids look alike.
 * @returns 40 lower-case hex digits.
 *
 * @example
 * ```ts
 * import { newId } from "sessions";
 * import { assertEquals, assertMatch } from "@std/assert";
 *
 * assertMatch(newId(), /^[0-9a-f]{40}$/);
 * assertEquals(newId("Ada").slice(0, 8), newId("Ada").slice(0, 8));
 * ```
 */
export function newId(user?: string): string {
  const digits = crypto.getRandomValues(random).toString("hex");
  return user === undefined ? digits : groupOf(user) + digits.slice(GROUP_DIGITS);
}

/**
 * Whether a text has the form of an id.
 *
 * @param text Any text.
 */
export function isId(text: string): boolean {
  return ID.test(text);
}

// A log-in asks twice: for the id, and in a store that checks it.
let lastUser: string | undefined;
let lastGroup = "";

/**
 * The first digits of every id of a user's sessions. Other users may share them: the record says whose it is.
 *
 * @param user The user's name: any text.
 * @returns 8 lower-case hex digits.
 */
export function groupOf(user: string): string {
  if (user !== lastUser) {
    lastGroup = createHash("sha256").update(user).digest("hex").slice(0, GROUP_DIGITS);
    lastUser = user;
  }
  return lastGroup;
}

/**
 * The name under which a session can be shown, as in a list of one's devices. It is made from the id by a one-way hash,
 * so that nobody who sees it can use the session.
 *
 * @param id The session's id.
 * @returns 16 lower-case hex digits.
 *
 * @example
 * ```ts
 * import { handleOf, newId } from "sessions";
 * import { assertMatch } from "@std/assert";
 *
 * assertMatch(handleOf(newId()), /^[0-9a-f]{16}$/);
 * ```
 */
export function handleOf(id: string): string {
  return createHash("sha256").update(`handle\0${id}`).digest("hex").slice(0, 16);
}
