/** Estimate: about how many sessions a store holds, for stores that take longer to count more sessions. */
import { reasonOf } from "../_reason.ts";
import type { Log } from "../log.ts";
import { StoreFullError } from "../store.ts";
import { CALL_DEADLINE, within } from "./_deadline.ts";

/** After how many milliseconds a new count starts in the background. */
const COUNT_AGE = 5000;
/** The part of the free room that a process may use before it counts again: other processes use the room, too. */
const PART = 1 / 16;
/**
 * If the last count found at most this many sessions in less than `CALL_DEADLINE`, and there seems to be room, the next
 * count may come any time.
 */
const FEW = 10_000;
/** Otherwise the next count comes only after a wait: the time that the last count took beyond `CHEAP`, times this. */
const SHARE = 20;
/** A count that took at most this many milliseconds causes no wait. */
const CHEAP = 25;

/** The options of an {@linkcode Estimate}. */
export interface EstimateOptions {
  /** Counts the live sessions of all processes. */
  readonly count: () => Promise<number>;
  /** The most live sessions. */
  readonly max: number;
  /** The name of the store, for messages. */
  readonly name: string;
  /** Called when a count fails. */
  readonly log: Log;
}

/**
 * Counts every few seconds, while sessions are created. Between counts it adds the sessions that this process creates,
 * and subtracts those that it ends. Near the maximum it counts before each new session, so that each process exceeds
 * the maximum by one session at most.
 *
 * A count that takes longer than 25 ms makes the next one wait, if there are more than 10,000 sessions or the store is
 * full. So does a count that takes longer than a second, or fails after a second. Then the maximum may be exceeded by
 * more, and a full store may notice a little later that there is room again.
 */
export class Estimate {
  #count: () => Promise<number>;
  #max: number;
  #name: string;
  #log: Log;
  /** The last count, with the sessions that this process has created and ended since. */
  #total = 0;
  /** How many sessions this process may create before it counts again. */
  #allowed = 0;
  /** The sessions that are being created. */
  #underway = new Set<Promise<void>>();
  /** The result of the last count. */
  #counted = 0;
  /** When the last count began, and when it ended. */
  #startedAt = -Infinity;
  #countedAt = -Infinity;
  /** How long the last count took, in milliseconds. */
  #took = Infinity;
  /** The running count. */
  #counting: Promise<boolean> | undefined;
  #isClosed = false;

  /** @param options The count, the maximum, and what messages need. */
  constructor(options: EstimateOptions) {
    this.#count = options.count;
    this.#max = options.max;
    this.#name = options.name;
    this.#log = options.log;
  }

  /**
   * Creates a session if there is room for it.
   *
   * @param create Creates the session.
   * @throws {StoreFullError} if the store holds its maximum of sessions.
   */
  async make(create: () => Promise<void>): Promise<void> {
    if (this.#max === Infinity) return await create();
    const age = performance.now() - this.#countedAt;
    if (age >= COUNT_AGE && this.#mayCount()) this.#startCount();
    while ((this.#allowed <= 0 || this.#total >= this.#max) && this.#mayCount()) {
      // A count does not include the sessions that are being created, so they are awaited first.
      if (this.#underway.size > 0) await Promise.allSettled(this.#underway);
      else if (!await this.#hasRoom()) break;
    }
    if (this.#total >= this.#max) {
      throw new StoreFullError(`Cannot create a session: ${this.#name} may hold ${this.#max} live sessions`);
    }
    this.#total++;
    this.#allowed--;
    const making = create();
    this.#underway.add(making);
    try {
      await making;
    } catch (error) {
      this.#total--;
      throw error;
    } finally {
      this.#underway.delete(making);
    }
  }

  /** Records that sessions ended. */
  ended(sessions: number): void {
    this.#total -= sessions;
  }

  /** Waits for the running count, but not long. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#counting !== undefined) await within(this.#name, this.#counting, CALL_DEADLINE).catch(() => {});
  }

  /** Counts. Returns whether there is room; `false` if the count failed, or is not done a second after it began. */
  async #hasRoom(): Promise<boolean> {
    const counting = this.#startCount();
    const left = this.#startedAt + CALL_DEADLINE - performance.now();
    const isCounted = await within(this.#name, counting, left).catch(() => false);
    return isCounted && this.#total < this.#max;
  }

  /** Whether the next count may begin, or the running one began less than a second ago. */
  #mayCount(): boolean {
    if (this.#counting !== undefined) return performance.now() - this.#startedAt < CALL_DEADLINE;
    if (this.#total < this.#max && this.#counted <= FEW && this.#took < CALL_DEADLINE) return true;
    return performance.now() - this.#countedAt >= (this.#took - CHEAP) * SHARE;
  }

  #startCount(): Promise<boolean> {
    return this.#counting ??= this.#countNow().finally(() => this.#counting = undefined);
  }

  async #countNow(): Promise<boolean> {
    this.#startedAt = performance.now();
    const before = this.#total;
    const allowed = this.#allowed;
    const { size } = this.#underway;
    try {
      this.#counted = await this.#count();
      this.#allowed += Math.max(1, Math.floor((this.#max - this.#counted) * PART)) - allowed;
      this.#total += this.#counted + size - before;
      return true;
    } catch (error) {
      if (!this.#isClosed) this.#log("error", "The sessions could not be counted", reasonOf(error));
      return false;
    } finally {
      this.#countedAt = performance.now();
      // The time at most doubles from one count to the next: one slow count on a busy machine causes no long wait.
      this.#took = Math.min(this.#countedAt - this.#startedAt, 2 * this.#took);
    }
  }
}
