/**
 * The contract every session store keeps: five verbs, and the words that say what they promise.
 *
 * @module
 */

/** A value a session can hold: whatever JSON can say. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** The data of one session: JSON values by name. `__proto__` and `constructor` are names like any other. */
export type SessionData = Readonly<Record<string, Json>>;

/** What a store keeps of one session. Records given out are frozen; a change is made with `update`. */
export interface SessionRecord {
  /** The visitor's data. */
  readonly data: SessionData;
  /** When the session was made, in milliseconds since 1970. */
  readonly created: number;
  /** When it ends however much it is used (the absolute limit), in milliseconds since 1970. */
  readonly ends: number;
  /** When it ends unless it is used again (the idle limit), in milliseconds since 1970. */
  readonly expires: number;
}

/** What a request did to the data, to be applied to whatever is stored by then. May run more than once. */
export type Apply = (now: SessionData) => SessionData;

/**
 * Where sessions are kept between requests.
 *
 * A session is live from `create` until `delete`, or until the first of its two limits, `expires` and `ends`, is
 * reached: at that millisecond it is gone. What is gone never comes back: only `create` makes a session, and it is
 * only ever called with an id that nobody knows yet.
 *
 * Any verb may fail (a full disk, a lost connection): it then rejects, and what was stored before still stands, or, if a
 * server was lost before it could answer, the whole of what it was asked to do is done; which one, nobody knows. A verb
 * that resolves has done what it says, for every process that shares the store, and no reader ever sees half of it.
 * An answer may take some seconds at most; a store that cannot answer by then rejects.
 */
export interface SessionStore {
  /**
   * Keeps a new session.
   *
   * @param replaces Whether it takes the place of one that is deleted next, as when a session gets a new id: the
   * maximum is not applied then, so that a full store keeps nobody from logging out.
   * @throws {StoreFullError} if as many sessions are live as the store may hold. No live session is ever evicted.
   * @throws {Error} if the id is already there.
   */
  create(id: string, record: SessionRecord, replaces?: boolean): Promise<void>;

  /** The session as stored now; `undefined` if it is unknown, gone, or unreadable (which is logged). */
  read(id: string): Promise<SessionRecord | undefined>;

  /**
   * Applies a change to the data as stored now and moves the idle limit, as one step: of two updates at once, each
   * sees the other's or is seen by it, so none is lost.
   *
   * @param expires The new idle limit, in milliseconds since 1970.
   * @returns The record as it is now, or `undefined` if the session is gone: an update never makes one.
   */
  update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined>;

  /**
   * Moves the idle limit and leaves the data alone.
   *
   * @param expires The new idle limit, in milliseconds since 1970.
   * @returns Whether the session is still there; a touch never makes one.
   */
  touch(id: string, expires: number): Promise<boolean>;

  /**
   * Ends a session everywhere.
   *
   * @returns The record as it was at its end, so that its data can move to a new id; `undefined` if it was gone.
   */
  delete(id: string): Promise<SessionRecord | undefined>;

  /** Called after requests. May start one bounded piece of cleaning up; returns at once and never throws. */
  sweep?(): void;

  /** Removes every session that is over, for an operator; lets requests have their turn. Returns how many there were. */
  sweepAll?(): Promise<number>;

  /** The live sessions by id, for an operator; those made or ended meanwhile may or may not be among them. */
  list?(): AsyncIterable<readonly [id: string, record: SessionRecord]>;

  /** Finishes what runs in the background and lets go of connections. */
  close?(): Promise<void>;
}

/** Thrown by `create` when the store already holds as many live sessions as it may. */
export class StoreFullError extends Error {
  /** The error's name. */
  override name = "StoreFullError";
}

/** The most a stored session may take as JSON text, in bytes. */
export const MAX_RECORD_BYTES = 1024 * 1024;

/**
 * Freezes a JSON value and everything in it, so that records can be shared between requests.
 *
 * @returns The same value.
 */
export function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
