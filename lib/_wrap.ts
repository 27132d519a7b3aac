/** Wrap: adds the session to a handler, and answers for it if the session cannot be opened or stored. */
import { SessionError, SessionGoneError, type SessionStoreError, type StoreFullError } from "./errors.ts";
import { replaceAnswer } from "./_headers.ts";
import { Opener } from "./_opener.ts";
import { checkOptions, FUNCTION } from "./_options.ts";
import type { Session } from "./session.ts";

/** Opens the session of the request. Every call returns the same session. */
export type Open<Data extends object> = () => Promise<Session<Data>>;

/** The methods of the manager that a wrapped handler needs. */
interface Sessions<Data extends object> {
  answerBound(request: Request): Promise<Response> | undefined;
  open(request: Request): Promise<Session<Data>>;
  commit(session: Session<Data>, response: Response): Promise<Response>;
}

/** The answers of `wrap` that replace the ones in plain text. */
export interface WrapOptions {
  /**
   * Answers a request that stored nothing, because another one ended its session in between, gave it a new id, or took
   * the same value. The visitor may try again.
   */
  readonly gone?: ((request: Request, error: SessionGoneError) => Response | Promise<Response>) | undefined;
  /** Answers a request whose session could not be read or stored, because the store fails or is full. */
  readonly unavailable?:
    | ((request: Request, error: SessionStoreError | StoreFullError) => Response | Promise<Response>)
    | undefined;
}

/** The openers of the requests that wrapped handlers are answering, by manager. */
const openersByManager = new WeakMap<object, WeakMap<Request, unknown>>();

function openersOf<Data extends object>(sessions: Sessions<Data>): WeakMap<Request, Opener<Data>> {
  const openers = openersByManager.get(sessions) ?? new WeakMap<Request, unknown>();
  openersByManager.set(sessions, openers);
  return openers as WeakMap<Request, Opener<Data>>;
}

/** Makes the handler that `wrap` returns. */
export function wrapHandler<Data extends object, Rest extends unknown[]>(
  sessions: Sessions<Data>,
  handler: (request: Request, open: Open<Data>, ...rest: Rest) => Response | Promise<Response>,
  options: WrapOptions,
): (request: Request, ...rest: Rest) => Promise<Response> {
  checkOptions("Cannot wrap a handler", options, { gone: FUNCTION, unavailable: FUNCTION });
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
      if (!(error instanceof SessionError)) throw error;
      const answer = await answerTo(request, error, options);
      return withheld === undefined ? answer : replaceAnswer(withheld, answer);
    } finally {
      openers.delete(request);
    }
  };
}

async function answerTo(request: Request, error: SessionError, options: WrapOptions): Promise<Response> {
  const { gone, unavailable } = options;
  if (error instanceof SessionGoneError) return await gone?.(request, error) ?? error.getResponse();
  if (error.statusCode !== 503) return error.getResponse();
  return await unavailable?.(request, error as SessionStoreError | StoreFullError) ?? error.getResponse();
}
