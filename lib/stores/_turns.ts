/** Turns: limits how many verbs of a store use an engine at the same time. Further verbs wait for their turn. */
import { CALL_DEADLINE, DEADLINE } from "./_deadline.ts";

/** A verb that takes less time than this is quick, in milliseconds: the next calls will not miss their deadline. */
const QUICK = CALL_DEADLINE / 4;

/**
 * Gives turns in the order in which verbs ask for them. If verbs wait, each quick verb lets one more verb run at the
 * same time, so that a fast engine gets many calls at once. When few verbs run, the limit sinks again. A verb that is
 * not quick sets it back: calls that are sent to a slow engine would wait for each other, and miss their deadline.
 */
export class Turns {
  #least: number;
  #limit: number;
  #running = 0;
  #waiting = new Set<() => void>();

  /** @param least How many verbs may run at the same time, however slow they are. */
  constructor(least: number) {
    this.#least = this.#limit = least;
  }

  /**
   * Waits for a turn, then does some work. The work must not take another turn.
   *
   * @param server The name of the engine, for the message.
   * @throws {Error} if there is no turn until the deadline. Then the work was not begun.
   */
  async take<T>(server: string, work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limit) this.#running++;
    else await this.#wait(server);
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.#running--;
      if (performance.now() - start >= QUICK) this.#limit = this.#least;
      else if (this.#waiting.size > 0) this.#limit++;
      else if (this.#running < this.#least && this.#limit > this.#least) this.#limit--;
      for (const begin of this.#waiting) {
        if (this.#running >= this.#limit) break;
        begin();
      }
    }
  }

  #wait(server: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        clearTimeout(timer);
        this.#waiting.delete(begin);
        this.#running++;
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(begin);
        reject(new Error(`${server}: no connection was free in ${DEADLINE / 1000} seconds`));
      }, DEADLINE);
      this.#waiting.add(begin);
    });
  }
}
