/**
 * Pacer: decides when the sweep of a store takes its next step. So the sweep keeps up with the new sessions, and delays
 * no request. The stores of files, SQLite and PostgreSQL use it. Redis, memcached, MongoDB and Deno KV remove expired
 * sessions themselves, and the memory store checks eight sessions for each new one.
 */
import { reasonOf } from "../_reason.ts";
import type { Log } from "../log.ts";
import { turn } from "./_pause.ts";

/** The most milliseconds between two steps while requests come, even if no session is created. */
const IDLE_STEP = 1000;

/** The options of a {@linkcode Pacer}. */
export interface PacerOptions {
  /** Takes one step: checks at most `size` entries. Returns how many sessions it removed. */
  readonly step: () => Promise<number>;
  /** How many entries a step checks. */
  readonly size: number;
  /** How many entries to check for each new session. If it is more than one, there are always few expired sessions. */
  readonly perCreate: number;
  /** Called with the number of sessions swept, and with failures. */
  readonly log: Log;
}

/**
 * Starts the steps of a sweep after the answers to requests, one at a time. The more sessions are created, the more
 * steps it starts. While requests come, it starts at least one step per second. It has no timer.
 */
export class Pacer {
  #step: () => Promise<number>;
  #size: number;
  #perCreate: number;
  #log: Log;
  #due = 0;
  #last = -Infinity;
  #running: Promise<void> | undefined;

  /** @param options The step, its size, and the log. */
  constructor(options: PacerOptions) {
    this.#step = options.step;
    this.#size = options.size;
    this.#perCreate = options.perCreate;
    this.#log = options.log;
  }

  /** Records that a session was created. */
  created(): void {
    this.#due += this.#perCreate;
  }

  /** Starts the steps that are due, if none is running. Returns immediately. */
  run(): void {
    if (this.#running !== undefined) return;
    if (this.#due < this.#size && performance.now() - this.#last < IDLE_STEP) return;
    this.#last = performance.now();
    this.#running = this.#steps()
      .catch((error) => this.#log("error", "The sweep of expired sessions failed", reasonOf(error)))
      .finally(() => this.#running = undefined);
  }

  /** Waits for the running step. The steps that are due after it are not taken. */
  async close(): Promise<void> {
    this.#due = 0;
    await this.#running;
  }

  async #steps(): Promise<void> {
    let swept = 0;
    do {
      await turn();
      this.#due = Math.max(0, this.#due - this.#size);
      swept += await this.#step();
    } while (this.#due >= this.#size);
    if (swept > 0) this.#log("info", "Expired sessions were swept", String(swept));
  }
}
