/** The table of `sessions list`: one line per session, in 80 columns of a terminal. */
import { endOf, type SessionRecord } from "../record.ts";
import { fit } from "./columns.ts";

const WIDTHS = [12, 16, 5, 5, 5, 7, 5, 11];

/** The first line. MADE and USED are the times since the session was made and last used. LEFT is the time until it ends. */
export function header(): string {
  return line(["HANDLE", "USER", "MADE", "USED", "LEFT", "SIZE", "BOUND", "DATA"]);
}

/**
 * The line of a session.
 *
 * @param handle The session's handle, or its first digits.
 * @param record The session's record.
 * @param now The time, in milliseconds since 1970.
 */
export function row(handle: string, record: SessionRecord, now: number): string {
  const { created, expires, idle, user = "-", binding, data } = record;
  const { length } = new TextEncoder().encode(JSON.stringify(data));
  const times = [now - created, now - (expires - idle), endOf(record) - now].map(short);
  const size = length < 10_000 ? `${length} B` : `${Math.round(length / 1024)} kB`;
  return line([handle, user, ...times, size, binding === undefined ? "-" : "yes", Object.keys(data).join(", ") || "-"]);
}

/** A duration in the largest unit that fits into it at least twice, such as `90s` or `12h`. */
function short(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  for (const [unit, length] of [["d", 86_400], ["h", 3600], ["m", 60]] as const) {
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)}${unit}`;
  }
  return `${seconds}s`;
}

function line(cells: readonly string[]): string {
  return cells.map((cell, index) => fit(cell, WIDTHS[index]!)).join("  ").trimEnd();
}
