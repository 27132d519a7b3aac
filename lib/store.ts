/**
 * The contract that every session store keeps: six verbs, and the promise of each.
 *
 * @module
 */
import type { SessionRecord } from "./record.ts";

export { RecordTooLargeError, StoreFullError } from "./errors.ts";

/**
 * Makes a new record from the record that is stored at that moment. It may run more than once. It must not modify its
 * argument. In `update` it must keep the `user`. It may throw: then nothing is stored, and the verb rejects with the
 * same error.
 */
export type Change = (record: SessionRecord) => SessionRecord;

/** A session's key and record. The record is `undefined` if a later version of this program wrote it. */
export type StoredSession = readonly [key: string, record: SessionRecord | undefined];

/** Thrown by `create` if the key is already there. */
export class KeyTakenError extends Error {
  /** The error's name. */
  override name = "KeyTakenError";

  /** Makes the error. */
  constructor() {
    super("Cannot create a session: its key is already there");
  }
}

/**
 * Where sessions are kept between requests.
 *
 * A session is stored under its key: 40 lower-case hex digits. The browser has an id. The key is a one-way hash of the
 * id, so no content of a store can be sent as a cookie.
 *
 * A session is live under its key from `create` or `move` until `delete` or the next `move`, or until it ends by its
 * record (`isLive` in record.ts). From that millisecond on, it is gone. A session that is gone never comes back: only
 * `create` and `move` make a session, and the manager calls them only with a new key.
 *
 * When a verb resolves, it has done its work for every process that shares the store. No reader ever sees half of a
 * record. Any verb may fail, for example on a full disk or a lost connection. It then rejects within some seconds, and
 * its work was done completely or not at all. If the engine did not answer, `update`, `delete` and `move` query it
 * again before they reject. So they never report a guess, and never make a change twice.
 */
export interface SessionStore {
  /**
   * Stores a new session.
   *
   * @param key A new key.
   * @param record The session's record.
   * @throws {StoreFullError} if the store has its maximum of live sessions. No live session is ever evicted.
   * @throws {RecordTooLargeError} if the record is larger than the store can keep. `update` and `move` throw it, too.
   * @throws {KeyTakenError} if the key is already there.
   */
  create(key: string, record: SessionRecord): Promise<void>;

  /**
   * Reads the record.
   *
   * @returns The record; `undefined` if the session is unknown or gone. The result is also `undefined` if the record is
   * corrupt, which the store logs, or if a later version of this program wrote it. The latter record stays stored.
   */
  read(key: string): Promise<SessionRecord | undefined>;

  /**
   * Changes the stored record atomically: of two updates at the same time, the second gets the record that the first
   * stored, so no change is lost.
   *
   * @returns The new record, or `undefined` if the session is gone: an update never makes a session.
   */
  update(key: string, change: Change): Promise<SessionRecord | undefined>;

  /**
   * Moves the idle limit and changes nothing else.
   *
   * @param expires The new idle limit, in milliseconds since 1970: the record's `idle` from now.
   * @returns Whether the session is still there; a touch never makes a session.
   */
  touch(key: string, expires: number): Promise<boolean>;

  /**
   * Ends a session everywhere. It needs no space, so visitors can log out if the store is full. It also ends a session
   * whose record a later version of this program wrote.
   *
   * @returns Whether this call ended it; `false` if it was gone, or had moved to another key.
   */
  delete(key: string): Promise<boolean>;

  /**
   * Moves a session to a new key and changes it, atomically: the old key is gone when the new one is there. The store's
   * maximum of sessions does not apply.
   *
   * @param from The key it has.
   * @param to A new key.
   * @param change Makes the new record. Unlike in `update`, it may set the record's `user`.
   * @returns The new record, or `undefined` if the session was gone: then there is no session under the new key either.
   */
  move(from: string, to: string, change: Change): Promise<SessionRecord | undefined>;

  /**
   * The group for a new key of a user's session, for stores that keep the sessions of one user together. The key begins
   * with the group. Without this method, keys begin with random groups.
   *
   * @param user The user's name: any string.
   * @returns 8 lower-case hex digits, the same for every process that shares the store.
   */
  groupOf?(user: string): string | Promise<string>;

  /**
   * The live sessions of a user. Stores that cannot find them do not have this method. Every session whose `create` or
   * `move` had resolved before the call is included; if it gets a new key during the iteration, it is there under the
   * old key or the new one. A session that is made or ended during the iteration may be included or not.
   */
  sessionsOf?(user: string): AsyncIterable<StoredSession>;

  /**
   * Ends several sessions, as `delete` does for each. Stores whose engine can end many in one statement have it.
   *
   * @param keys The keys of the sessions, 500 at most.
   * @returns The keys of the sessions that this call ended.
   */
  deleteMany?(keys: readonly string[]): Promise<readonly string[]>;

  /**
   * All live sessions whose record this version can read, for an operator. A session that is made or ended during the
   * iteration may be included or not.
   */
  list?(): AsyncIterable<readonly [key: string, record: SessionRecord]>;

  /** Called after requests. It may start a bounded part of the cleaning. It returns immediately and never throws. */
  sweep?(): void;

  /**
   * Removes every session that is over, for an operator. It pauses so that requests are still served.
   *
   * @param onRemoved Called from time to time with the number of sessions removed since the last call.
   * @returns How many sessions were removed.
   */
  sweepAll?(onRemoved?: (count: number) => void): Promise<number>;

  /**
   * Checks that the store can be used now: connects, makes a missing folder or table, and tries the operations that the
   * verbs need, a write included. Calling it is optional; the first verb connects as well.
   *
   * @throws {Error} if the store cannot be used. The message says why and what to do.
   */
  ready?(): Promise<void>;

  /** Finishes background work and closes connections. */
  close?(): Promise<void>;
}
