/** Simulated time for tests: deadlines of seconds pass quickly, and in the same order on every machine. */
import { replacing } from "./failing.ts";

/**
 * Runs work that uses only memory, in simulated time. Each call of `performance.now` takes a millisecond. When the work
 * only waits, the time jumps to the next timer.
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
    await new Promise((resolve) => setTimeout(resolve, 0)); // Waits for the last turn.
  }
}

/** Runs work on an engine while `performance.now` is ten times as fast. Timers keep the real time. */
export async function impatiently(work: () => Promise<void>): Promise<void> {
  await replacing(performance, "now", (now) => () => 10 * now.call(performance), work);
}
