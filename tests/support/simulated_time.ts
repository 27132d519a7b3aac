/** Time in tests that is not the machine's, so that deadlines of seconds pass soon, and in the same order everywhere. */
import { replacing } from "./failing.ts";

/**
 * Runs work that needs nothing but memory, in simulated time: each look at `performance.now` takes a millisecond, and
 * when all that is left is to wait, the time jumps to the next timer.
 */
export async function inSimulatedTime<T>(work: () => Promise<T>): Promise<T> {
  const { setTimeout, clearTimeout } = globalThis;
  const { now } = performance;
  const timers = new Map<number, { at: number; ring: () => void }>();
  let time = 0;
  let last = 0;
  let isOver = false;
  const turn = () => {
    const [next] = [...timers].sort(([, a], [, b]) => a.at - b.at);
    if (next !== undefined) {
      const [id, { at, ring }] = next;
      timers.delete(id);
      time = Math.max(time, at);
      ring();
    }
    if (!isOver) setTimeout(turn, 0);
  };
  performance.now = () => ++time;
  Object.assign(globalThis, {
    setTimeout(ring: () => void, milliseconds = 0) {
      timers.set(++last, { at: time + milliseconds, ring });
      return last;
    },
    clearTimeout: (id: number) => void timers.delete(id),
  });
  turn();
  try {
    return await work();
  } finally {
    isOver = true;
    performance.now = now;
    Object.assign(globalThis, { setTimeout, clearTimeout });
    await new Promise((resolve) => setTimeout(resolve, 0)); // The last turn is over, too.
  }
}

/** Runs work on an engine in time that is ten times as fast, but for timers: a call of the engine keeps its deadline. */
export async function impatiently(work: () => Promise<void>): Promise<void> {
  await replacing(performance, "now", (now) => () => 10 * now.call(performance), work);
}
