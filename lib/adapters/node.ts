/**
 * Sessions in Express, Fastify and other programs over `node:http`: a middleware, and a function that opens the session
 * of a request.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerTo, ERROR_ANSWERS, type ErrorAnswers } from "../error_answers.ts";
import { SessionError } from "../errors.ts";
import { giveUpCommit, type Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";
import { addSessionHeaders } from "../_headers.ts";
import { checkOptions, MANAGER } from "../_options.ts";
import { holdBack, type Outcome, send } from "./_held_response.ts";
import { LateOpenError, noMiddlewareError, Opener } from "../_opener.ts";

/** Sessions over `node:http`. */
export interface NodeSessions<Data extends object> {
  /**
   * The middleware. Use it before the routes. If a request opens its session, the session is stored before the answer
   * is sent.
   */
  readonly middleware: (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
  /** Opens the session of a request. A second call returns the same session. In Fastify give it `request.raw`. */
  readonly open: (request: IncomingMessage) => Promise<Session<Data>>;
}

/**
 * Makes a middleware for Express 5, for Fastify with `@fastify/middie`, and for plain `node:http`. A request that opens
 * no session costs nothing, and its answer stays cacheable. If the answer has status 500 or more, as after a handler
 * that threw, nothing is stored. If the session cannot be stored, an answer with status 409, 413 or 503 replaces the
 * handler's. If it cannot be opened, the program's answer stays, unless its status is 500, or 503 with the option
 * `unavailable`: then the answer with 503 replaces it.
 *
 * @param sessions The manager.
 * @param options Your own answers for 409 and 503, in place of plain text.
 * @throws {TypeError} if the first argument is not a manager, or an option is unknown or invalid.
 *
 * @example
 * ```ts ignore
 * import express from "npm:express@5";
 * import { MemoryStore, SessionManager } from "sessions";
 * import { nodeSessions } from "sessions/node";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const manager = new SessionManager<{ visits: number }>({ store: new MemoryStore(), keys });
 * const { middleware, open } = nodeSessions(manager);
 *
 * const app = express();
 * app.use(middleware);
 * app.get("/", async (request, response) => {
 *   const session = await open(request);
 *   session.update("visits", (visits = 0) => visits + 1);
 *   response.send(`Visit ${session.get("visits")}`);
 * });
 * app.listen(8000);
 * ```
 */
export function nodeSessions<Data extends object, Received extends IncomingMessage = IncomingMessage>(
  sessions: SessionManager<Data>,
  options: ErrorAnswers<Received> = {},
): NodeSessions<Data> {
  checkOptions("Cannot make a middleware", { sessions }, { sessions: MANAGER });
  checkOptions("Cannot make a middleware", options, ERROR_ANSWERS);
  const openers = new WeakMap<IncomingMessage, Opener<Data>>();

  /** The answer to an error of the library. */
  const answer = (request: IncomingMessage, error: SessionError) =>
    answerTo(request as Received, error, options).catch(unexpected);

  /** Stores the session. Returns the function that adds its headers to the answer, or another answer. */
  async function finish(request: IncomingMessage, opener: Opener<Data>, status: number): Promise<Outcome> {
    try {
      const session = await opener.sessionToCommit();
      if (session === undefined) {
        const { failure } = opener;
        if (!(failure instanceof SessionError)) return () => {};
        // A framework answers with 500 to an error that it does not know. Express and Fastify take its `statusCode`.
        const isReplaced = status === 500 || (status === failure.statusCode && options.unavailable !== undefined);
        return isReplaced ? await answer(request, failure) : retryAfter(failure, status);
      }
      if (status >= 500) {
        giveUpCommit(session);
        return () => {};
      }
      const cookies = await sessions.save(session);
      return (headers) => addSessionHeaders(headers, cookies, sessions.registrationHeader(session));
    } catch (error) {
      return error instanceof SessionError ? await answer(request, error) : unexpected(error);
    }
  }

  /**
   * Answers a request whose handler did not catch an error of the library. If the answer has begun, its connection
   * ends. Throws any other error again.
   */
  function answerError(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    if (error instanceof SessionError && !response.headersSent) {
      openers.get(request)?.drop();
      void answer(request, error).then((made) => send(response, made));
    } else if (error instanceof SessionError || error instanceof LateOpenError) {
      console.error(error);
      if (!response.writableEnded) response.destroy();
    } else {
      throw error;
    }
  }

  return {
    middleware(request, response, next) {
      // If the middleware is used twice, the first one stores.
      if (openers.has(request)) return next();
      const given = requestOf(request);
      const bound = sessions.answerBound(given);
      if (bound !== undefined) return void bound.catch(unexpected).then((answer) => send(response, answer));
      let isReplaced = false;
      const opener = new Opener(async () => {
        if (response.headersSent) throw new LateOpenError();
        // For a WebSocket, Socket.IO calls a middleware with an object that is not an HTTP answer.
        if (typeof response.on !== "function") {
          throw new Error(
            "Cannot open a session here: no HTTP answer follows; use sessions.open(), save() and follow()",
          );
        }
        holdBack(response, async (status) => {
          const outcome = await finish(request, opener, status);
          isReplaced = outcome instanceof Response;
          return outcome;
        });
        return await sessions.open(given);
      });
      openers.set(request, opener);
      const fail = (error: unknown) => {
        // If another answer replaces this one, a pipeline into it ends early. That is not an error.
        if (isReplaced && (error as { code?: unknown } | undefined)?.code === "ERR_STREAM_PREMATURE_CLOSE") return;
        answerError(error, request, response);
      };
      try {
        // In frameworks `next` returns nothing. A program without one may give an async function, which nothing awaits.
        const handled: unknown = next();
        if (handled instanceof Promise) handled.catch(fail);
      } catch (error) {
        fail(error);
      }
    },
    open(request) {
      const opener = openers.get(request);
      if (opener === undefined) throw noMiddlewareError(", and in Fastify give it request.raw");
      return opener.open();
    },
  };
}

/** The answer to an error that the program cannot handle, because its handler has already answered. */
function unexpected(error: unknown): Response {
  console.error(error);
  return new Response("Internal Server Error\n", { status: 500, headers: { "cache-control": "no-store" } });
}

/**
 * The request in the form that the manager needs. Its headers are made only if the manager reads them. For a
 * middleware that is mounted at a path, Express removes the path from `url`. The browser sees `originalUrl`.
 */
function requestOf(
  { headers, method = "GET", url = "/", originalUrl = url }: IncomingMessage & { originalUrl?: string },
) {
  return {
    method,
    url: `http://${headers.host ?? "localhost"}${originalUrl}`,
    get headers() {
      const names = ["cookie", "secure-session-response", "sec-secure-session-id"];
      return new Headers(names.flatMap((name) => name in headers ? [[name, String(headers[name])]] : []));
    },
  };
}

/** Adds `Retry-After` to the handler's own answer to a failed `open`, if it has the failure's status, and no time. */
function retryAfter(failure: SessionError, status: number): Outcome {
  const plain = failure.getResponse();
  const seconds = plain.headers.get("retry-after");
  return (headers) => {
    if (status !== plain.status || seconds === null) return;
    if (headers.get("retry-after") === null) headers.set("retry-after", seconds);
  };
}
