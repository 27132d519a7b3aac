/**
 * Sessions in Express, Fastify and other programs over `node:http`: a middleware, and a function that opens the session
 * of a request.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { SessionError } from "../errors.ts";
import type { Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";
import { addSessionHeaders } from "../_headers.ts";
import { checkOptions, MANAGER } from "../_options.ts";
import { holdBack, type Outcome, send } from "./_held_response.ts";
import { LateOpenError, noMiddleware, Opener } from "../_opener.ts";

/** Sessions over `node:http`. */
export interface NodeSessions<Data extends object> {
  /** To be used before the routes: stores the session of a request that opened it before the answer leaves. */
  readonly middleware: (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
  /** Opens the session of a request; asked twice, it gives the same one. In Fastify it takes `request.raw`. */
  readonly open: (request: IncomingMessage) => Promise<Session<Data>>;
}

/**
 * Makes a middleware for Express 5, for Fastify with `@fastify/middie`, and for plain `node:http`. A request that opens
 * no session costs nothing and stays cacheable. With an answer of status 500 or more, as after a handler that threw,
 * nothing is stored. An error of the library is answered 409, 413 or 503 in place of the handler's answer.
 *
 * @param sessions The manager.
 * @throws {TypeError} if it is no manager.
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
export function nodeSessions<Data extends object>(sessions: SessionManager<Data>): NodeSessions<Data> {
  checkOptions("Cannot make a middleware", { sessions }, { sessions: MANAGER });
  const openers = new WeakMap<IncomingMessage, Opener<Data>>();

  /** Stores the session; returns what the answer needs then, or another answer. */
  async function finish(opener: Opener<Data>, status: number): Promise<Outcome> {
    try {
      const session = await opener.answered();
      if (session === undefined) return afterFailure(opener.failure, status);
      if (status >= 500) return () => {};
      const cookies = await sessions.save(session);
      return (headers) => addSessionHeaders(headers, cookies, sessions.registration(session));
    } catch (error) {
      if (error instanceof SessionError) return error.getResponse();
      return unexpected(error);
    }
  }

  return {
    middleware(request, response, next) {
      // Used twice, the first one stores.
      if (openers.has(request)) return next();
      const given = requestOf(request);
      const bound = sessions.answerBound(given);
      if (bound !== undefined) return void bound.catch(unexpected).then((answer) => send(response, answer));
      let isReplaced = false;
      const opener = new Opener(async () => {
        if (response.headersSent) throw new LateOpenError();
        // Socket.IO gives a middleware such an object for a WebSocket.
        if (typeof response.on !== "function") {
          throw new Error(
            "Cannot open a session here: no HTTP answer follows; use sessions.open(), save() and follow()",
          );
        }
        holdBack(response, async (status) => {
          const outcome = await finish(opener, status);
          isReplaced = outcome instanceof Response;
          return outcome;
        });
        return await sessions.open(given);
      });
      openers.set(request, opener);
      const fail = (error: unknown) => {
        // A pipeline into the answer that another one replaced ends early.
        if (isReplaced && (error as { code?: unknown } | undefined)?.code === "ERR_STREAM_PREMATURE_CLOSE") return;
        answerError(error, opener, response);
      };
      try {
        // Frameworks return nothing here. A program without one may give an async function, which nothing else awaits.
        const handled: unknown = next();
        if (handled instanceof Promise) handled.catch(fail);
      } catch (error) {
        fail(error);
      }
    },
    open(request) {
      const opener = openers.get(request);
      if (opener === undefined) throw noMiddleware(", and in Fastify give it request.raw");
      return opener.open();
    },
  };
}

/** The answer to an error that is not the program's to handle: its handler has answered. */
function unexpected(error: unknown): Response {
  console.error(error);
  return new Response("Internal Server Error\n", { status: 500, headers: { "cache-control": "no-store" } });
}

/** The request, as the manager takes it. The headers are made when they are asked for: most requests open no session. */
function requestOf({ headers, method = "GET", url = "/" }: IncomingMessage) {
  return {
    method,
    url: `http://${headers.host ?? "localhost"}${url}`,
    get headers() {
      const names = ["cookie", "secure-session-response", "sec-secure-session-id"];
      return new Headers(names.flatMap((name) => name in headers ? [[name, String(headers[name])]] : []));
    },
  };
}

/** What the answer of a handler needs that could not open its session, or did not try. */
function afterFailure(failure: unknown, status: number): Outcome {
  if (!(failure instanceof SessionError)) return () => {};
  const answer = failure.getResponse();
  // The framework's word for an error that it does not know.
  if (status === 500) return answer;
  return (headers) => {
    const retryAfter = answer.headers.get("retry-after");
    if (status === answer.status && retryAfter !== null) headers.set("retry-after", retryAfter);
  };
}

/** Answers for a handler that let an error of the library through. Every other error is the program's, as ever. */
function answerError<Data extends object>(error: unknown, opener: Opener<Data>, response: ServerResponse): void {
  if (error instanceof SessionError && !response.headersSent) {
    opener.drop();
    void send(response, error.getResponse());
  } else if (error instanceof SessionError || error instanceof LateOpenError) {
    console.error(error);
    if (!response.writableEnded) response.destroy();
  } else {
    throw error;
  }
}
