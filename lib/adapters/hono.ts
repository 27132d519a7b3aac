/**
 * Sessions in Hono: a middleware, and a function that opens the session of a context.
 *
 * @module
 */
import { answerTo, ERROR_ANSWERS, type ErrorAnswers, isSentDespite } from "../error_answers.ts";
import { SessionError } from "../errors.ts";
import { replaceAnswer } from "../_headers.ts";
import { noMiddlewareError, Opener } from "../_opener.ts";
import { checkOptions, MANAGER } from "../_options.ts";
import type { Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";

/** The parts of a Hono `Context` that are used here. */
export interface HonoContext {
  /** The request. */
  readonly req: { readonly raw: Request };
  /** The error that a handler threw. */
  readonly error: Error | undefined;
  /** Whether there is an answer. */
  readonly finalized: boolean;
  /** The answer, if there is one. */
  res: Response | undefined;
}

/** Sessions in Hono. */
export interface HonoSessions<Data extends object> {
  /** The middleware. Use it before the routes. It commits each session that a request opened. */
  readonly middleware: (context: HonoContext, next: () => Promise<void>) => Promise<void>;
  /** Opens the session of a request. A second call returns the same session. */
  readonly open: (context: HonoContext) => Promise<Session<Data>>;
}

/**
 * Makes a middleware for Hono. A request that opens no session, such as one for a static file, costs nothing, and its
 * answer stays cacheable. If a handler throws, nothing is stored and the error goes to `onError`. An `HTTPException` is
 * an answer, so the session is stored. The middleware answers an error of the library with 409, 413 or 503, even if
 * there is an `onError`.
 *
 * @param sessions The manager.
 * @param options Your own answers for 409 and 503, in place of plain text.
 * @throws {TypeError} if the first argument is not a manager, or an option is unknown or invalid.
 *
 * @example
 * ```ts
 * import { Hono } from "npm:hono@4.13.19";
 * import { MemoryStore, SessionManager } from "sessions";
 * import { honoSessions } from "sessions/hono";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const manager = new SessionManager<{ visits: number }>({ store: new MemoryStore(), keys });
 * const { middleware, open } = honoSessions(manager);
 *
 * const app = new Hono();
 * app.use(middleware);
 * app.get("/", async (c) => {
 *   const session = await open(c);
 *   session.update("visits", (visits = 0) => visits + 1);
 *   return c.text(`Visit ${session.get("visits")}`);
 * });
 *
 * // Deno.serve(app.fetch);
 * assertEquals(await (await app.request("/")).text(), "Visit 1");
 * ```
 */
export function honoSessions<Data extends object, Context extends HonoContext = HonoContext>(
  sessions: SessionManager<Data>,
  options: ErrorAnswers<Context> = {},
): HonoSessions<Data> {
  checkOptions("Cannot make a middleware", { sessions }, { sessions: MANAGER });
  checkOptions("Cannot make a middleware", options, ERROR_ANSWERS);
  // Each opener has two keys. One is the context, because a middleware may replace the request. The other is the
  // request, because one Hono app may pass it to another.
  const openers = new WeakMap<object, Opener<Data>>();

  /** Commits the session. Returns the answer to send, or `undefined` to send the handler's answer unchanged. */
  async function finish(context: HonoContext, opener: Opener<Data>): Promise<Response | undefined> {
    const { error, finalized } = context;
    if (error instanceof SessionError) throw error;
    // An HTTPException has an answer. After any other error nothing is stored. Hono reports a missing answer itself.
    if (!finalized || (error !== undefined && !("getResponse" in error))) return undefined;
    const session = await opener.sessionToCommit();
    return session === undefined ? undefined : await sessions.commit(session, context.res!);
  }

  return {
    async middleware(context, next) {
      const request = context.req.raw;
      // If the middleware is used twice, the outer one commits.
      const outer = openers.get(request);
      if (outer !== undefined) {
        openers.set(context, outer);
        return await next();
      }
      const bound = sessions.answerBound(request);
      if (bound !== undefined) {
        context.res = await bound;
        return;
      }
      const opener = new Opener(() => sessions.open(request));
      for (const key of [context, request]) openers.set(key, opener);
      let answer: Response | undefined;
      try {
        // Hono catches an `Error` for `onError`. Any other value that a handler throws is thrown by `next`.
        await next();
        answer = await finish(context, opener);
      } catch (error) {
        if (isSentDespite(error, context.finalized ? context.res : undefined)) return;
        if (!(error instanceof SessionError)) throw error;
        const withheld = context.res!;
        // A program may make its own answer by the context, which adds the headers of the answer that it has.
        setAnswer(context, replaceAnswer(withheld, new Response()));
        answer = replaceAnswer(withheld, await answerTo(context as Context, error, options));
      } finally {
        opener.drop();
        // A test may send the same `Request` again.
        openers.delete(request);
      }
      if (answer !== undefined) setAnswer(context, answer);
    },
    open(context) {
      const opener = openers.get(context) ?? openers.get(context?.req?.raw);
      if (opener === undefined) throw noMiddlewareError(", and give `open` the context");
      return opener.open();
    },
  };
}

/** Replaces the answer. Without `undefined` in between, Hono would mix the headers of both answers. */
function setAnswer(context: HonoContext, answer: Response): void {
  context.res = undefined;
  context.res = answer;
}
