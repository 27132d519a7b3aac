/** Wrap: adds the session to a handler, and answers for it if the session cannot be opened or stored. */
import { answerTo, ERROR_ANSWERS, type ErrorAnswers, isSentDespite } from "./error_answers.ts";
import { SessionError } from "./errors.ts";
import { replaceAnswer } from "./_headers.ts";
import { Opener } from "./_opener.ts";
import { checkOptions } from "./_options.ts";
import type { Session } from "./session.ts";

/** Opens the session of the request. Every call returns the same session. */
export type Open<Data extends object> = () => Promise<Session<Data>>;

/** The methods of the manager that a wrapped handler needs. */
interface Sessions<Data extends object> {
  answerBound(request: Request): Promise<Response> | undefined;
  open(request: Request): Promise<Session<Data>>;
  commit(session: Session<Data>, response: Response): Promise<Response>;
}

/** The openers of the requests that wrapped handlers are answering, by manager. */
const openersByManager = new WeakMap<object, Map<Request, unknown>>();

function openersOf<Data extends object>(sessions: Sessions<Data>): Map<Request, Opener<Data>> {
  const openers = openersByManager.get(sessions) ?? new Map<Request, unknown>();
  openersByManager.set(sessions, openers);
  return openers as Map<Request, Opener<Data>>;
}

/** Makes the handler that `wrap` returns. */
export function wrapHandler<Data extends object, Rest extends unknown[]>(
  sessions: Sessions<Data>,
  handler: (request: Request, open: Open<Data>, ...rest: Rest) => Response | Promise<Response>,
  options: ErrorAnswers<Request>,
): (request: Request, ...rest: Rest) => Promise<Response> {
  checkOptions("Cannot wrap a handler", options, ERROR_ANSWERS);
  if (typeof handler !== "function") {
    throw new TypeError(`Cannot wrap a handler: needed a function, received ${typeof handler}`);
  }
  const openers = openersOf(sessions);
  return async (request, ...rest) => {
    // If the handler of another `wrap` called this one, the outer one commits.
    const outer = openers.get(request);
    if (outer !== undefined) return await handler(request, () => outer.open(), ...rest);
    const bound = sessions.answerBound(request);
    if (bound !== undefined) return await bound;
    const opener = new Opener(() => sessions.open(request));
    let withheld: Response | undefined;
    openers.set(request, opener);
    try {
      const response = await handler(request, () => opener.open(), ...rest);
      const session = await opener.sessionToCommit();
      if (session === undefined) return response;
      withheld = response;
      return await sessions.commit(session, response);
    } catch (error) {
      opener.drop();
      if (isSentDespite(error, withheld)) return withheld;
      if (!(error instanceof SessionError)) throw error;
      const answer = await answerTo(request, error, options);
      return withheld === undefined ? answer : replaceAnswer(withheld, answer);
    } finally {
      openers.delete(request);
    }
  };
}
