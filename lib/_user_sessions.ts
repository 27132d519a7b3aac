/** The sessions of a user: lists them, and ends one, all, or all but the latest. */
import { SessionStoreError } from "./errors.ts";
import type { ReportingStore } from "./_reporting_store.ts";
import { handleOf } from "./id.ts";
import type { Lifetimes } from "./_lifetimes.ts";
import { endOf, isLive, type SessionRecord } from "./record.ts";
import type { Stored } from "./session_data.ts";

/** One of a user's sessions, with details that can be shown to the user. */
export interface UserSession<Data extends object> {
  /** The session's name, for `end`. */
  readonly handle: string;
  /** When the user logged in, in milliseconds since 1970. */
  readonly created: number;
  /** When it was last used, exact to a tenth of its idle lifetime, in milliseconds since 1970. */
  readonly used: number;
  /** When it ends unless it is used again, in milliseconds since 1970. */
  readonly expires: number;
  /** When it ends even if it is used, in milliseconds since 1970. */
  readonly deadline: number;
  /** The session's data. */
  readonly data: Stored<Partial<Data>>;
}

/** How many times `endSessions` lists the sessions, at most. */
const MAX_PASSES = 50;
/** How many listings in a row must be empty: a listing may miss a session that gets a new id during it. */
const EMPTY_PASSES = 2;
/** The most sessions that are ended in one call of the store. */
const BATCH = 500;

/** The parts of the manager that work on the sessions of a user. */
export interface UserAccess {
  readonly store: ReportingStore;
  readonly lifetimes: Lifetimes;
  readonly now: () => number;
  /** Called with the keys of the sessions that were ended. */
  readonly ended: (keys: readonly string[], user: string) => void;
}

/** The live sessions of a user, limited to the lifetimes of the manager. */
export function showSessions<Data extends object>(
  { store, lifetimes, now }: UserAccess,
  user: string,
): AsyncIterable<UserSession<Data>> {
  // Called outside the generator, so that a store without an index of users throws immediately.
  const found = store.sessionsOf(user);
  return (async function* () {
    for await (const [key, stored] of found) {
      if (stored === undefined) continue;
      const record = lifetimes.clamp(stored);
      if (!isLive(record, now())) continue;
      const { created, deadline, data } = record;
      const times = { created, used: usedAt(record), expires: endOf(record), deadline };
      yield Object.freeze({ handle: handleOf(key), ...times, data: data as Stored<Partial<Data>> });
    }
  })();
}

/** Ends all sessions of a user but one. Returns how many were ended. */
export async function endSessions(access: UserAccess, user: string, kept: string | undefined): Promise<number> {
  let ended = 0;
  let empty = 0;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let found = 0;
    let batch: string[] = [];
    const endBatch = async () => {
      ended += await endMany(access, user, batch);
      batch = [];
    };
    for await (const [key] of access.store.sessionsOf(user)) {
      if (key === kept) continue;
      found++;
      batch.push(key);
      // A session that is no longer there may have got a new id. The next listing finds it.
      if (batch.length === BATCH) await endBatch();
    }
    await endBatch();
    empty = found === 0 ? empty + 1 : 0;
    if (empty === EMPTY_PASSES) return ended;
  }
  throw new SessionStoreError("Cannot end all sessions of a user: some of them kept getting new ids; try again");
}

/** Ends the session of a user that has this handle. Returns whether there was one. */
export async function endSession(access: UserAccess, user: string, handle: string): Promise<boolean> {
  for await (const [key] of access.store.sessionsOf(user)) {
    if (handleOf(key) === handle) return await endMany(access, user, [key]) === 1;
  }
  return false;
}

/** A session among those of its user. */
interface Ranked {
  readonly key: string;
  readonly used: number;
  readonly created: number;
}

/** The sessions of a user by key, at the time of a log-in. */
export type Ranking = ReadonlyMap<string, Ranked>;

/** Lists the sessions of a user with the times that order them. */
export async function rank({ store }: UserAccess, user: string): Promise<Ranking> {
  const found = new Map<string, Ranked>();
  for await (const [key, record] of store.sessionsOf(user)) {
    if (record !== undefined) found.set(key, { key, used: usedAt(record), created: record.created });
  }
  return found;
}

/**
 * Ends the sessions of a user above the maximum, after a log-in. Sessions from before the log-in end first, beginning
 * with the one that was unused for the longest time. Between log-ins at the same time, the one with the later time and
 * key stays. Every log-in computes the same order, so the first session in it stays. A log-in may have to end its own
 * session.
 *
 * @param access The parts of the manager.
 * @param user The user.
 * @param most The most sessions that may stay live.
 * @param before The result of `rank` before the log-in stored its session.
 */
export async function endOldest(
  access: UserAccess,
  user: string,
  most: number,
  before: Ranking,
): Promise<void> {
  const now = [...(await rank(access, user)).values()];
  const isNew = ({ key }: Ranked) => !before.has(key);
  const latest = (a: number, b: number, one: Ranked, other: Ranked) => b - a || (one.key < other.key ? 1 : -1);
  const order = [
    ...now.filter(isNew).sort((a, b) => latest(a.created, b.created, a, b)),
    ...now.filter((one) => !isNew(one)).sort((a, b) => latest(a.used, b.used, a, b)),
  ];
  const over = order.slice(most).map(({ key }) => key);
  for (let at = 0; at < over.length; at += BATCH) await endMany(access, user, over.slice(at, at + BATCH));
}

/** The creation time for a new session: later than that of every session that was there before. */
export function timeAfter(before: Ranking, now: number): number {
  let time = now;
  for (const { created } of before.values()) time = Math.max(time, created + 1);
  return time;
}

async function endMany({ store, ended }: UserAccess, user: string, keys: readonly string[]): Promise<number> {
  if (keys.length === 0) return 0;
  const gone = await store.deleteMany(keys);
  ended(gone, user);
  return gone.length;
}

function usedAt({ expires, idle }: SessionRecord): number {
  return expires - idle;
}
