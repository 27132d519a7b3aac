/** HttpError: a handler throws it to answer with the status of a failure. */

/** An error with an HTTP status. If a handler throws it, the app answers with a page that shows the message. */
export class HttpError extends Error {
  override name = "HttpError";
  /** The HTTP status. */
  readonly status: number;
  /** Headers that the status needs. */
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param status The HTTP status.
   * @param message The message to the visitor.
   * @param headers Headers that the status needs.
   */
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}
