/** The log: one line per event on standard error. An event that repeats within ten seconds is held back and counted. */

import { checkOptions, FUNCTION, oneOf } from "./_options.ts";

/** How much an event matters. */
export type Level = "error" | "warn" | "info" | "debug";

/**
 * Called with an event.
 *
 * @param level How much the event matters.
 * @param event What happened, in the same words every time, so that the log recognizes repetitions.
 * @param detail Words that may differ each time, such as the cause. Never an id, a cookie, a key or a visitor's data.
 */
export type Log = (level: Level, event: string, detail?: string) => void;

/** The levels, the most important one first. */
export const LEVELS: readonly Level[] = ["error", "warn", "info", "debug"];

const RULES = { least: { ...oneOf(...LEVELS), isRequired: true }, write: FUNCTION, now: FUNCTION };

/** Milliseconds in which an event is written only once. Its next line has the number of repetitions. */
const QUIET = 10_000;
/** The most events that are remembered for this. */
const MAX_SEEN = 1000;

/** A log that writes nothing. */
export const silent: Log = () => {};

/**
 * Makes a log that writes one line per event. If an event repeats within ten seconds, it is counted and not written.
 * Its next line has the count. Events of level `debug` are all written.
 *
 * @param least The least important level that is written.
 * @param write Called with each line. Unless given, lines go to standard error.
 * @param now The clock, in milliseconds since 1970.
 * @returns The log, for the option `log` of a store or a manager.
 * @throws {TypeError} if the level does not exist, or `write` or `now` is not a function.
 *
 * @example
 * ```ts
 * import { createLog } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const log = createLog("warn", (line) => lines.push(line), () => 0);
 * log("warn", "The disk is slow", "2 s");
 * log("info", "This is below the level");
 * assertEquals(lines, ["1970-01-01T00:00:00.000Z warn The disk is slow: 2 s"]);
 * ```
 */
export function createLog(
  least: Level,
  write: (line: string) => void = (line) => console.error(line),
  now: () => number = Date.now,
): Log {
  checkOptions("Cannot make a log", { least, write, now }, RULES);
  const limit = LEVELS.indexOf(least);
  const seen = new Map<string, { at: number; heldBack: number }>();
  return (level, event, detail) => {
    if (LEVELS.indexOf(level) > limit) return;
    // At this level the operator wants every line.
    const last = level === "debug" ? undefined : seen.get(event);
    const passed = now() - (last?.at ?? -Infinity);
    // If the clock was set back, the event is written.
    if (last !== undefined && passed >= 0 && passed < QUIET) {
      last.heldBack++;
      return;
    }
    const more = last?.heldBack ? ` (and ${last.heldBack} times since the last line)` : "";
    if (level !== "debug") {
      if (seen.size >= MAX_SEEN) seen.clear();
      seen.set(event, { at: now(), heldBack: 0 });
    }
    // Line breaks and control characters become spaces, so that each event has one line.
    const text = `${event}${detail ? `: ${detail}` : ""}`.replace(/[\s\p{Cc}]+/gu, " ");
    try {
      const written: unknown = write(`${new Date(now()).toISOString()} ${level} ${text}${more}`);
      if (written instanceof Promise) written.catch(() => {});
    } catch {
      // Standard error may be a file on a full disk. Visitors must still be served.
    }
  };
}

/** The log of managers and stores without the option `log`: lines of level `warn` and above go to standard error. */
export const standardErrorLog: Log = createLog("warn");
