/**
 * Pacer: decides when the sweep of a store takes its next step. So the sweep keeps up with the new sessions, and other
 * requests have their turn. The stores of files, SQLite and PostgreSQL use it. Redis, memcached, MongoDB and Deno KV
 * remove expired sessions themselves, and the memory store checks eight sessions for each new one.
 */
import { reasonOf } from "../_reason.ts";
import type { Log } from "../log.ts";
import { TimeSlice, turn } from "./_pause.ts";

/** The most milliseconds between two steps while requests come, even if no session is created. */
const IDLE_STEP = 1000;
/**
 * How many checks a removal counts as, because it takes longer. So, if a store has many expired sessions, a new session
 * does not wait for the removal of twelve of them.
 */
const REMOVAL = 4;

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
 *
 * Other requests have their turn between two steps. Requests that come at the same time can create more sessions in a
 * turn than one step pays for. Then the sweep is behind: it takes several steps in a turn, for some milliseconds.
 */
export class Pacer {
  #step: () => Promise<number>;
  #size: number;
  #perCreate: number;
  #log: Log;
  #due = 0;
  /** How many checks the new sessions have caused, and how many of these the steps have done. */
  #caused = 0;
  #done = 0;
  #last = -Infinity;
  #running: Promise<void> | undefined;
  #isClosed = false;

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
    this.#caused += this.#perCreate;
  }

  /**
   * Waits until the steps have done the checks that the sessions created so far have caused, except those of the next
   * step. If no steps run, it does not wait. If each new session waits, clients cannot create sessions faster than the
   * sweep removes expired ones, however many clients there are.
   */
  async keepUp(): Promise<void> {
    const caused = this.#caused;
    while (this.#running !== undefined && this.#isBehind(caused)) await turn();
  }

  /** Starts the steps that are due, if none is running and the store is open. Returns immediately. */
  run(): void {
    if (this.#running !== undefined || this.#isClosed) return;
    if (this.#due < this.#size && performance.now() - this.#last < IDLE_STEP) return;
    this.#last = performance.now();
    this.#running = this.#steps()
      .catch((error) => this.#log("error", "The sweep of expired sessions failed", reasonOf(error)))
      .finally(() => {
        this.#running = undefined;
        this.#done = this.#caused;
      });
  }

  /** Waits for the running step. The steps that are due after it are not taken. `run` can start others. */
  async stop(): Promise<void> {
    this.#due = 0;
    await this.#running;
  }

  /** Stops, and starts no step any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.stop();
  }

  #isBehind(caused: number): boolean {
    return caused - this.#done >= this.#size;
  }

  async #steps(): Promise<void> {
    let swept = 0;
    await turn();
    const slice = new TimeSlice();
    while (true) {
      this.#due = Math.max(0, this.#due - this.#size);
      const removed = await this.#step();
      swept += removed;
      this.#done = Math.min(this.#caused, this.#done + Math.max(this.#size, removed * REMOVAL));
      if (this.#due < this.#size) break;
      if (this.#isBehind(this.#caused)) await slice.yieldIfOver();
      else await turn();
    }
    if (swept > 0) this.#log("info", "Expired sessions were swept", String(swept));
  }
}
