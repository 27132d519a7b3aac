/**
 * For authors of stores: the contract, the record of a session, the check of options, and a base class for engines with
 * compare-and-set. The tests that every store passes are in `sessions/testing`.
 *
 * @module
 */
export type { Rule } from "./_options.ts";
export { RecordTooLargeError, SessionError, StoreFullError } from "./errors.ts";
export type { Level, Log } from "./log.ts";
export {
  decode,
  encode,
  endOf,
  freeze,
  isLive,
  type Json,
  type LifetimeOverrides,
  MAX_RECORD_BYTES,
  type SessionData,
  type SessionRecord,
  type StoredFlash,
} from "./record.ts";
export { type Change, KeyTakenError, type SessionStore, type StoredSession } from "./store.ts";
export { checkStoreOptions, type StoreOptions } from "./stores/_options.ts";
export { UpdateBatcher, type Write } from "./stores/_update_batcher.ts";
export type { Entries, Entry, EntryWrite, NewEntry } from "./stores/entries.ts";
export { EntryStore, type EntryStoreOptions } from "./stores/entry_store.ts";
