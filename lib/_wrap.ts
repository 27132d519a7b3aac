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
   * Answers a request whose session another request ended in between. Nothing was stored; the visitor may try again.
   */
  readonly gone?: ((request: Request, error: SessionGoneError) => Response | Promise<Response>) | undefined;
  /** Answers a request whose session could not be read or stored. */
  readonly unavailable?:
    | ((request: Request, error: SessionStoreError | StoreFullError) => Response | Promise<Response>)
    | undefined;
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
  return async (request, ...rest) => {
    const bound = sessions.answerBound(request);
    if (bound !== undefined) return await bound;
    const opener = new Opener(() => sessions.open(request));
    let withheld: Response | undefined;
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
    }
  };
}

async function answerTo(request: Request, error: SessionError, options: WrapOptions): Promise<Response> {
  const { gone, unavailable } = options;
  if (error instanceof SessionGoneError) return await gone?.(request, error) ?? error.getResponse();
  if (error.statusCode !== 503) return error.getResponse();
  return await unavailable?.(request, error as SessionStoreError | StoreFullError) ?? error.getResponse();
}
