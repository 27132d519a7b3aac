/**
 * The errors of `open` and `commit`, each with the answer to send.
 *
 * @module
 */

/** Seconds after which to ask again. */
const RETRY_AFTER = "5";

/**
 * Thrown by `commit` when the session was ended, or got a new id, by another request meanwhile: nothing was stored.
 * `wrap` answers it 409. A page should ask again: the browser has the new id by then, or none.
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
 * await sessions.endAll("Ada"); // another request, meanwhile
 * await assertRejects(() => sessions.commit(session, new Response()), SessionGoneError);
 * ```
 */
export class SessionGoneError extends Error {
  /** The error's name. */
  override name = "SessionGoneError";
  /** The HTTP status to answer it with; Express and Fastify do so by themselves. */
  readonly statusCode: number = 409;

  /** The answer that says so in plain text; Hono gives it by itself. */
  getResponse(): Response {
    return text(409, "Your session changed while this was under way. Nothing was stored. Please try again.");
  }
}

/** Thrown by `commit` when another request took a value or a message first: nothing was stored. */
export class SessionTakenError extends SessionGoneError {
  /** The error's name. */
  override name = "SessionTakenError";
}

/**
 * Thrown by `open` and `commit` when the store fails; `cause` says why. What was asked was done completely or not at all.
 * `wrap` answers it 503.
 */
export class SessionStoreError extends Error {
  /** The error's name. */
  override name = "SessionStoreError";
  /** The HTTP status to answer it with; Express and Fastify do so by themselves. */
  readonly statusCode: number = 503;

  /** The answer that says so in plain text; Hono gives it by itself. */
  getResponse(): Response {
    return unavailable("Your session cannot be reached just now. Please try again in a moment.");
  }
}

/** Thrown by `commit` when the store already holds as many live sessions as it may. `wrap` answers it 503. */
export class StoreFullError extends Error {
  /** The error's name. */
  override name = "StoreFullError";
  /** The HTTP status to answer it with; Express and Fastify do so by themselves. */
  readonly statusCode: number = 503;

  /** The answer that says so in plain text; Hono gives it by itself. */
  getResponse(): Response {
    return unavailable("There is no room for a new session just now. Please try again in a moment.");
  }
}

function unavailable(message: string): Response {
  return text(503, message, { "retry-after": RETRY_AFTER });
}

function text(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  });
}
