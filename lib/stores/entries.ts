/** Entries: what an engine has to say and to do for an `EntryStore`. */
import type { SessionRecord } from "../record.ts";

/** What an engine has under a key. */
export interface Entry {
  /** The key. */
  readonly key: string;
  /** What was written there. */
  readonly content: string;
  /** Differs after every write. An engine that has no versions of its own stores the one of {@linkcode NewEntry}. */
  readonly version: string | number;
}

/** What an engine is to write under a key. */
export interface NewEntry extends Entry {
  /** Another one for every write. Of one store's versions the later is the greater string. */
  readonly version: string;
  /** How long the entry is needed, in milliseconds since 1970. After that the engine may remove it. */
  readonly until: number;
  /** The hash of the user whose session it is, or was until it moved or ended. */
  readonly user: string | undefined;
  /** The session's record, for engines that keep its times apart; `undefined` if the session moved or ended. */
  readonly record: SessionRecord | undefined;
  /** The key that the session moved to. Only then `ofUser` has to find an entry without a record. */
  readonly movedTo?: string | undefined;
}

/** A write. */
export interface EntryWrite {
  /** What to write. */
  readonly entry: NewEntry;
  /** The version of the entry that it replaces; `undefined` if there must be none yet. */
  readonly seen: Entry["version"] | undefined;
}

/**
 * An engine, as an {@linkcode EntryStore} needs it. Any call may throw: then whether it was done counts as unknown, and
 * the store looks. Calls are given up after a second.
 */
export interface Entries {
  /** Called before each call: connects if there is no connection. It may take 2.5 seconds. */
  open?(): Promise<unknown> | undefined;
  /**
   * Called by `ready` in place of `open`: connects, and tries what the store needs. It may take ten seconds.
   *
   * @throws {Error} if the engine cannot be used, saying why and what to do.
   */
  check?(): Promise<void>;
  /** Called after a call without an answer, so that the next one connects again. */
  reconnect?(): void;
  /** Lets go of the connection. */
  close?(): Promise<void>;

  /** The entry under a key. */
  get(key: string): Promise<Entry | undefined>;

  /**
   * Writes an entry, if what is stored under its key is as it was seen.
   *
   * @returns Whether it was written.
   */
  put(write: EntryWrite): Promise<boolean>;

  /**
   * Writes two entries, as one step: the old one of a session that moves, if it is as it was seen, and the new one, if
   * there is none yet. An engine that needs several steps hides the new entry until the old one is written; then `get` of
   * the new one finishes them. Both have one version.
   */
  swap(from: EntryWrite, to: EntryWrite): Promise<boolean>;

  /** All entries. Those made or removed in between may be there or not. */
  list?(): AsyncIterable<Entry>;

  /** The entries that were written with this `user`, until their `until`, those of moved sessions included. */
  ofUser?(user: string): AsyncIterable<Entry>;

  /** Does several writes, 100 at most, and returns whether all were done. With `getMany`, for `deleteMany`. */
  putMany?(writes: readonly EntryWrite[]): Promise<boolean>;

  /** The entries under some keys, 100 at most, in any order; keys without one are left out. */
  getMany?(keys: readonly string[]): Promise<readonly Entry[]>;

  /** How many live sessions there are, for engines that can tell without `list`; `undefined` if only `list` can tell. */
  count?(): Promise<number | undefined>;

  /**
   * Removes what is over, and returns how many sessions that were, for engines that can do it without `list`.
   *
   * @param onRemoved Called now and then with how many were removed since the last call.
   */
  sweep?(onRemoved?: (count: number) => void): Promise<number>;
}
