/**
 * What a commit can fail with.
 *
 * @module
 */

/**
 * Thrown by `commit` when the session was ended, or got a new id, by another request meanwhile: nothing was stored. Answer
 * it 409; `wrap` does.
 */
export class SessionGoneError extends Error {
  /** The error's name. */
  override name = "SessionGoneError";
}

/** Thrown by `commit` when another request took a value or a message first: nothing was stored. Answer it 409. */
export class SessionTakenError extends SessionGoneError {
  /** The error's name. */
  override name = "SessionTakenError";
}

/**
 * Thrown by `open` and `commit` when the store fails; `cause` says why. What was asked was done completely or not at all.
 * Answer it 503; `wrap` does.
 */
export class SessionStoreError extends Error {
  /** The error's name. */
  override name = "SessionStoreError";
}
