/** Corrupt records: how they are logged. */
import type { Log } from "../log.ts";

/** Logs that a record was unreadable. The record stays in its place until it expires, for an operator to look at. */
export function logCorrupt(log: Log, server: string): void {
  log("warn", "A corrupt session record counts as no session", server);
}
