/** Pauses, in which other requests have their turn. */

/** Waits for some milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Lets waiting requests have their turn. */
export function turn(): Promise<void> {
  return pause(0);
}

/** How long work goes on, in milliseconds, before waiting requests have their turn. */
const SLICE = 4;

/** Long work in slices, so that waiting requests have their turn in between. */
export class Slices {
  #start = performance.now();

  /** Ends the slice if it was long enough. Await this after each small piece of the work. */
  async next(): Promise<void> {
    if (performance.now() - this.#start < SLICE) return;
    await turn();
    this.#start = performance.now();
  }
}
