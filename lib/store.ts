/**
 * The contract every session store keeps: six verbs, and the words that say what they promise.
 *
 * @module
 */
import type { SessionRecord } from "./record.ts";

export { StoreFullError } from "./errors.ts";

/**
 * Makes a new record from the one that is stored by then. It may run more than once, must leave its argument and the
 * record's `user` as they are, and may throw: then nothing is stored, and the store rejects with that same error.
 */
export type Change = (record: SessionRecord) => SessionRecord;

/**
 * Where sessions are kept between requests.
 *
 * A session is live from `create` until `delete` or `move`, or until it ends by its record (`isLive` in record.ts): at
 * that millisecond it is gone. What is gone never comes back: only `create` and `move` make a session, and they are only
 * ever called with a new id that nobody knows yet.
 *
 * A verb that resolves has done what it says, for every process that shares the store, and no reader ever sees half of
 * it. Any verb may fail (a full disk, a lost connection): it then rejects within some seconds, and what it was asked to
 * do was done completely or not at all. Where an engine did not answer, `delete` and `move` ask it again before they
 * reject: what they report is never a guess.
 */
export interface SessionStore {
  /**
   * Keeps a new session.
   *
   * @param id A new id.
   * @param record What to keep.
   * @throws {StoreFullError} if as many sessions are live as the store may hold. No live session is ever evicted.
   * @throws {RecordTooLargeError} if the record's text is longer than the store can keep; `update` and `move` do too.
   * @throws {Error} if the id is already there.
   */
  create(id: string, record: SessionRecord): Promise<void>;

  /**
   * The session as stored now; `undefined` if it is unknown, gone, unreadable (which is logged), or was written by a
   * later version of this program (then it is left where it is).
   */
  read(id: string): Promise<SessionRecord | undefined>;

  /**
   * Makes a change to the record as stored now, as one step: of two updates at once, each sees the other's or is seen by
   * it, so none is lost.
   *
   * @returns The record as it is now, or `undefined` if the session is gone: an update never makes one.
   */
  update(id: string, change: Change): Promise<SessionRecord | undefined>;

  /**
   * Moves the idle limit and leaves everything else alone.
   *
   * @param expires The new idle limit, in milliseconds since 1970: the record's `idle` from now.
   * @returns Whether the session is still there; a touch never makes one.
   */
  touch(id: string, expires: number): Promise<boolean>;

  /**
   * Ends a session everywhere. It needs no space: a full store lets people log out.
   *
   * @returns Whether this call ended it; `false` if it was gone, or had moved to another id.
   */
  delete(id: string): Promise<boolean>;

  /**
   * Moves a session to a new id, changed on the way, as one step: the old id is gone when the new one is there. The
   * maximum is not applied.
   *
   * @param from The id it has.
   * @param to A new id.
   * @param change Makes the new record; here it may set the record's `user`.
   * @returns The new record, or `undefined` if the session was gone: then there is no session under the new id either.
   */
  move(from: string, to: string, change: Change): Promise<SessionRecord | undefined>;

  /**
   * The live sessions of a user by id; stores that cannot know them leave this out. None is missing whose `create` or
   * `move` had resolved when this was asked: one that gets a new id meanwhile is there under the old id or the new one.
   * Those made or ended meanwhile may be there or not.
   */
  sessionsOf?(user: string): AsyncIterable<readonly [id: string, record: SessionRecord]>;

  /** All live sessions by id, for an operator. Those made or ended meanwhile may be there or not. */
  list?(): AsyncIterable<readonly [id: string, record: SessionRecord]>;

  /** Called after requests. May start one bounded piece of cleaning up; returns at once and never throws. */
  sweep?(): void;

  /** Removes every session that is over, for an operator; lets requests have their turn. Returns how many there were. */
  sweepAll?(): Promise<number>;

  /**
   * Tells whether the store can be used now: connects, makes what is missing, and asks the engine. Calling it is
   * optional; the first verb does the same.
   *
   * @throws {Error} if it cannot be used, saying why and what to do.
   */
  ready?(): Promise<void>;

  /** Finishes what runs in the background and lets go of connections. */
  close?(): Promise<void>;
}
