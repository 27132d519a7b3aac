/** Compare-and-set: reads, changes and writes until no other write came in between. */
import { DEADLINE } from "./_deadline.ts";
import { pause } from "./_pause.ts";

/**
 * Reads, changes and writes until nobody else wrote in between.
 *
 * @param attempt Does it once; `"again"` if somebody wrote in between.
 */
export async function compareAndSet<T>(attempt: () => Promise<T | "again">): Promise<T> {
  const start = performance.now();
  for (let attempts = 1;; attempts++) {
    const outcome = await attempt();
    if (outcome !== "again") return outcome;
    // Given up before `within` does, so that nothing is written after the failure was reported.
    if (performance.now() - start > DEADLINE - 500) throw new Error("too many changes of one session at once");
    await pause(Math.random() * Math.min(attempts, 10));
  }
}
