/**
 * Lifetimes: computes when a session ends, from its record and the manager's settings.
 *
 * @module
 */
import type { Rule } from "./_options.ts";
import { endOf, type LifetimeOverrides, type SessionRecord } from "./record.ts";

/** The longest time that browsers keep a cookie, in seconds: 400 days (RFC 6265bis, section 5.5). */
export const MAX_LIFETIME: number = 400 * 24 * 60 * 60;

/** The valid values of a lifetime, in seconds. */
export const LIFETIME: Rule = {
  needed: `a number of seconds from 1 to ${MAX_LIFETIME}`,
  isRange: true,
  accepts: (value) => typeof value === "number" && value >= 1 && value <= MAX_LIFETIME,
};

/** Turns seconds into whole milliseconds. */
export function toMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** The times at which a session ends, in milliseconds since 1970. None is later than the deadline. */
export interface EndTimes {
  /** When the stored session ends if this request does not extend it; `undefined` if it is not stored yet. */
  readonly storedExpires: number | undefined;
  /** When the session ends after the commit of this request, unless it is used again. */
  readonly expires: number;
  /** When the session ends even if it is used. */
  readonly deadline: number;
}

/** The limits of sessions: those of the manager, or those that a session's log-in asked for. */
export class Lifetimes {
  #idle: number;
  #absolute: number;
  #now: () => number;

  /**
   * @param idle Seconds a session lives after its last use.
   * @param absolute The most seconds it lives, even if it is used.
   * @param now The clock, in milliseconds since 1970.
   */
  constructor(idle: number, absolute: number, now: () => number) {
    this.#idle = toMilliseconds(idle);
    this.#absolute = toMilliseconds(absolute);
    this.#now = now;
  }

  /** The times of a session that begins at the time `now`. */
  begin(
    now: number,
    overrides: LifetimeOverrides | undefined,
  ): Pick<SessionRecord, "created" | "idle" | "expires" | "deadline" | "overrides"> {
    const idle = overrides?.idle ?? this.#idle;
    return {
      created: now,
      idle,
      expires: now + idle,
      deadline: now + this.#absoluteOf(overrides),
      overrides,
    };
  }

  /**
   * The record, limited to the lifetimes of this manager. If the settings have been shortened since the record was
   * stored, the shorter limits apply: the idle limit from the last stored use on, the absolute one from `created` on.
   */
  clamp(record: SessionRecord): SessionRecord {
    const idle = Math.min(this.#idleOf(record), record.idle);
    const deadline = Math.min(this.#deadlineOf(record), record.deadline);
    if (idle === record.idle && deadline === record.deadline) return record;
    return { ...record, idle, expires: record.expires - record.idle + idle, deadline };
  }

  /** The record after a use of the session at this moment. */
  extend(record: SessionRecord): SessionRecord {
    const idle = this.#idleOf(record);
    return { ...record, idle, expires: this.#now() + idle, deadline: this.#deadlineOf(record) };
  }

  /** Whether a use must be stored, because it moves the session's end by a tenth of the idle lifetime or more. */
  isExtensionDue(record: SessionRecord): boolean {
    const idle = this.#idleOf(record);
    const end = Math.min(this.#now() + idle, this.#deadlineOf(record));
    return end - endOf(record) >= idle / 10;
  }

  /** The idle lifetime of a session. */
  #idleOf({ overrides }: SessionRecord): number {
    return overrides?.idle ?? this.#idle;
  }

  /** The deadline of a session. A log-in with its own absolute lifetime has fixed it in the record. */
  #deadlineOf({ overrides, created, deadline }: SessionRecord): number {
    return overrides?.absolute === undefined ? created + this.#absoluteOf(overrides) : deadline;
  }

  /** The absolute lifetime. If a log-in asks only for a longer idle lifetime, the absolute one is as long. */
  #absoluteOf(overrides: LifetimeOverrides | undefined): number {
    return overrides?.absolute ?? Math.max(this.#absolute, overrides?.idle ?? 0);
  }
}
