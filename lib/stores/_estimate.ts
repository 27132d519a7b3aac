/** Estimate: about how many sessions a store holds, for stores in which counting takes longer the more there are. */
import { reasonOf } from "../_reason.ts";
import type { Log } from "../log.ts";
import { StoreFullError } from "../store.ts";
import { CALL_DEADLINE, within } from "./_deadline.ts";

/** How long a count is believed, in milliseconds. */
const COUNT_AGE = 5000;
/** Counting may take a twentieth of the time. */
const SHARE = 20;
/** A count that takes no longer than this, in milliseconds, is made anew whenever the store seems full. */
const CHEAP = 10;

/** What an {@linkcode Estimate} needs to know. */
export interface EstimateOptions {
  /** Counts the live sessions of all processes. */
  readonly count: () => Promise<number>;
  /** How many there may be. */
  readonly max: number;
  /** What to call the store. */
  readonly name: string;
  /** Told of counts that failed. */
  readonly log: Log;
}

/** Counts now and then, in the background. Between counts it adds what this process makes, and takes off what it ends. */
export class Estimate {
  #count: () => Promise<number>;
  #max: number;
  #name: string;
  #log: Log;
  #total = 0;
  #countedAt = -Infinity;
  #took = 0;
  #counting: Promise<void> | undefined;

  /** @param options How to count. */
  constructor(options: EstimateOptions) {
    this.#count = options.count;
    this.#max = options.max;
    this.#name = options.name;
    this.#log = options.log;
  }

  /**
   * Waits for a count that is due and soon done.
   *
   * @throws {StoreFullError} if there are as many as there may be.
   */
  async check(): Promise<void> {
    if (this.#max === Infinity) return;
    const age = performance.now() - this.#countedAt;
    const isFull = this.#total >= this.#max;
    if (this.#counting === undefined && age >= Math.max(isFull ? 0 : COUNT_AGE, (this.#took - CHEAP) * SHARE)) {
      this.#counting = this.#countNow().finally(() => this.#counting = undefined);
    }
    // The first count, and one that may find room, are worth a wait; where there are very many, what is known must do.
    if (this.#counting !== undefined && (isFull || age === Infinity)) {
      await within(this.#name, this.#counting, CALL_DEADLINE).catch(() => {});
    }
    if (this.#total < this.#max) return;
    throw new StoreFullError(`Cannot create a session: ${this.#name} may hold ${this.#max} live sessions`);
  }

  /** Notes that sessions were made, or ended if negative. */
  add(sessions: number): void {
    this.#total += sessions;
  }

  /** Waits for the count that is running. */
  async close(): Promise<void> {
    await this.#counting;
  }

  async #countNow(): Promise<void> {
    const start = performance.now();
    const before = this.#total;
    try {
      const counted = await this.#count();
      // With those that were made and ended meanwhile.
      this.#total = counted + this.#total - before;
    } catch (error) {
      this.#log("error", "The sessions could not be counted", reasonOf(error));
    } finally {
      this.#countedAt = performance.now();
      this.#took = this.#countedAt - start;
    }
  }
}
