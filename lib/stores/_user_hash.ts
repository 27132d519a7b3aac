/** Hashes of users, which an index holds in place of the users' names. */
import { createHash } from "node:crypto";

/**
 * The hash that stands for a user in the index of a store. Names can be longer than a key or an index may be.
 *
 * @returns 64 lower-case hex digits.
 */
export function hashOf(user: string): string {
  return createHash("sha256").update(user).digest("hex");
}
