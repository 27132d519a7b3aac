/**
 * ErrorAnswers: the answers of a program to requests whose session could not be opened or stored.
 *
 * @module
 */
import { SessionError, SessionGoneError, type SessionStoreError, type StoreFullError } from "./errors.ts";
import { checkResponse } from "./_headers.ts";
import { FUNCTION, type Rule } from "./_options.ts";

/**
 * The answers that replace those in plain text, for `wrap` and the adapters. The request is a `Request` for `wrap`, and
 * what the framework's handlers get for an adapter. The content of an answer is read before it is sent. The answer gets
 * `Cache-Control: no-store` unless it has a `Cache-Control`. A function may return the same answer again. The answer
 * for 413 is always plain text.
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

/**
 * Whether an answer is sent although its commit failed. An upgrade to a WebSocket is, because Deno otherwise ends the
 * whole server. The signal of a followed session aborts with the error. An error of the program is logged, because no
 * caller gets it.
 */
export function isSentDespite(error: unknown, response: Response | undefined): response is Response {
  if (response?.status !== 101) return false;
  if (!(error instanceof SessionError)) console.error(error);
  return true;
}

/**
 * The answer to an error: the program's own if it has one for this error, or else the one in plain text.
 *
 * @throws {TypeError} if the program's own answer cannot be sent.
 * @throws The error of the program's function, or of the answer's body.
 */
export async function answerTo<Received>(
  request: Received,
  error: SessionError,
  options: ErrorAnswers<Received>,
): Promise<Response> {
  const own = await ownAnswer(request, error, options);
  if (!own) return error.getResponse();
  checkResponse(own);
  // The program may give the same answer again, so its body stays unread. A clone is not sent: its `cancel` would wait
  // until the program's answer is cancelled, too. A blob keeps the `Content-Type` of a string, also in Bun.
  const content = await own.clone().blob();
  const { status, statusText } = own;
  const headers = new Headers(own.headers);
  // Otherwise the `Cache-Control` of the withheld answer would stay, and a cache could send the error to every visitor.
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  return new Response(content.size > 0 ? content : null, { status, statusText, headers });
}

function ownAnswer<Received>(
  request: Received,
  error: SessionError,
  { gone, unavailable }: ErrorAnswers<Received>,
): Response | Promise<Response> | undefined {
  if (error instanceof SessionGoneError) return gone?.(request, error);
  return error.statusCode === 503 ? unavailable?.(request, error as SessionStoreError | StoreFullError) : undefined;
}
