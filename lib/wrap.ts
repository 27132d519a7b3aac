/** Wrap: a handler with a session around one that takes a request, and its answers when the session cannot be had. */
import { SessionGoneError, SessionStoreError } from "./errors.ts";
import type { Session } from "./session.ts";
import { StoreFullError } from "./store.ts";

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
      if (error instanceof SessionGoneError) return await (options.gone ?? wasGone)(request, error);
      if (error instanceof StoreFullError || error instanceof SessionStoreError) {
        return await (options.unavailable ?? unavailable)(request, error);
      }
      throw error;
    }
  };
}

/** Seconds after which to ask again. */
const RETRY_AFTER = "5";

/** 409: another request ended the session, or gave it a new id, or took what this one took. */
function wasGone(): Response {
  return text(409, "Your session changed while this was under way. Nothing was stored. Please try again.");
}

/** 503: the store is full, or fails. */
function unavailable(): Response {
  return text(503, "Your session cannot be reached just now. Please try again in a moment.", {
    "retry-after": RETRY_AFTER,
  });
}

function text(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  });
}
