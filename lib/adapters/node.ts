/**
 * Sessions in Express, Fastify and other programs over `node:http`: a middleware, and a function that opens the session
 * of a request.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { SessionGoneError, SessionStoreError, StoreFullError } from "../errors.ts";
import type { Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";
import { addSessionHeaders } from "../_wrap.ts";
import { holdBack } from "./_held_response.ts";
import { noMiddleware, Opener } from "../_opener.ts";

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
 * nothing is stored. What the session itself fails with is answered 409 or 503 in place of the handler's answer.
 *
 * @param sessions The manager.
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
  const openers = new WeakMap<IncomingMessage, Opener<Data>>();

  /** Stores the session, and gives the answer its headers or takes another one's place. */
  async function finish(opener: Opener<Data>, response: ServerResponse): Promise<Response | undefined> {
    const session = await opener.answered();
    if (session === undefined || response.statusCode >= 500) return undefined;
    try {
      const headers = new Headers();
      for (const name of ["vary", "cache-control"]) {
        const value = response.getHeader(name);
        if (value !== undefined) headers.set(name, String(value));
      }
      addSessionHeaders(headers, await sessions.save(session));
      for (const name of ["vary", "cache-control"]) response.setHeader(name, headers.get(name)!);
      for (const cookie of headers.getSetCookie()) response.appendHeader("set-cookie", cookie);
      return undefined;
    } catch (error) {
      if (
        error instanceof SessionGoneError || error instanceof SessionStoreError || error instanceof StoreFullError
      ) return error.getResponse();
      console.error(error);
      return new Response("Internal Server Error\n", { status: 500, headers: { "cache-control": "no-store" } });
    }
  }

  return {
    middleware(request, response, next) {
      const { headers: { cookie, host = "localhost" }, url = "/" } = request;
      const opener = new Opener(() => {
        holdBack(response, () => finish(opener, response));
        const headers = new Headers(cookie === undefined ? {} : { cookie });
        return sessions.open({ headers, url: `http://${host}${url}` });
      });
      openers.set(request, opener);
      next();
    },
    open(request) {
      const opener = openers.get(request);
      if (opener === undefined) throw noMiddleware();
      return opener.open();
    },
  };
}
