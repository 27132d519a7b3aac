/** The sessions of a user: shown, and ended one, all, or all but the latest. */
import { SessionStoreError } from "./errors.ts";
import type { GuardedStore } from "./_guarded_store.ts";
import { handleOf } from "./id.ts";
import type { Lifetimes } from "./_lifetimes.ts";
import { endOf, isLive, type SessionRecord } from "./record.ts";
import type { Stored } from "./session_data.ts";

/** One of a user's sessions, as it can be shown to the user. */
export interface UserSession<Data extends object> {
  /** Its name, for `end`. */
  readonly handle: string;
  /** When the user logged in, in milliseconds since 1970. */
  readonly created: number;
  /** When it was last used, to within a tenth of its idle lifetime, in milliseconds since 1970. */
  readonly used: number;
  /** When it ends unless it is used again, in milliseconds since 1970. */
  readonly expires: number;
  /** When it ends however much it is used, in milliseconds since 1970. */
  readonly deadline: number;
  /** What it holds. */
  readonly data: Stored<Partial<Data>>;
}

/** How often `endSessions` looks at most. */
const MAX_PASSES = 50;
/** How many looks in a row must find nothing: a session that moves during a look may be missed once. */
const EMPTY_PASSES = 2;
/** How many sessions are ended in one call of the store. */
const BATCH = 500;

/** What is done with sessions of a user, and by whom. */
export interface UserAccess {
  readonly store: GuardedStore;
  readonly lifetimes: Lifetimes;
  readonly now: () => number;
  /** Called with the keys of sessions that were ended. */
  readonly ended: (keys: readonly string[], user: string) => void;
}

/** The live sessions of a user, under the lifetimes of the manager. */
export function showSessions<Data extends object>(
  { store, lifetimes, now }: UserAccess,
  user: string,
): AsyncIterable<UserSession<Data>> {
  // Called here and not at the first step, so that a store without an index refuses immediately.
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

/** Ends all sessions of a user but one. Returns how many. */
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
      // A session that is not there any more may have got a new id. The next look finds it.
      if (batch.length === BATCH) await endBatch();
    }
    await endBatch();
    empty = found === 0 ? empty + 1 : 0;
    if (empty === EMPTY_PASSES) return ended;
  }
  throw new SessionStoreError("Cannot end all sessions of a user: some got new ids all the time; try again");
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

/** The sessions of a user by key, as a log-in sees them. */
export type Ranking = ReadonlyMap<string, Ranked>;

/** Looks up the sessions of a user. */
export async function rank({ store }: UserAccess, user: string): Promise<Ranking> {
  const found = new Map<string, Ranked>();
  for await (const [key, record] of store.sessionsOf(user)) {
    if (record !== undefined) found.set(key, { key, used: usedAt(record), created: record.created });
  }
  return found;
}

/**
 * Ends the sessions of a user past the most that may live, after a log-in. The sessions that were there before it go
 * first, the least lately used of them before others. Of log-ins at the same time, the one with the later time and key
 * wins. All of them see the same order, so the first in it lives, and each log-in may have to end its own session.
 *
 * @param access The store.
 * @param user The user.
 * @param most How many sessions may live.
 * @param before What `rank` found before the log-in stored its session.
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

/** The time for a new session to be made, so that it is later than all that were there before. */
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
