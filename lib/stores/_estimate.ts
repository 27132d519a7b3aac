/** Estimate: how many sessions a store holds, for stores in which counting takes longer the more there are. */
import { reasonOf } from "../_reason.ts";
import type { Log } from "../log.ts";
import { StoreFullError } from "../store.ts";
import { CALL_DEADLINE, within } from "./_deadline.ts";

/** How long a count is believed, in milliseconds. */
const COUNT_AGE = 5000;
/** After a count a process may use this part of the room before it counts again: other processes use the room, too. */
const PART = 1 / 16;
/** Up to so many sessions are always counted again where the room may be used up. */
const FEW = 10_000;
/** More are counted for a twentieth of the time, */
const SHARE = 20;
/** unless a count takes no longer than this, in milliseconds. */
const CHEAP = 25;

/** What an {@linkcode Estimate} needs to know. */
export interface EstimateOptions {
  /** Counts the live sessions of all processes. */
  readonly count: () => Promise<number>;
  /** How many there may be. */
  readonly max: number;
  /** What to call the store. */
  readonly name: string;
  /** Called with counts that failed. */
  readonly log: Log;
}

/**
 * Counts now and then. Between counts it adds what this process makes, and takes off what it ends. Near the maximum it
 * counts before each new session, so that each process exceeds the maximum by one session at most. With more than 10,000
 * sessions it counts less often, if a count takes longer than 25 ms; then more may get in.
 */
export class Estimate {
  #count: () => Promise<number>;
  #max: number;
  #name: string;
  #log: Log;
  #total = 0;
  /** How many sessions this process may make before it counts again. */
  #allowed = 0;
  #underway = new Set<Promise<void>>();
  #counted = 0;
  #countedAt = -Infinity;
  #took = Infinity;
  #counting: Promise<boolean> | undefined;

  /** @param options How to count. */
  constructor(options: EstimateOptions) {
    this.#count = options.count;
    this.#max = options.max;
    this.#name = options.name;
    this.#log = options.log;
  }

  /**
   * Makes a session if there is room for it.
   *
   * @param create Makes it.
   * @throws {StoreFullError} if there are as many as there may be.
   */
  async make(create: () => Promise<void>): Promise<void> {
    if (this.#max === Infinity) return await create();
    const age = performance.now() - this.#countedAt;
    if (age >= COUNT_AGE && this.#mayCount()) this.#startCount();
    while (this.#allowed <= 0 || this.#total >= this.#max) {
      // A count knows nothing of the sessions that are being made.
      if (this.#underway.size > 0) await Promise.allSettled(this.#underway);
      else if (!this.#mayCount() || !await this.#hasRoom()) break;
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

  /** Notes that sessions ended. */
  ended(sessions: number): void {
    this.#total -= sessions;
  }

  /** Waits for the count that is running. */
  async close(): Promise<void> {
    await this.#counting;
  }

  /** Counts. Returns whether that was done in time, and found room. */
  async #hasRoom(): Promise<boolean> {
    const isCounted = await within(this.#name, this.#startCount(), CALL_DEADLINE).catch(() => false);
    return isCounted && this.#total < this.#max;
  }

  #mayCount(): boolean {
    if (this.#counting !== undefined || this.#countedAt === -Infinity) return true;
    if (this.#total < this.#max && this.#counted <= FEW) return true;
    return performance.now() - this.#countedAt >= (this.#took - CHEAP) * SHARE;
  }

  #startCount(): Promise<boolean> {
    return this.#counting ??= this.#countNow().finally(() => this.#counting = undefined);
  }

  async #countNow(): Promise<boolean> {
    const start = performance.now();
    const before = this.#total;
    const allowed = this.#allowed;
    const { size } = this.#underway;
    try {
      this.#counted = await this.#count();
      this.#allowed += Math.max(1, Math.floor((this.#max - this.#counted) * PART)) - allowed;
      this.#total += this.#counted + size - before;
      return true;
    } catch (error) {
      this.#log("error", "The sessions could not be counted", reasonOf(error));
      return false;
    } finally {
      this.#countedAt = performance.now();
      // A machine that is busy for a moment does not make counting dear.
      this.#took = Math.min(this.#countedAt - start, 2 * this.#took);
    }
  }
}
