/** Opener: opens the session of one request at the first call of `open`. `wrap` and the adapters share it. */
import { expectCommit, giveUpCommit, type Session } from "./session.ts";

/** Thrown if a session is first opened after its answer has begun: its cookie could not be sent any more. */
export class LateOpenError extends Error {
  constructor() {
    super("Cannot open a session after its answer has begun: open it before answering");
  }
}

/** The session of one request. */
export class Opener<Data extends object> {
  #open: () => Promise<Session<Data>>;
  #opened: Promise<Session<Data>> | undefined;
  #isAnswered = false;
  #failure: unknown;

  /** @param open Opens the session. */
  constructor(open: () => Promise<Session<Data>>) {
    this.#open = open;
  }

  /** Opens the session, once. It rejects and never throws, because a timer may call it, outside of every `try`. */
  open(): Promise<Session<Data>> {
    if (this.#opened !== undefined) return this.#opened;
    this.#opened = this.#isAnswered ? Promise.reject(new LateOpenError()) : this.#open();
    // The rejection is handled here, because a handler that does not await `open` must not end the process.
    this.#opened.then(expectCommit, (error) => this.#failure = error);
    return this.#opened;
  }

  /** The error of `open`, if it failed, until `drop`. It is known when `sessionToCommit` has resolved. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Called when the handler has answered: from now on, a first `open` rejects.
   *
   * @returns The session to commit with the answer; `undefined` if none was opened, or its opening failed.
   */
  async sessionToCommit(): Promise<Session<Data> | undefined> {
    this.#isAnswered = true;
    try {
      return await this.#opened;
    } catch {
      return undefined;
    }
  }

  /** Drops the session. If it was not committed by now, it is never stored. */
  drop(): void {
    this.#isAnswered = true;
    this.#opened?.then(giveUpCommit, () => {});
    this.#opened = this.#failure = undefined;
  }
}

/**
 * The error for a request that did not pass the middleware before its session was opened.
 *
 * @param hint Another possible cause, appended to the message.
 */
export function noMiddlewareError(hint: string): Error {
  return new Error(`Cannot open a session: the request did not pass the middleware; use it before the routes${hint}`);
}
