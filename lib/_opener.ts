/** Opener: what the adapters have in common. Each request has one session, opened when it is first asked for. */
import type { Session } from "./session.ts";

/** The session of one request. */
export class Opener<Data extends object> {
  #open: () => Promise<Session<Data>>;
  #opened: Promise<Session<Data>> | undefined;
  #isAnswered = false;

  /** @param open Opens the session. */
  constructor(open: () => Promise<Session<Data>>) {
    this.#open = open;
  }

  /** Opens the session, once. */
  open(): Promise<Session<Data>> {
    if (this.#opened === undefined && this.#isAnswered) {
      throw new Error("Cannot open a session after its request was answered: open it before answering");
    }
    return this.#opened ??= this.#open();
  }

  /** The session to commit with the answer; `undefined` if none was opened, or the handler dealt with its failure. */
  async answered(): Promise<Session<Data> | undefined> {
    this.#isAnswered = true;
    try {
      return await this.#opened;
    } catch {
      return undefined;
    }
  }
}

/** What to throw where a session is asked for on a request that passed no middleware. */
export function noMiddleware(): Error {
  return new Error("Cannot open a session: the request did not pass the middleware; use it before the routes");
}
