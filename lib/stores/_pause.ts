/** Pauses, in which other requests have their turn. */

/** Waits for some milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Lets waiting requests have their turn. */
export function turn(): Promise<void> {
  return pause(0);
}
