/** Reader: what sessions' files hold, from memory where no other process can have changed them. */
import { Cache } from "../../_cache.ts";
import type { SessionRecord } from "../../record.ts";
import { isSame, lstat, type Stat } from "./calls.ts";
import { pathOf } from "./names.ts";
import { readRecord } from "./record.ts";
import type { Roster } from "./roster.ts";

/** How long after its making, in milliseconds, a file is kept in memory: some ticks of the kernel's clock. */
const SETTLED = 50;

/** What a session's file can hold; `undefined` is no file. */
export type Content = SessionRecord | "corrupt" | "newer" | undefined;

/** A record as read, what the file was then, and the roster's period in which the file was last looked at. */
interface Cached {
  readonly record: SessionRecord;
  readonly stat: Stat;
  period: number;
}

/** Reads sessions' files, and keeps the records that were read lately. */
export class Reader {
  #dir: string;
  #roster: Roster;
  #cache: Cache<Cached>;

  /**
   * @param dir The store's folder.
   * @param roster Tells whether anybody else may change files.
   * @param bytes About how much memory the records may take.
   */
  constructor(dir: string, roster: Roster, bytes: number) {
    this.#dir = dir;
    this.#roster = roster;
    this.#cache = new Cache(bytes);
  }

  /** The record in memory, if no one can have changed the file since the last look at it. */
  fresh(key: string): SessionRecord | undefined {
    const period = this.#roster.period();
    const cached = this.#cache.get(key);
    return cached !== undefined && cached.period === period && period !== 0 ? cached.record : undefined;
  }

  /**
   * What a session's file holds now. Takes no lock, and no look at the file either if there was one in this period.
   *
   * @throws {TypeError} if it is not a key.
   */
  read(key: string): Content {
    const fresh = this.fresh(key);
    if (fresh !== undefined) return fresh;
    const period = this.#roster.period();
    const cached = this.#cache.get(key);
    const path = pathOf(this.#dir, key);
    while (true) {
      const stat = lstat(path);
      if (stat === undefined) return undefined;
      const record = this.#known(key, stat, period) ?? readRecord(path, stat);
      if (typeof record !== "object" || record === cached?.record) return record;
      // What was read belongs to the state of the file only if that is still the same.
      const after = lstat(path);
      if (after !== undefined && !isSame(stat, after)) continue;
      this.keep(key, record, stat, period);
      return record;
    }
  }

  /** What a session's file holds, for a caller that has its lock and so knows its state. */
  readLocked(key: string, path: string, stat: Stat, file: Deno.FsFile): Content {
    return this.#known(key, stat) ?? readRecord(path, stat, file);
  }

  /** Keeps a record in memory, unless its file is so new that another could look the same. */
  keep(key: string, record: SessionRecord, stat: Stat, period = 0): void {
    if (stat.birth === undefined || Date.now() <= stat.birth + SETTLED) return this.forget(key);
    // In memory, the text, the object and the entry around them.
    this.#cache.set(key, { record, stat, period }, 2 * stat.size + 400);
  }

  /** Forgets a session that was changed or removed. */
  forget(key: string): void {
    this.#cache.delete(key);
  }

  /** Keeps nothing from now on: where times are coarse, two states of a file can look the same. */
  keepNothing(): void {
    this.#cache = new Cache(0);
  }

  /** The record in memory, if it is that of the file in this state. */
  #known(key: string, stat: Stat, period?: number): SessionRecord | undefined {
    const cached = this.#cache.get(key);
    if (cached === undefined || !isSame(cached.stat, stat)) return undefined;
    if (period !== undefined) cached.period = period;
    return cached.record;
  }
}
