/** Hashes of users. The index of a store holds them in place of the users' names. */
import { createHash } from "node:crypto";

/**
 * The hash of a user's name, for the index of a store. A name can be too long for a key or an index.
 *
 * @returns 64 lower-case hex digits.
 */
export function hashOf(user: string): string {
  return createHash("sha256").update(user).digest("hex");
}
