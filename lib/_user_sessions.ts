/** The sessions of a user: lists them, and ends one of them, all, or those above a maximum. */
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

/** The most times that `endSessions` lists the sessions. */
const MAX_PASSES = 50;
/** How many listings in a row must be empty. A folder's listing can miss a session that gets a new key during it. */
const EMPTY_PASSES = 2;
/** The most sessions that are ended in one call of the store. */
const BATCH = 500;

/** The parts of the manager that work on the sessions of a user. */
export interface UserAccess {
  readonly store: ReportingStore;
  readonly lifetimes: Lifetimes;
  readonly now: () => number;
  /** Called with the keys of the sessions that were ended. */
  readonly onEnded: (keys: readonly string[], user: string) => void;
}

/** The live sessions of a user, limited to the lifetimes of the manager. */
export function showSessions<Data extends object>(
  { store, lifetimes, now }: UserAccess,
  user: string,
): AsyncIterable<UserSession<Data>> {
  // Outside the generator, so that a store without an index of users throws immediately.
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

/**
 * Ends all sessions of a user.
 *
 * @param access The parts of the manager.
 * @param user The user.
 * @param except The key of a session that stays live, if any.
 * @returns How many were ended.
 */
export async function endSessions(access: UserAccess, user: string, except: string | undefined): Promise<number> {
  let ended = 0;
  let emptyPasses = 0;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let found = 0;
    let batch: string[] = [];
    // If a session in the batch has a new id by then, it is not ended. The next listing finds it.
    const endBatch = async () => {
      ended += await endMany(access, user, batch);
      batch = [];
    };
    for await (const [key] of access.store.sessionsOf(user)) {
      if (key === except) continue;
      found++;
      batch.push(key);
      if (batch.length === BATCH) await endBatch();
    }
    await endBatch();
    emptyPasses = found === 0 ? emptyPasses + 1 : 0;
    if (emptyPasses === EMPTY_PASSES) return ended;
  }
  throw new SessionStoreError("Cannot end all sessions of a user: some of them kept getting new ids; try again");
}

/** Ends the session of a user that has this handle. Returns whether this call ended it. */
export async function endSession(access: UserAccess, user: string, handle: string): Promise<boolean> {
  for await (const [key] of access.store.sessionsOf(user)) {
    if (handleOf(key) === handle) return await endMany(access, user, [key]) === 1;
  }
  return false;
}

/** The times that order the sessions of a user. */
interface SessionTimes {
  readonly key: string;
  readonly used: number;
  readonly created: number;
}

/** The times of a user's sessions, by key. */
export type TimesByKey = ReadonlyMap<string, SessionTimes>;

/** Lists the sessions of a user with their times. */
export async function listTimes({ store }: UserAccess, user: string): Promise<TimesByKey> {
  const times = new Map<string, SessionTimes>();
  for await (const [key, record] of store.sessionsOf(user)) {
    if (record !== undefined) times.set(key, { key, used: usedAt(record), created: record.created });
  }
  return times;
}

/**
 * Ends the sessions of a user above the maximum, after a log-in. Sessions from before the log-in end first, the least
 * recently used of them before the others. Then those of concurrent log-ins end, the earliest of them first. All these
 * log-ins compute the same order, so the last session in it stays live. A log-in may have to end its own session.
 *
 * @param access The parts of the manager.
 * @param user The user.
 * @param most The most sessions that may stay live.
 * @param before The result of `listTimes` before the log-in stored its session.
 */
export async function endSurplus(
  access: UserAccess,
  user: string,
  most: number,
  before: TimesByKey,
): Promise<void> {
  const live = [...(await listTimes(access, user)).values()];
  const isNew = ({ key }: SessionTimes) => !before.has(key);
  const latestFirst = (time: "created" | "used") => (a: SessionTimes, b: SessionTimes) =>
    b[time] - a[time] || (a.key < b.key ? 1 : -1);
  const order = [
    ...live.filter(isNew).sort(latestFirst("created")),
    ...live.filter((one) => !isNew(one)).sort(latestFirst("used")),
  ];
  const surplus = order.slice(most).map(({ key }) => key);
  for (let at = 0; at < surplus.length; at += BATCH) await endMany(access, user, surplus.slice(at, at + BATCH));
}

/** The creation time for a new session: now, but later than that of every session that the user had before. */
export function timeAfter(before: TimesByKey, now: number): number {
  let time = now;
  for (const { created } of before.values()) time = Math.max(time, created + 1);
  return time;
}

/** Ends sessions of a user, `BATCH` at most. Returns how many of them this call ended. */
async function endMany({ store, onEnded }: UserAccess, user: string, keys: readonly string[]): Promise<number> {
  if (keys.length === 0) return 0;
  const gone = await store.deleteMany(keys);
  onEnded(gone, user);
  return gone.length;
}

/** When a session was last used. */
function usedAt({ expires, idle }: SessionRecord): number {
  return expires - idle;
}
