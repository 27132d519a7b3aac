/**
 * Pacer: when a store's sweep takes its next step, so that it keeps up with the sessions created and delays no request.
 * Files, SQLite and PostgreSQL are paced. Redis, memcached, MongoDB and Deno KV remove expired sessions themselves, and
 * the memory store looks at eight entries for each new session.
 */
import { type Log, silent } from "../log.ts";
import { turn } from "./_pause.ts";

/** Milliseconds between the steps that come while requests do, however few sessions are created. */
const IDLE_STEP = 1000;

/** What a {@linkcode Pacer} needs to know. */
export interface PacerOptions {
  /** Takes one step: looks at `size` entries at most, and returns how many sessions it removed. */
  readonly step: () => Promise<number>;
  /** How many entries a step looks at. */
  readonly size: number;
  /** How many entries are to be looked at for every session created: more than one, so that the dead stay few. */
  readonly perCreate: number;
  /** Called with what was swept, and with failures. */
  readonly log?: Log | undefined;
}

/**
 * Paces a sweep: one step at a time, after the answers, as many as the sessions created call for, and one a second
 * beside that while requests come. It has no timer of its own.
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
    this.#log = options.log ?? silent;
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

  /** Waits for the step that is running; those that are due after it are left. */
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
