/** Corrupt records: how they are logged. */
import type { Log } from "../log.ts";

/** Logs that a record was unreadable. The record stays until it expires, so that an operator can look at it. */
export function logCorrupt(log: Log, server: string): void {
  log("warn", "A corrupt session record counts as no session", server);
}
