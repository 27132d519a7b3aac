/** Pauses, in which other requests have their turn. */

/** Waits for some milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Lets waiting requests have their turn. */
export function turn(): Promise<void> {
  return pause(0);
}

/** How long a slice of work takes, in milliseconds. */
const SLICE = 4;

/** A slice of long work. After each slice, waiting requests have their turn, and the next slice begins. */
export class TimeSlice {
  #start = performance.now();

  /** If the slice is over, lets waiting requests have their turn. Await this after each small piece of the work. */
  async yieldIfOver(): Promise<void> {
    if (performance.now() - this.#start < SLICE) return;
    await turn();
    this.#start = performance.now();
  }
}
