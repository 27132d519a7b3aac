/** The sessions of a user: shown, and ended one or all. */
import { SessionStoreError } from "./errors.ts";
import type { GuardedStore } from "./_guarded_store.ts";
import { handleOf } from "./id.ts";
import type { Lifetimes } from "./_lifetimes.ts";
import { endOf, isLive } from "./record.ts";
import type { Stored } from "./session.ts";

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
/** How many looks in a row must find nothing: a session that moves while it is looked for may be missed once. */
const EMPTY_PASSES = 2;

/** The live sessions of a user, under the lifetimes of the manager. */
export function showSessions<Data extends object>(
  store: GuardedStore,
  lifetimes: Lifetimes,
  user: string,
  now: () => number,
): AsyncIterable<UserSession<Data>> {
  // Asked here and not at the first step, so that a store without an index refuses at once.
  const found = store.sessionsOf(user);
  return (async function* () {
    for await (const [key, stored] of found) {
      if (stored === undefined) continue;
      const record = lifetimes.clamp(stored);
      if (!isLive(record, now())) continue;
      const { created, idle, expires, deadline, data } = record;
      const times = { created, used: expires - idle, expires: endOf(record), deadline };
      yield { handle: handleOf(key), ...times, data: data as Stored<Partial<Data>> };
    }
  })();
}

/** Ends all sessions of a user but one. Returns how many. */
export async function endSessions(store: GuardedStore, user: string, kept: string | undefined): Promise<number> {
  let ended = 0;
  let empty = 0;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let found = 0;
    for await (const [key] of store.sessionsOf(user)) {
      if (key === kept) continue;
      found++;
      // One that is not there any more may have got a new id. The next look finds it.
      if (await store.delete(key)) ended++;
    }
    empty = found === 0 ? empty + 1 : 0;
    if (empty === EMPTY_PASSES) return ended;
  }
  throw new SessionStoreError("Cannot end all sessions of a user: some got new ids all the time; try again");
}

/** Ends the session of a user that has this handle. Returns whether there was one. */
export async function endSession(store: GuardedStore, user: string, handle: string): Promise<boolean> {
  for await (const [key] of store.sessionsOf(user)) if (handleOf(key) === handle) return await store.delete(key);
  return false;
}
