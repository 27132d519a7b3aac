/** The log: one line per event on standard error. An event that repeats within ten seconds is held back and counted. */

import { checkOptions, FUNCTION, oneOf } from "./_options.ts";

/** How much an event matters. */
export type Level = "error" | "warn" | "info" | "debug";

/**
 * Called with an event.
 *
 * @param level How much it matters.
 * @param event What happened, in the same words every time, so that a flood of it can be held back.
 * @param detail What was particular about it. Never an id, a cookie, a secret key or a visitor's data.
 */
export type Log = (level: Level, event: string, detail?: string) => void;

/** The levels, the one that matters most first. */
export const LEVELS: readonly Level[] = ["error", "warn", "info", "debug"];

const RULES = { least: { ...oneOf(...LEVELS), isRequired: true }, write: FUNCTION, now: FUNCTION };

/** Milliseconds in which an event is written once. Its next line says how often it was held back. */
const QUIET = 10_000;
/** How many events are remembered for that at most. */
const MAX_SEEN = 1000;

/** A log that writes nothing. */
export const silent: Log = () => {};

/**
 * Makes a log that writes one line per event. An event that comes again within ten seconds is counted, and its next line
 * has the count; events of level `debug` are all written.
 *
 * @param least The least level that is written.
 * @param write Takes a line; standard error unless given.
 * @param now The clock, in milliseconds since 1970.
 * @returns The log, for the option `log` of a store or a manager.
 * @throws {TypeError} if there is no such level, or a function is none.
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
    // An operator who turns on this level wants every line.
    const last = level === "debug" ? undefined : seen.get(event);
    const passed = now() - (last?.at ?? -Infinity);
    // A clock that was set back does not silence it.
    if (last !== undefined && passed >= 0 && passed < QUIET) {
      last.heldBack++;
      return;
    }
    const more = last?.heldBack ? ` (and ${last.heldBack} times since the last line)` : "";
    if (level !== "debug") {
      if (seen.size >= MAX_SEEN) seen.clear();
      seen.set(event, { at: now(), heldBack: 0 });
    }
    // One line, whatever the detail holds.
    const text = `${event}${detail ? `: ${detail}` : ""}`.replace(/[\s\p{Cc}]+/gu, " ");
    try {
      const written: unknown = write(`${new Date(now()).toISOString()} ${level} ${text}${more}`);
      if (written instanceof Promise) written.catch(() => {});
    } catch {
      // Standard error may be a file on a full disk. Visitors are served all the same.
    }
  };
}

/** The log of managers and stores that were given none: standard error, from `warn` on. */
export const standardErrorLog: Log = createLog("warn");
