/** Reader: the content of sessions' files, from memory where no other process can have changed them. */
import { Cache } from "../../_cache.ts";
import type { SessionRecord } from "../../record.ts";
import { isSame, lstat, type Stat } from "./calls.ts";
import { pathOf } from "./names.ts";
import type { Settings } from "./options.ts";
import { type Content, readRecord } from "./record.ts";
import type { Roster } from "./roster.ts";

/** How long after a file was made, in milliseconds, it is not kept in memory: some ticks of the kernel's clock. */
const SETTLED = 50;

/** A record in memory, the state its file had, and the roster's period in which the file was last looked at. */
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
   * @param settings Those of the store.
   * @param roster Knows whether another process may change files.
   */
  constructor({ dir, cacheBytes }: Settings, roster: Roster) {
    this.#dir = dir;
    this.#roster = roster;
    this.#cache = new Cache(cacheBytes);
  }

  /** The record in memory, if no other process can have changed the file since the last look at it. */
  fresh(key: string): SessionRecord | undefined {
    const period = this.#roster.period();
    const cached = this.#cache.get(key);
    return cached !== undefined && cached.period === period && period !== 0 ? cached.record : undefined;
  }

  /**
   * The content of a session's file now. Takes no lock.
   *
   * @throws {TypeError} if the key has not the form of one.
   */
  read(key: string): Content {
    const period = this.#roster.period();
    const path = pathOf(this.#dir, key);
    while (true) {
      const stat = lstat(path);
      if (stat === undefined) return undefined;
      const known = this.#known(key, stat, period);
      if (known !== undefined) return known;
      const content = readRecord(path, stat);
      if (typeof content !== "object") return content;
      // The content belongs to this state of the file only if that is still the same.
      const after = lstat(path);
      if (after !== undefined && !isSame(stat, after)) continue;
      this.keep(key, content, stat, period);
      return content;
    }
  }

  /** The content of a session's file, for a caller that has its lock and so knows its state. */
  readLocked(key: string, path: string, stat: Stat, file: Deno.FsFile): Content {
    return this.#known(key, stat) ?? readRecord(path, stat, file);
  }

  /** Keeps a record in memory, unless its file is so new that another could look the same. */
  keep(key: string, record: SessionRecord, stat: Stat, period = 0): void {
    if (stat.birth === undefined || Date.now() <= stat.birth + SETTLED) return this.forget(key);
    // In memory: the text, the object, and the entry around them.
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

  /** The record in memory, if its file is still in this state. */
  #known(key: string, stat: Stat, period?: number): SessionRecord | undefined {
    const cached = this.#cache.get(key);
    if (cached === undefined || !isSame(cached.stat, stat)) return undefined;
    if (period !== undefined) cached.period = period;
    return cached.record;
  }
}
