/** Changes: what a `change` throws passes the code that rewords the failures of an engine. */
import type { SessionRecord } from "../record.ts";
import type { Change } from "../store.ts";

/** Carries what a `change` threw past the code that rewords the failures of an engine or a file. */
export class ChangeError extends Error {
  override name = "ChangeError";
}

/**
 * Calls `change`.
 *
 * @throws {ChangeError} if it throws; the `cause` is what it threw.
 */
export function applyChange(change: Change, record: SessionRecord): SessionRecord {
  try {
    return change(record);
  } catch (cause) {
    throw new ChangeError("The change of a session failed", { cause });
  }
}
