/** Changes by compare-and-set whose outcome is known: what an engine did not answer, it is asked. */
import { DEADLINE, pause } from "./shared.ts";

/** How long an engine may take for one call, in milliseconds, so that there is time left to ask what became of it. */
export const CALL_DEADLINE = 1000;

/** How often a write is tried that fails, rather than being too late because somebody else wrote. */
const TRIES = 2;

/** Does a write; whether it was done, as far as the engine said. A failure counts as no. */
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
  const isLate = () => performance.now() - start > DEADLINE - CALL_DEADLINE;
  let isUnknown = false;
  let failure: unknown;
  let failures = 0;
  const write: Write = async (work) => {
    if (failures === TRIES) throw failure;
    if (isLate()) throw failure ?? new Error("Cannot change a session: too many changes of it at once");
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
    try {
      const stored = await read();
      isUnknown = false;
      const outcome = await attempt(stored, write);
      if (outcome !== "again") return outcome;
    } catch (error) {
      // Only while nobody knows what became of the write is a failure to look no end.
      if (!isUnknown || isLate()) throw isUnknown ? failure : error;
    }
    await pause(isUnknown ? 50 : Math.random() * Math.min(attempts, 10));
  }
}

/** A mark that no other write has. */
export function newMark(): string {
  return crypto.getRandomValues(new Uint8Array(8)).toHex();
}
