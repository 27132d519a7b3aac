/** Corrupt records: how they are logged. */
import type { Log } from "../log.ts";

/** Logs that a record was unreadable. The record is left in its place until it expires, so that it can be looked at. */
export function logCorrupt(log: Log, server: string): void {
  log("warn", "A corrupt session record counts as no session", server);
}
