/** Compare-and-set: reads, changes and writes until no other write came in between. */
import { DEADLINE } from "./_deadline.ts";
import { pause } from "./_pause.ts";

/** How long other changes may come first, in milliseconds. The engine answers in between, so this may take longer. */
const CONTENTION = 2 * DEADLINE;
/** How many times as long as a try took the pause before the next one is at most. */
const MOST_PAUSE = 8;

/**
 * Reads, changes and writes until no other write came in between.
 *
 * @param name What to call the engine in messages.
 * @param attempt Does it once; `"again"` if another write came in between.
 */
export async function compareAndSet<T>(name: string, attempt: () => Promise<T | "again">): Promise<T> {
  const start = performance.now();
  for (let tries = 1;; tries++) {
    const begun = performance.now();
    const outcome = await attempt();
    if (outcome !== "again") return outcome;
    if (performance.now() - start > CONTENTION) {
      throw new Error(`${name}: too many processes change a session at the same time`);
    }
    await letOthersThrough(tries, performance.now() - begun);
  }
}

/**
 * Waits before the next try. The more tries there were, the longer it may wait, so that each of several gets through.
 *
 * @param tries How many tries there were.
 * @param took How long the last one took, in milliseconds.
 */
export async function letOthersThrough(tries: number, took: number): Promise<void> {
  await pause(Math.random() * took * Math.min(tries, MOST_PAUSE));
}
