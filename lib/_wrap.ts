/** Wrap: a handler with a session around one that takes a request, and its answers when the session cannot be had. */
import { SessionGoneError, SessionStoreError, StoreFullError } from "./errors.ts";
import type { Session } from "./session.ts";

/** Opens the session of the request that is being handled; asked twice, it gives the same one. */
export type Open<Data extends object> = () => Promise<Session<Data>>;

/** What a wrapped handler needs of the manager. */
interface Sessions<Data extends object> {
  open(request: Request): Promise<Session<Data>>;
  commit(session: Session<Data>, response: Response): Promise<Response>;
}

/** Other answers than plain text, for `wrap`. */
export interface WrapOptions {
  /** Answers a request whose session was ended while it was under way. Nothing was stored; the visitor may try again. */
  readonly gone?: ((request: Request, error: SessionGoneError) => Response | Promise<Response>) | undefined;
  /** Answers a request whose session could not be read or stored. */
  readonly unavailable?:
    | ((request: Request, error: SessionStoreError | StoreFullError) => Response | Promise<Response>)
    | undefined;
}

/** The handler that `wrap` makes. */
export function wrapHandler<Data extends object, Rest extends unknown[]>(
  sessions: Sessions<Data>,
  handler: (request: Request, open: Open<Data>, ...rest: Rest) => Response | Promise<Response>,
  options: WrapOptions,
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    let opened: Promise<Session<Data>> | undefined;
    let isAnswered = false;
    const open = () => {
      if (opened === undefined && isAnswered) {
        throw new Error("Cannot open a session after its request was answered: open it before answering");
      }
      return opened ??= sessions.open(request);
    };
    try {
      const response = await handler(request, open, ...rest);
      isAnswered = true;
      if (opened === undefined) return response;
      let session: Session<Data>;
      try {
        session = await opened;
      } catch {
        // The handler knows, and has answered.
        return response;
      }
      return await sessions.commit(session, response);
    } catch (error) {
      isAnswered = true;
      const { gone, unavailable } = options;
      if (error instanceof SessionGoneError) return await (gone?.(request, error) ?? error.getResponse());
      if (error instanceof StoreFullError || error instanceof SessionStoreError) {
        return await (unavailable?.(request, error) ?? error.getResponse());
      }
      throw error;
    }
  };
}

/** Adds what an answer that read a session carries: its cookies, and that it is not for caches. */
export function addSessionHeaders(headers: Headers, cookies: readonly string[]): void {
  const vary = headers.get("vary");
  if (vary === null) headers.set("vary", "Cookie");
  else if (vary !== "Cookie" && !/(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)) headers.append("vary", "Cookie");
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  for (const cookie of cookies) headers.append("set-cookie", cookie);
}
