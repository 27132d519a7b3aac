/** Reader: the content of sessions' files. It comes from the cache if no other process can have changed the file. */
import { Cache } from "../../_cache.ts";
import type { SessionRecord } from "../../record.ts";
import { isSame, lstat, type Stat } from "./calls.ts";
import { pathOf } from "./names.ts";
import type { Settings } from "./options.ts";
import { probe } from "./probe.ts";
import { type Content, readRecord } from "./record.ts";
import type { Roster } from "./roster.ts";

/** How old a file must be before its record is cached, in milliseconds: some ticks of the kernel's clock. */
const SETTLED = 50;

/** A cached record, the state of its file, and the roster's period in which that state was last read. */
interface Cached {
  readonly record: SessionRecord;
  readonly stat: Stat;
  period: number;
}

/** Reads sessions' files, and caches their records. */
export class Reader {
  #settings: Settings;
  #roster: Roster;
  // `undefined` while nothing may be cached.
  #cache: Cache<Cached> | undefined;
  #probed: Promise<void> | undefined;

  /**
   * @param settings The store's settings.
   * @param roster Says whether another process may change files.
   */
  constructor(settings: Settings, roster: Roster) {
    this.#settings = settings;
    this.#roster = roster;
  }

  /** The cached record, if no other process can have changed its file since the state was read. */
  cached(key: string): SessionRecord | undefined {
    const period = this.#roster.period();
    const cached = this.#cache?.get(key);
    return cached !== undefined && cached.period === period && period !== 0 ? cached.record : undefined;
  }

  /**
   * The content of a session's file. It takes no lock.
   *
   * @throws {TypeError} if the key is not valid.
   */
  read(key: string): Content {
    const period = this.#roster.period();
    const path = pathOf(this.#settings.dir, key);
    while (true) {
      const stat = lstat(path);
      if (stat === undefined) return undefined;
      const known = this.#known(key, stat, period);
      if (known !== undefined) return known;
      const content = readRecord(path, stat);
      if (typeof content !== "object") return content;
      // If the state has changed, another process replaced the file while this one read it.
      const after = lstat(path);
      if (after !== undefined && !isSame(stat, after)) continue;
      this.keep(key, content, stat, period);
      return content;
    }
  }

  /** The content of a session's file. The caller has its lock, so the state does not change. */
  readLocked(key: string, path: string, stat: Stat, file: Deno.FsFile): Content {
    return this.#known(key, stat) ?? readRecord(path, stat, file);
  }

  /** Caches a record, unless its file is so new that another file could have the same state. */
  keep(key: string, record: SessionRecord, stat: Stat, period = 0): void {
    if (stat.birth === undefined || Date.now() <= stat.birth + SETTLED) return this.forget(key);
    // An entry takes memory for the text, the object and the entry itself.
    this.#cache?.set(key, { record, stat, period }, 2 * stat.size + 400);
  }

  /** Removes a session that was changed or removed from the cache. */
  forget(key: string): void {
    this.#cache?.delete(key);
  }

  /** Tests the file system, unless that was done. Simultaneous calls share one test. */
  probeOnce(): Promise<void> {
    return this.#probed ?? this.probe();
  }

  /**
   * Tests the file system. Before that, no record is cached. If its file times have no milliseconds, or do not follow
   * the machine's clock, none is cached afterwards: two states of a file could look the same.
   *
   * @throws {Error} if files cannot be made or locked.
   */
  probe(): Promise<void> {
    return this.#probed = probe(this.#settings).then((mayCache) => {
      if (!mayCache) this.#cache = undefined;
      else this.#cache ??= new Cache(this.#settings.cacheBytes);
    }).catch((error) => {
      this.#probed = undefined;
      throw error;
    });
  }

  /** The cached record, if its file is still in this state. */
  #known(key: string, stat: Stat, period?: number): SessionRecord | undefined {
    const cached = this.#cache?.get(key);
    if (cached === undefined || !isSame(cached.stat, stat)) return undefined;
    if (period !== undefined) cached.period = period;
    return cached.record;
  }
}
