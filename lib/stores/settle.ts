/** Changes by compare-and-set whose outcome is known: what an engine did not answer, it is asked. */
import { randomBytes } from "node:crypto";
import { CALL_DEADLINE, DEADLINE } from "./_deadline.ts";
import { pause } from "./_pause.ts";

/** How long other changes may come first, in milliseconds. The engine answers meanwhile, so this may take longer. */
const CONTENTION = 2 * DEADLINE;

/** How many times as long as a try takes the pause before the next one is at most, so that others get through. */
const MOST_PAUSE = 8;

/** How often a write is tried that fails, rather than being too late because somebody else wrote. */
const TRIES = 2;

/** Does a write. Returns whether it was done, as far as the engine said; a failure counts as no. */
export type Write = (work: () => Promise<boolean>) => Promise<boolean>;

/**
 * Reads, changes and writes until it is known what became of it. Every write carries a mark of its own, so that the next
 * look tells whether one that failed, or was refused, was done all the same: clients repeat by themselves what got no
 * answer, and then see their own write as somebody else's.
 *
 * @param read Looks at what is stored.
 * @param attempt Tells by what is stored whether its write was done; else changes it, or gives up. `"again"` asks for
 * another look.
 */
export async function settle<S, T>(
  read: () => Promise<S>,
  attempt: (stored: S, write: Write) => Promise<T | "again">,
): Promise<T> {
  const start = performance.now();
  const isPast = (milliseconds: number) => performance.now() - start > milliseconds;
  const isLate = () => isPast(DEADLINE - CALL_DEADLINE);
  let isUnknown = false;
  let failure: unknown;
  let failures = 0;
  const write: Write = async (work) => {
    if (failures === TRIES) throw failure;
    if (failures > 0 && isLate()) throw failure;
    if (isPast(CONTENTION)) throw new Error("Cannot change a session: too many changes of it at once");
    try {
      return await work();
    } catch (error) {
      failure = error;
      failures++;
      isUnknown = true;
      return false;
    }
  };
  for (let attempts = 1;; attempts++) {
    const begun = performance.now();
    try {
      const stored = await read();
      isUnknown = false;
      const outcome = await attempt(stored, write);
      if (outcome !== "again") return outcome;
    } catch (error) {
      // Only while nobody knows what became of the write is a failure to look no end.
      if (!isUnknown || isLate()) throw isUnknown ? failure : error;
    }
    const took = performance.now() - begun;
    await pause(isUnknown ? 50 : Math.random() * took * Math.min(attempts, MOST_PAUSE));
  }
}

/** A mark that no other write has. */
export function newMark(): string {
  return randomBytes(8).toString("hex");
}
