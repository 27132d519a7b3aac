/**
 * Sessions in Oak: a middleware, and a function that opens the session of a context.
 *
 * @module
 */
import { answerTo, ERROR_ANSWERS, type ErrorAnswers } from "../error_answers.ts";
import { SessionError } from "../errors.ts";
import { addSessionHeaders, copyOf, replaceAnswer, replaceHeaders } from "../_headers.ts";
import { noMiddlewareError, Opener } from "../_opener.ts";
import { checkOptions, MANAGER } from "../_options.ts";
import { type Session, stateOf } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";

/** The parts of an Oak `Context` that are used here. */
export interface OakContext {
  /** The request. */
  readonly request: { readonly headers: Headers; readonly method: string; readonly url: URL };
  /** The answer. */
  readonly response: OakResponse;
  /** Whether Oak sends the answer. It is `false` after `upgrade` and `sendEvents`, which have sent one. */
  readonly respond?: boolean | undefined;
}

/** The parts of an Oak `Response` that are used here. */
export interface OakResponse {
  /** The status. */
  status: number;
  /** The content. */
  body: unknown;
  /** The headers. */
  readonly headers: Headers;
  /** Whether it can be changed. It is `false` after `with`, which has made the `Response`. */
  readonly writable: boolean;
  /** Makes the `Response` that Oak sends. */
  toDomResponse(): Promise<unknown>;
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
 * 409, 413 or 503. After `upgrade` and `sendEvents` no cookie can be sent, so a session that needs one is not stored,
 * and the middleware throws an error.
 *
 * @param sessions The manager.
 * @param options Your own answers for 409 and 503, in place of plain text.
 * @throws {TypeError} if the first argument is not a manager, or an option is unknown or invalid.
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
export function oakSessions<Data extends object, Context extends OakContext = OakContext>(
  sessions: SessionManager<Data>,
  options: ErrorAnswers<Context> = {},
): OakSessions<Data> {
  checkOptions("Cannot make a middleware", { sessions }, { sessions: MANAGER });
  checkOptions("Cannot make a middleware", options, ERROR_ANSWERS);
  const openers = new WeakMap<OakContext["request"], Opener<Data>>();
  return {
    async middleware(context, next) {
      const { request, response } = context;
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
        if (context.respond === false) checkNeedsNoCookie(session);
        const headers = await headersOf(response);
        addSessionHeaders(headers, await sessions.save(session), sessions.registrationHeader(session));
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
        await replace(response, await answerTo(context as Context, error, options));
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

/** Refuses to store a session whose new id could not be sent. A session can be ended without a cookie. */
function checkNeedsNoCookie(session: object): void {
  const { record, changes, renews } = stateOf(session);
  if (!renews && (record !== undefined || changes.length === 0)) return;
  throw new Error(
    "Cannot store a session: its answer was sent before, without the cookie; " +
      "call sessions.open() and save() before upgrade() or sendEvents()",
  );
}

/** The headers of the answer. Oak gets a copy of an answer that `with` has made, because that one may be unchangeable. */
async function headersOf(response: OakResponse): Promise<Headers> {
  if (response.writable) return response.headers;
  const copy = copyOf(await response.toDomResponse() as Response);
  response.toDomResponse = () => Promise.resolve(copy);
  return copy.headers;
}

async function replace(response: OakResponse, answer: Response): Promise<void> {
  if (!response.writable) {
    const made = await response.toDomResponse() as Response;
    await made.body?.cancel().catch(() => {});
    const replaced = replaceAnswer(made, answer);
    response.toDomResponse = () => Promise.resolve(replaced);
    return;
  }
  // Otherwise a file behind the replaced body would stay open.
  if (response.body instanceof ReadableStream) await response.body.cancel().catch(() => {});
  replaceHeaders(response.headers, answer.headers);
  response.status = answer.status;
  response.body = answer.body === null ? null : new Uint8Array(await answer.arrayBuffer());
}
