/** What the shared stores have in common: a deadline for every verb, changes by compare-and-set, words for failures. */
import type { Log } from "../log.ts";

/** How long any verb may take, in milliseconds. */
export const DEADLINE = 2500;

/** Thrown when a verb took longer than it may; whether the server did what it was asked to, is not known. */
export class DeadlineError extends Error {
  override name = "DeadlineError";
}

/**
 * Does some work on a server, within the deadline. A failure names the server, and nothing that a client library may
 * have put into its error: their messages are kept, their other properties can hold ids and data.
 *
 * @param server What to call the server; never with a password in it.
 */
export async function within<T>(server: string, work: Promise<T>, deadline: number = DEADLINE): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`no answer in ${deadline / 1000} seconds`)), deadline);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    const failure = error instanceof DeadlineError ? DeadlineError : Error;
    throw new failure(`${server}: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** Why something failed, in one line. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.message || (error as { code?: string }).code || error.name;
}

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

/** Logs that a record was unreadable; it is left where it is, for somebody to look at, until it expires. */
export function logCorrupt(log: Log, server: string): void {
  log("warn", "A corrupt session record counts as no session", server);
}

/** Waits, so that others have their turn. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
