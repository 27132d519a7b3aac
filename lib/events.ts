/**
 * Events: the one stream in which a manager tells what happens to sessions. Counters, log and telemetry listen to it.
 *
 * @module
 */
import { SessionGoneError, SessionTakenError, StoreFullError } from "./errors.ts";
import type { Level, Log } from "./log.ts";

/**
 * What happened to a session:
 *
 * - `made`: something was stored of it for the first time.
 * - `changed`, `used`: its data were changed; its life was extended by a mere use.
 * - `new id`: it got a new id, and the old one is dead.
 * - `logged in`, `logged out`: its user logged in (after `made` or `new id`), or out.
 * - `bound`: it was bound to the device that logged in.
 * - `ended`: it was ended otherwise, by `end`, `endAll` or a log-in that allowed no more sessions.
 * - `refused`: a cookie was refused, or a request stored nothing; `reason` says why.
 * - `failed`: the store failed; `verb` and `reason` say to do what, and why.
 */
export type EventType =
  | "made"
  | "changed"
  | "used"
  | "new id"
  | "logged in"
  | "logged out"
  | "bound"
  | "ended"
  | "refused"
  | "failed";

/** One event. It never holds an id, a cookie, or data of a visitor other than the user's name. */
export interface SessionEvent {
  /** What happened. */
  readonly type: EventType;
  /** The session's handle, as `sessions.of` gives it; `undefined` where no session is known. */
  readonly handle: string | undefined;
  /** The user of the session, if there is one. A visitor may have chosen this name. */
  readonly user: string | undefined;
  /** Why something was refused, or with which words the store failed. */
  readonly reason: string | undefined;
  /** What the store failed to do, such as `read`. */
  readonly verb?: string;
}

/** Called with every event. What it throws is written to standard error: by then the session is stored. */
export type Listener = (event: SessionEvent) => void;

/** How many events of each type there were. */
export type SessionCounters = Record<EventType, number>;

/** Counters at zero. */
export function newCounters(): SessionCounters {
  return {
    made: 0,
    changed: 0,
    used: 0,
    "new id": 0,
    "logged in": 0,
    "logged out": 0,
    bound: 0,
    ended: 0,
    refused: 0,
    failed: 0,
  };
}

/** Why a request was refused. */
export type Refusal =
  | "bad signature"
  | "unknown session"
  | "several cookies"
  | "another device"
  | "bad proof"
  | "session gone"
  | "value taken"
  | "store full"
  | "record too large";

/** The line of each refusal in the log. */
const REFUSALS: Readonly<Record<Refusal, readonly [Level, string]>> = {
  "bad signature": ["warn", "A session cookie was refused: its signature is not one of ours"],
  "unknown session": ["info", "A session cookie was refused: its session is not stored"],
  "several cookies": ["info", "Several session cookies came in one request, and were deleted"],
  "another device": ["warn", "A session cookie was refused: its session is bound to another device"],
  "bad proof": ["warn", "A request to bind a session to a device, or to go on, was refused"],
  "session gone": ["info", "A request stored nothing: another one had ended its session or given it a new id"],
  "value taken": ["info", "A request stored nothing: another one had taken the same value or message"],
  "store full": ["warn", "A new session was refused: the store is full"],
  "record too large": ["warn", "A request stored nothing: its session is larger than the store can keep"],
};

/** The refusal that an error of the library stands for. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof SessionTakenError) return "value taken";
  if (error instanceof SessionGoneError) return "session gone";
  return error instanceof StoreFullError ? "store full" : "record too large";
}

/** The events that tell who came and went, one line for each (ASVS 5, 16.3.1), and those for a close look. */
const LINES: Readonly<Partial<Record<EventType, readonly [Level, string]>>> = {
  "made": ["debug", "A session was made"],
  "changed": ["debug", "A session was changed"],
  "used": ["debug", "A session was used"],
  "new id": ["debug", "A session got a new id"],
  "logged in": ["info", "A user logged in"],
  "logged out": ["info", "A user logged out"],
  "bound": ["info", "A session was bound to a device"],
  "ended": ["info", "A session was ended"],
};

/**
 * A listener that writes events to a log, with the session's handle, and never with the user's name.
 *
 * @param log The log.
 */
export function logEvents(log: Log): Listener {
  return ({ type, handle, reason = "", verb = "" }) => {
    if (type === "failed") return log("error", `The session store failed to ${verb}`, reason);
    if (type === "refused") return log(...REFUSALS[reason as Refusal]);
    const [level, text] = LINES[type]!;
    // The handle is part of the event, so that no log-in is held back as a repetition of another.
    log(level, `${text}: session ${handle}`);
  };
}
