/** Deadlines: how long the verbs of a store may take, and calls that are given up in time. */
import { reasonOf } from "../_reason.ts";
import { SessionError } from "../errors.ts";
import { KeyTakenError } from "../store.ts";
import { ChangeError } from "./_change.ts";

/** How long any verb may take, in milliseconds. */
export const DEADLINE = 2500;
/** How long an engine may take for one call, in milliseconds. Then time is left to query it again. */
export const CALL_DEADLINE = 1000;

/** Thrown when a call took longer than it may. Whether the engine did it is unknown. */
export class DeadlineError extends Error {
  override name = "DeadlineError";
}

/**
 * Waits for some work on an engine until the deadline. A failure names the engine and has the message of the client
 * library, but none of its other properties, which can hold data. What `change` threw and the errors of the stores'
 * contract come out as they are.
 *
 * @param server What to call the engine; never with a password in it.
 */
export async function within<T>(server: string, work: Promise<T>, deadline: number = DEADLINE): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`no answer in ${deadline / 1000} seconds`)), deadline);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof ChangeError) throw error.cause;
    if (error instanceof SessionError || error instanceof KeyTakenError) throw error;
    const failure = error instanceof DeadlineError ? DeadlineError : Error;
    throw new failure(`${server}: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}
