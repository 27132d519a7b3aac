/** Deadlines: how long a verb of a store waits, and how long a call of an engine may take. `within` enforces them. */
import { reasonOf } from "../_reason.ts";
import { SessionError } from "../errors.ts";

/**
 * How long a verb waits for a connection, for its turn, or for another process, in milliseconds. A verb that fails
 * tries again within this time.
 */
export const DEADLINE = 2500;
/** How long one call of an engine may take, in milliseconds. So a verb has time to query the engine again. */
export const CALL_DEADLINE = 1000;

/** Thrown when a call has taken too long. The engine may have done the call or not. */
export class DeadlineError extends Error {
  override name = "DeadlineError";
}

/**
 * Waits for the work of an engine until the deadline. If the client library throws, the new error has the name of the
 * engine and the library's message. It has no other property of the library's error, because these can hold data. A
 * `SessionError` is thrown unchanged.
 *
 * @param server The name of the engine, for messages. It must not contain a password.
 */
export async function within<T>(server: string, work: Promise<T>, deadline: number = DEADLINE): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`no answer in ${deadline / 1000} seconds`)), deadline);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof SessionError) throw error;
    const failure = error instanceof DeadlineError ? DeadlineError : Error;
    throw new failure(`${server}: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}
