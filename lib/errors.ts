/**
 * The errors of the library. Each one makes a response for the visitor.
 *
 * @module
 */

/** Seconds after which the visitor should try again. */
const RETRY_AFTER = "5";

/**
 * The base of all errors that have a response. `wrap` and the adapters send that response in place of the handler's. If
 * such an error reaches a framework, Express and Fastify read its `statusCode`, and Hono calls its `getResponse`.
 *
 * @example
 * ```ts
 * import { SessionError, SessionGoneError } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * function answer(error: unknown): Response {
 *   if (error instanceof SessionError) return error.getResponse();
 *   throw error;
 * }
 * assertEquals(answer(new SessionGoneError("It was ended")).status, 409);
 * ```
 */
export abstract class SessionError extends Error {
  /** The HTTP status of the response. */
  abstract readonly statusCode: number;
  /** What the response tells the visitor. */
  protected abstract readonly explanation: string;

  /** A new response in plain text. If its status is 503, it has `Retry-After`. */
  getResponse(): Response {
    const headers = new Headers({ "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
    if (this.statusCode === 503) headers.set("retry-after", RETRY_AFTER);
    return new Response(`${this.explanation}\n`, { status: this.statusCode, headers });
  }
}

/**
 * Thrown by `commit`, and by a followed session, if the session has ended in between or got a new id: nothing was
 * stored. The response is 409. The visitor can try again: by then the browser has the new id, or its cookie counts as
 * none.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionGoneError, SessionManager } from "sessions";
 * import { cookieFor } from "sessions/testing";
 * import { assertRejects } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager<{ theme: string }>({ store: new MemoryStore(), keys });
 * const cookie = await cookieFor(sessions, { theme: "dark" }, { user: "Ada" });
 * const session = await sessions.open(new Request("http://localhost/", { headers: { cookie } }));
 * session.set("theme", "light");
 * await sessions.endAll("Ada"); // another request, in between
 * await assertRejects(() => sessions.commit(session, new Response()), SessionGoneError);
 * ```
 */
export class SessionGoneError extends SessionError {
  /** The error's name. */
  override name = "SessionGoneError";
  /** 409 Conflict. */
  readonly statusCode = 409;
  /** What the response tells the visitor. */
  protected readonly explanation =
    "Your session changed while this was under way. Nothing was stored. Please try again.";
}

/** Thrown by `commit` if another request took a value or a message first: nothing was stored. */
export class SessionTakenError extends SessionGoneError {
  /** The error's name. */
  override name = "SessionTakenError";
}

/**
 * Thrown if the store fails; `cause` has the store's error, if it threw one. Each operation of the store was done
 * completely or not at all, but `endAll` and a log-in with `most` need several. The response is 503.
 */
export class SessionStoreError extends SessionError {
  /** The error's name. */
  override name = "SessionStoreError";
  /** 503 Service Unavailable. */
  readonly statusCode = 503;
  /** What the response tells the visitor. */
  protected readonly explanation = "Your session cannot be reached just now. Please try again in a moment.";
}

/** Thrown by `commit` if the session is new and the store has its maximum of live sessions. The response is 503. */
export class StoreFullError extends SessionError {
  /** The error's name. */
  override name = "StoreFullError";
  /** 503 Service Unavailable. */
  readonly statusCode = 503;
  /** What the response tells the visitor. */
  protected readonly explanation = "There is no room for a new session just now. Please try again in a moment.";
}

/** Thrown by `commit` if a session is larger than the store can keep: nothing was stored. The response is 413. */
export class RecordTooLargeError extends SessionError {
  /** The error's name. */
  override name = "RecordTooLargeError";
  /** 413 Content Too Large. */
  readonly statusCode = 413;
  /** What the response tells the visitor. */
  protected readonly explanation = "This is more than your session can keep. Nothing was stored.";
}
