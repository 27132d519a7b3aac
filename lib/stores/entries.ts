/** Entries: the methods by which an `EntryStore` uses an engine. */
import type { SessionRecord } from "../record.ts";

/** An entry that is stored in an engine. */
export interface Entry {
  /** The key. */
  readonly key: string;
  /** The content that was written. */
  readonly content: string;
  /** Changes with every write. An engine without versions of its own stores the version of {@linkcode NewEntry}. */
  readonly version: string | number;
}

/** An entry to be written. */
export interface NewEntry extends Entry {
  /** Differs for every write. Of two versions of the same store, the later one is the greater string. */
  readonly version: string;
  /** How long the entry is needed, in milliseconds since 1970. After that time, the engine may remove the entry. */
  readonly until: number;
  /** The hash of the session's user, even if the session moved or ended. */
  readonly user: string | undefined;
  /** The session's record, for engines that store its times separately; `undefined` if the session moved or ended. */
  readonly record: SessionRecord | undefined;
  /** The key that the session moved to. `ofUser` must find an entry with `movedTo`, although it has no record. */
  readonly movedTo?: string | undefined;
}

/** A write of one entry. */
export interface EntryWrite {
  /** The entry to write. */
  readonly entry: NewEntry;
  /** The version of the entry to replace, as the store read it; `undefined` if there must be no entry yet. */
  readonly seen: Entry["version"] | undefined;
}

/**
 * The methods of an engine that an {@linkcode EntryStore} calls. Every method may throw. If a write throws, the store
 * does not know whether it was done, and reads the entry again. The store gives up a call after one second, if the
 * method names no other time.
 */
export interface Entries {
  /**
   * Connects, if there is no connection. The store calls it before every other call, except `check`, `reconnect` and
   * `close`. It may take 2.5 seconds.
   */
  open?(): Promise<unknown> | undefined;
  /**
   * Connects, and tests everything that the store needs. `ready` calls it in place of `open`. It may take ten seconds.
   *
   * @throws {Error} if the engine cannot be used. The message says why and what to do.
   */
  check?(): Promise<void>;
  /** Drops the connection, so that the next call connects again. The store calls it after a call without an answer. */
  reconnect?(): void;
  /** Closes the connection. It may take 2.5 seconds. */
  close?(): Promise<void>;

  /** Reads the entry under a key; `undefined` if there is none. */
  get(key: string): Promise<Entry | undefined>;

  /**
   * Writes an entry, if the stored entry under its key still has the version `seen`.
   *
   * @returns Whether it was written.
   */
  put(write: EntryWrite): Promise<boolean>;

  /**
   * Writes two entries in one step, for a session that moves to a new key. It writes both or none. The stored entry
   * under the old key must still have the version `seen`, and there must be no entry under the new key yet. The two new
   * entries have the same version.
   *
   * An engine that needs several steps hides the new entry until the old one is written. If steps are missing after
   * that, `get` of the new key does them.
   *
   * @returns Whether both were written.
   */
  putBoth(from: EntryWrite, to: EntryWrite): Promise<boolean>;

  /**
   * Lists all entries. An entry that is created or removed during the listing may be listed or not. If the search for
   * the next entry may take long, the list yields `undefined` in between: each step has the time of one call.
   */
  list?(): AsyncIterable<Entry | undefined>;

  /** Finds the entries that were written with this `user`, also those with `movedTo`, until their time `until`. */
  ofUser?(user: string): AsyncIterable<Entry>;

  /**
   * Writes up to 100 entries, each as `put` does. The store calls it to end sessions. `deleteMany` needs this method
   * and `getMany`.
   *
   * @returns Whether all were written.
   */
  putMany?(writes: readonly EntryWrite[]): Promise<boolean>;

  /** Reads the entries under up to 100 keys, in any order. It leaves out keys without an entry. */
  getMany?(keys: readonly string[]): Promise<readonly Entry[]>;

  /** Counts the live sessions without `list`; `undefined` if only `list` can count them. It may take a minute. */
  count?(): Promise<number | undefined>;

  /**
   * Removes sessions that are over, without `list`. Returns how many it removed. A sweep may take any time.
   *
   * @param onRemoved May be called several times, with the number of sessions that were removed since the last call.
   */
  sweep?(onRemoved?: (count: number) => void): Promise<number>;
}
