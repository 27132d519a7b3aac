/**
 * Events: a manager emits one for each change of a session, each refusal, and each failure of the store. Counters, log
 * and telemetry listen.
 *
 * @module
 */
import { SessionGoneError, SessionTakenError, StoreFullError } from "./errors.ts";
import type { Level, Log } from "./log.ts";

/**
 * What happened to a session. A session that expires makes no event.
 *
 * - `made`: it was stored for the first time.
 * - `changed`: its data or messages were changed. A request that also gives it a new id makes only `new id`.
 * - `used`: a use without a change extended its life.
 * - `new id`: it got a new id, and the old one stopped working.
 * - `logged in`: its user logged in. This event follows `made` or `new id`.
 * - `logged out`: its user logged out.
 * - `bound`: it was bound to the device that logged in.
 * - `ended`: it was ended in another way: by `end`, by `endAll`, by a guest's `logOut`, or because a log-in limited the
 *   user's sessions.
 * - `refused`: a cookie was refused, or a request stored nothing; `reason` says why.
 * - `failed`: the store failed; `verb` names the operation, and `reason` says why.
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
  /** The handle, as `sessions.of` returns it; `undefined` if no single session is known, as for a forged cookie. */
  readonly handle: string | undefined;
  /** The session's user, if the manager knows one. A visitor may have chosen this name. */
  readonly user: string | undefined;
  /** Why something was refused, or why the store failed. */
  readonly reason: string | undefined;
  /** The operation that the store failed to do, such as `read`. */
  readonly verb?: string;
}

/** Called with every event. Its errors are written to standard error, and do not undo the operation. */
export type Listener = (event: SessionEvent) => void;

/** The number of events of each type. */
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
  "bad proof": ["warn", "A request to bind a session to a device, or to renew its second cookie, was refused"],
  "session gone": ["info", "A request stored nothing: another one had ended its session or given it a new id"],
  "value taken": ["info", "A request stored nothing: another one had taken the same value or message"],
  "store full": ["warn", "A new session was refused: the store is full"],
  "record too large": ["warn", "A request stored nothing: its session is larger than the store can keep"],
};

/** The refusal to report for an error of the library. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof SessionTakenError) return "value taken";
  if (error instanceof SessionGoneError) return "session gone";
  return error instanceof StoreFullError ? "store full" : "record too large";
}

/** The line of each other event. Log-ins, log-outs, bindings and ends have level `info` (ASVS 5, 16.3.1). */
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
 * A listener that writes events to a log, never with the user's name. Refusals and failures have no handle, so that the
 * log counts their repetitions.
 *
 * @param log The log.
 */
export function logEvents(log: Log): Listener {
  return ({ type, handle, reason = "", verb = "" }) => {
    if (type === "failed") return log("error", `The session store failed to ${verb}`, reason);
    if (type === "refused") return log(...REFUSALS[reason as Refusal]);
    const [level, text] = LINES[type]!;
    // The handle is part of the log's event, so that two log-ins are different events for the log.
    log(level, `${text}: session ${handle}`);
  };
}
