/** HttpError: what a handler throws to answer with another status than success. */

/** An answer other than success, thrown by a handler and made into a page by the app. */
export class HttpError extends Error {
  override name = "HttpError";
  /** The HTTP status. */
  readonly status: number;
  /** Headers that the status calls for. */
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param status The HTTP status.
   * @param message What to tell the visitor.
   * @param headers Headers that the status calls for.
   */
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}
