/** The table of `sessions list`: one line a session, in 80 columns of a terminal. */
import { endOf, type SessionRecord } from "../record.ts";

const WIDTHS = [12, 16, 5, 5, 5, 8, 17];

/** Characters that take two columns: of East Asia, and pictures. */
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Extended_Pictographic}|[\u{20000}-\u{3FFFD}]/u;

/** The first line: how long ago a session was made and used, and how long it has left. */
export function header(): string {
  return line(["ID", "USER", "MADE", "USED", "LEFT", "SIZE", "DATA"]);
}

/**
 * The line of a session.
 *
 * @param name The session's name.
 * @param record Its record.
 * @param now The time, in milliseconds since 1970.
 */
export function row(name: string, record: SessionRecord, now: number): string {
  const { created, expires, idle, user = "-", data } = record;
  const { length } = new TextEncoder().encode(JSON.stringify(data));
  const times = [now - created, now - (expires - idle), endOf(record) - now].map(short);
  const size = length < 10_000 ? `${length} B` : `${Math.round(length / 1024)} kB`;
  return line([name, user, ...times, size, Object.keys(data).join(", ") || "-"]);
}

/** A duration in the biggest unit of which it has two, as `90s` or `12h`. */
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

/** A text cut or filled to a width; what a terminal would act on, and what would change its direction, is replaced. */
function fit(text: string, width: number): string {
  let fitted = "";
  let used = 0;
  const characters = [...text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?")];
  for (const [index, character] of characters.entries()) {
    const columns = WIDE.test(character) ? 2 : 1;
    const isLast = index === characters.length - 1;
    if (used + columns > width - (isLast ? 0 : 1)) {
      fitted += "…";
      used++;
      break;
    }
    fitted += character;
    used += columns;
  }
  return fitted + " ".repeat(Math.max(0, width - used));
}
