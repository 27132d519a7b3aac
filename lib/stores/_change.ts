/** Runs a `change`, and wraps its error, so that no store takes this error for a failure of its engine. */
import type { SessionRecord } from "../record.ts";
import type { Change } from "../store.ts";

/** The error of a `change`. Its `cause` is what the `change` threw. The store throws the cause unchanged. */
export class ChangeError extends Error {
  override name = "ChangeError";
}

/**
 * Calls `change`.
 *
 * @throws {ChangeError} if `change` throws.
 */
export function applyChange(change: Change, record: SessionRecord): SessionRecord {
  try {
    return change(record);
  } catch (cause) {
    throw new ChangeError("The change of a session failed", { cause });
  }
}
