/**
 * ErrorAnswers: the answers of a program to requests whose session could not be opened or stored.
 *
 * @module
 */
import { type SessionError, SessionGoneError, type SessionStoreError, type StoreFullError } from "./errors.ts";
import { FUNCTION, type Rule } from "./_options.ts";

/**
 * The answers that replace those in plain text, for `wrap` and the adapters. The request is a `Request` for `wrap`, and
 * what the framework's handlers get for an adapter. The answer for 413 is always plain text.
 */
export interface ErrorAnswers<Received> {
  /**
   * Answers a request that stored nothing, because another one ended its session in between, gave it a new id, or took
   * the same value. The visitor may try again.
   */
  readonly gone?: ((request: Received, error: SessionGoneError) => Response | Promise<Response>) | undefined;
  /** Answers a request whose session could not be read or stored, because the store fails or is full. */
  readonly unavailable?:
    | ((request: Received, error: SessionStoreError | StoreFullError) => Response | Promise<Response>)
    | undefined;
}

/** The rules of the options. */
export const ERROR_ANSWERS: Readonly<Record<keyof ErrorAnswers<unknown>, Rule>> = {
  gone: FUNCTION,
  unavailable: FUNCTION,
};

/** The answer to an error: the program's own if it has one for this error, or else the one in plain text. */
export async function answerTo<Received>(
  request: Received,
  error: SessionError,
  { gone, unavailable }: ErrorAnswers<Received>,
): Promise<Response> {
  if (error instanceof SessionGoneError) return await gone?.(request, error) ?? error.getResponse();
  if (error.statusCode !== 503) return error.getResponse();
  return await unavailable?.(request, error as SessionStoreError | StoreFullError) ?? error.getResponse();
}
