/**
 * Pacer: when a store's sweep takes its next step, so that it keeps up with the sessions created and delays no request.
 * Files, SQLite and PostgreSQL are paced. Redis, memcached, MongoDB and Deno KV remove expired sessions themselves, and
 * the memory store looks at eight entries for each new session.
 */
import type { Log } from "../log.ts";
import { turn } from "./_pause.ts";

/** Milliseconds between the steps that come while requests do, however few sessions are created. */
const IDLE_STEP = 1000;

/** The options of a {@linkcode Pacer}. */
export interface PacerOptions {
  /** Takes one step: looks at `size` entries at most, and returns how many sessions it removed. */
  readonly step: () => Promise<number>;
  /** How many entries a step looks at. */
  readonly size: number;
  /** How many entries to look at for every session created: more than one, so that expired sessions stay few. */
  readonly perCreate: number;
  /** Called with the number of sessions swept, and with failures. */
  readonly log: Log;
}

/**
 * Paces a sweep: one step at a time, after the answers, as many as the sessions created call for. While requests come,
 * it takes at least one step per second. It has no timer of its own.
 */
export class Pacer {
  #step: () => Promise<number>;
  #size: number;
  #perCreate: number;
  #log: Log;
  #due = 0;
  #last = -Infinity;
  #running: Promise<void> | undefined;

  /** @param options The step and its size. */
  constructor(options: PacerOptions) {
    this.#step = options.step;
    this.#size = options.size;
    this.#perCreate = options.perCreate;
    this.#log = options.log;
  }

  /** Notes that a session was created. */
  created(): void {
    this.#due += this.#perCreate;
  }

  /** Starts the steps that are due, if none is running. Returns immediately. */
  run(): void {
    if (this.#running !== undefined) return;
    if (this.#due < this.#size && performance.now() - this.#last < IDLE_STEP) return;
    this.#last = performance.now();
    this.#running = this.#steps()
      .catch((error) => this.#log("error", "The sweep of expired sessions failed", error?.message ?? String(error)))
      .finally(() => this.#running = undefined);
  }

  /** Waits for the step that is running. Steps that are due after it are not taken. */
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
