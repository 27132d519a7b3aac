/**
 * Sessions in Oak: a middleware, and a function that opens the session of a context.
 *
 * @module
 */
import { SessionError } from "../errors.ts";
import { addSessionHeaders, replaceHeaders } from "../_headers.ts";
import { noMiddlewareError, Opener } from "../_opener.ts";
import { checkOptions, MANAGER } from "../_options.ts";
import type { Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";

/** The parts of an Oak `Context` that are used here. */
export interface OakContext {
  /** The request. */
  readonly request: { readonly headers: Headers; readonly method: string; readonly url: URL };
  /** The answer. */
  readonly response: { status: number; body: unknown; readonly headers: Headers };
}

/** Sessions in Oak. */
export interface OakSessions<Data extends object> {
  /** The middleware. Use it before the routes. It commits each session that a request opened. */
  readonly middleware: (context: OakContext, next: () => Promise<unknown>) => Promise<void>;
  /** Opens the session of a request. A second call returns the same session. */
  readonly open: (context: OakContext) => Promise<Session<Data>>;
}

/**
 * Makes a middleware for Oak. A request that opens no session costs nothing, and its answer stays cacheable. If a
 * handler throws, nothing is stored and the error goes on to Oak. The middleware answers an error of the library with
 * 409, 413 or 503.
 *
 * @param sessions The manager.
 * @throws {TypeError} if it is not a manager.
 *
 * @example
 * ```ts ignore
 * import { Application } from "jsr:@oak/oak@17";
 * import { MemoryStore, SessionManager } from "sessions";
 * import { oakSessions } from "sessions/oak";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const manager = new SessionManager<{ visits: number }>({ store: new MemoryStore(), keys });
 * const { middleware, open } = oakSessions(manager);
 *
 * const app = new Application();
 * app.use(middleware);
 * app.use(async (context) => {
 *   const session = await open(context);
 *   session.update("visits", (visits = 0) => visits + 1);
 *   context.response.body = `Visit ${session.get("visits")}`;
 * });
 * await app.listen({ port: 8000 });
 * ```
 */
export function oakSessions<Data extends object>(sessions: SessionManager<Data>): OakSessions<Data> {
  checkOptions("Cannot make a middleware", { sessions }, { sessions: MANAGER });
  const openers = new WeakMap<OakContext["request"], Opener<Data>>();
  return {
    async middleware({ request, response }, next) {
      // If the middleware is used twice, the outer one commits.
      if (openers.has(request)) return void await next();
      const { headers, method, url } = request;
      const bound = sessions.answerBound({ headers, method, url: url.href });
      if (bound !== undefined) return await replace(response, await bound);
      const opener = new Opener(() => sessions.open({ headers, url: url.href }));
      openers.set(request, opener);
      try {
        await next();
        const session = await opener.sessionToCommit();
        if (session === undefined) return;
        addSessionHeaders(response.headers, await sessions.save(session), sessions.registration(session));
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
        // Otherwise a file behind the replaced body would stay open.
        if (response.body instanceof ReadableStream) await response.body.cancel().catch(() => {});
        await replace(response, error.getResponse());
      } finally {
        opener.drop();
      }
    },
    open(context) {
      const opener = openers.get(context?.request);
      if (opener === undefined) throw noMiddlewareError(", and give `open` the context");
      return opener.open();
    },
  };
}

async function replace(response: OakContext["response"], answer: Response): Promise<void> {
  replaceHeaders(response.headers, answer.headers);
  response.status = answer.status;
  response.body = await answer.text();
}
