/** The log: one line per event on standard error, none above `debug` repeated more than once in ten seconds. */

/** How much an event matters. */
export type Level = "error" | "warn" | "info" | "debug";

/**
 * Told of an event.
 *
 * @param level How much it matters.
 * @param event What happened, the same words every time, so that a flood of it can be held back.
 * @param detail What was particular about it. Never an id, a cookie, a key or a visitor's data.
 */
export type Log = (level: Level, event: string, detail?: string) => void;

/** The levels, the one that matters most first. */
export const LEVELS: readonly Level[] = ["error", "warn", "info", "debug"];

/** Milliseconds in which an event is written once; how often it came meanwhile is said the next time. */
const QUIET = 10_000;

/** Says nothing. */
export const silent: Log = () => {};

/**
 * Makes a log that writes lines.
 *
 * @param least The least level that is written.
 * @param write Takes a line; standard error unless given.
 * @param now The clock, in milliseconds since 1970.
 */
export function createLog(
  least: Level,
  write: (line: string) => void = console.error,
  now: () => number = Date.now,
): Log {
  const limit = LEVELS.indexOf(least);
  const seen = new Map<string, { at: number; heldBack: number }>();
  return (level, event, detail) => {
    if (LEVELS.indexOf(level) > limit) return;
    // Whoever asks for these asks for all of them.
    const last = level === "debug" ? undefined : seen.get(event);
    const passed = now() - (last?.at ?? -Infinity);
    // A clock that was set back does not silence it.
    if (last !== undefined && passed >= 0 && passed < QUIET) {
      last.heldBack++;
      return;
    }
    const more = last?.heldBack ? ` (and ${last.heldBack} times since the last line)` : "";
    if (level !== "debug") seen.set(event, { at: now(), heldBack: 0 });
    // One line, whatever the detail holds.
    const text = `${event}${detail ? `: ${detail}` : ""}`.replace(/[\s\p{Cc}]+/gu, " ");
    try {
      write(`${new Date(now()).toISOString()} ${level} ${text}${more}`);
    } catch {
      // Standard error may be a file on a full disk. Visitors are served all the same.
    }
  };
}
