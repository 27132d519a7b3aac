/**
 * FileStore: each session a JSON file, safe for several processes over one folder.
 *
 * A session is `<dir>/<3 hex digits>/<the other 37>.json`; the sessions of a user are in one folder under names that begin
 * alike, so the place of a file is all the index there is. The protocol:
 *
 * - A name only ever changes under an exclusive lock of the file it names; a lock dies with its process.
 * - New content is written beside it, then renamed over it: a reader, who takes no lock, sees the old or the new.
 * - No other process knows a new session yet, so it is written in its place, without a lock. What a process leaves unfinished when
 *   it dies is swept a minute later.
 * - A session that moves is written under its new key, which no other process knows, under the old one's lock, and the old file is
 *   removed: what a process leaves when it dies in between is the old session, as if nothing had been done.
 * - What happens under a lock is synchronous, unless it waits for the disk: inside one process, nothing comes between.
 *   It costs a third of the same calls made asynchronously.
 *
 * When a session ends is told in record.ts, and who else has the folder open in roster.ts.
 *
 * @module
 */
import type { Log } from "../../log.ts";
import { COUNT, oneOf, type Rule } from "../../_options.ts";
import { SessionError } from "../../errors.ts";
import { freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, KeyTakenError, type SessionStore, type StoredSession, StoreFullError } from "../../store.ts";
import { checkStoreOptions, type StoreOptions } from "../_options.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { eachOf } from "../_each_of.ts";
import { Slices } from "../_pause.ts";
import { Together } from "../_together.ts";
import { exists, flush, isLocked, lstat, reasonOf, removeIfThere, tryLocked } from "./calls.ts";
import { Census } from "./census.ts";
import { Files } from "./files.ts";
import { Folder } from "./folder.ts";
import { listSessions } from "./list.ts";
import { keysOf, pathOf, shardOf } from "./names.ts";
import { probe } from "./probe.ts";
import { Queue } from "./queue.ts";
import { type Content, Reader } from "./reader.ts";
import { keepTimes, withEnd } from "./record.ts";
import { Roster } from "./roster.ts";
import { Sweep } from "./sweep.ts";

/** The options of a {@linkcode FileStore}. */
export interface FileStoreOptions extends StoreOptions {
  /** The folder; it and those in it are made with mode 0700 when missing. Nothing else may lie in it. */
  readonly dir: string;
  /**
   * Live sessions at most: 1,000,000 unless given. Processes that share the folder count what the others made when
   * their sweep comes by it, so that together they may go past it for a while.
   */
  readonly max?: number | undefined;
  /**
   * `"full"`: a change waits for the disk before it is acknowledged, so that it survives a power cut. `"normal"`, unless
   * given: the operating system writes it within some seconds; a change survives the death of any process.
   */
  readonly sync?: "normal" | "full" | undefined;
  /** Bytes of memory, about, for records read lately: 16 MiB unless given; 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

const RULES: Readonly<Record<string, Rule>> = {
  dir: {
    needed: "the path of a folder",
    accepts: (value) => typeof value === "string" && value !== "",
    isRequired: true,
  },
  sync: oneOf("normal", "full"),
  cacheBytes: COUNT,
};

/** What is done to a session under the lock of its file. */
type Work<Found, T> = (path: string, found: Found) => T | Promise<T>;

/**
 * Sessions as JSON files in a folder.
 *
 * Several processes may share the folder if its file system has working locks between them, as local ones on Linux
 * and macOS do. It survives the death of any of them at any moment. Unless `sync` is `"full"` it does not wait for the
 * disk: what was stored in the last seconds before a power cut may be gone, and a file cut short by one counts as no
 * session.
 *
 * @example
 * ```ts
 * import { FileStore, newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const store = new FileStore({ dir });
 * const now = Date.now();
 * const key = newId(await store.groupOf("Ada"));
 * const life = { created: now, idle: 60_000, expires: now + 60_000, deadline: now + 600_000 };
 * await store.create(key, { data: { cart: ["tea"] }, user: "Ada", ...life });
 *
 * const again = new FileStore({ dir });
 * assertEquals((await again.read(key))?.data, { cart: ["tea"] });
 * for await (const [found] of again.sessionsOf("Ada")) assertEquals(found, key);
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class FileStore implements SessionStore {
  #dir: string;
  #max: number;
  #sync: "normal" | "full";
  #log: Log;
  #now: () => number;
  #folder: Folder;
  #roster: Roster;
  #queue: Queue;
  #together = new Together((key, change) => this.#update(key, change));
  #reader: Reader;
  #census: Census;
  #sweep: Sweep;
  #files: Files;

  /**
   * Makes a store; touches nothing yet.
   *
   * @param options The folder, and what differs from the defaults.
   * @throws {TypeError} if an option is missing, unknown or invalid; {@linkcode RangeError} if a number is. Where there
   * are no file locks, it always throws: on Node, on Bun, and on Deno before 2.7.
   */
  constructor(options: FileStoreOptions) {
    if (!("Deno" in globalThis && "tryLockSync" in Deno.FsFile.prototype)) {
      throw new TypeError("A FileStore needs the file locks of Deno 2.7 or later: use SqliteStore instead");
    }
    const { max, log, now } = checkStoreOptions("FileStore", options, RULES);
    this.#dir = options.dir;
    this.#max = max;
    this.#sync = options.sync ?? "normal";
    this.#log = log;
    this.#now = now;
    this.#folder = new Folder(this.#dir);
    this.#roster = new Roster(this.#dir);
    this.#queue = new Queue(this.#dir);
    this.#reader = new Reader(this.#dir, this.#roster, options.cacheBytes ?? 16 * 1024 * 1024);
    this.#census = new Census(this.#dir, this.#max, this.#log);
    const removed = (key: string) => this.#files.forget(key);
    this.#sweep = new Sweep({ dir: this.#dir, census: this.#census, log, now, removed });
    const [reader, census, sweep] = [this.#reader, this.#census, this.#sweep];
    this.#files = new Files({ dir: this.#dir, sync: this.#sync, reader, census, sweep, log });
  }

  /**
   * Makes the folder if it is missing, tries it out, and begins to count what is in it. Calling it is optional: the
   * folder is also made when the first session is stored.
   *
   * @throws {Error} if files cannot be made or locked in it, if other things lie in it, or if it holds sessions but not the
   * file that was made with the first of them.
   */
  async ready(): Promise<void> {
    await this.#try(() => {
      this.#folder.open();
      if (!probe(this.#dir, this.#log)) this.#reader.keepNothing();
      this.#roster.join();
      this.#queue.clear();
      // The first session need not wait for the count then, if it comes later.
      this.#census.begin();
    });
  }

  groupOf(user: string): string | Promise<string> {
    if (this.#folder.isKnown) return this.#folder.groupOf(user);
    return this.#try(async () => {
      await this.#folder.ready();
      return this.#folder.groupOf(user);
    });
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    try {
      const making = this.#folder.ready();
      if (making !== undefined) await making;
      this.#folder.checkOwner(key, record.user);
      const counting = this.#census.ready();
      if (counting !== undefined) await counting;
      while (this.#census.isFull) {
        if (await this.#sweep.makeRoom()) continue;
        throw new StoreFullError(`Cannot create a session: "${this.#dir}" may hold ${this.#max} live sessions`);
      }
      const flushed = this.#files.make(key, record);
      if (flushed !== undefined) await flushed;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    const fresh = this.#folder.isKnown ? this.#reader.fresh(key) : undefined;
    if (fresh !== undefined) return this.#live(fresh);
    return await this.#try(async () => {
      let content = await this.#read(key);
      if (content === undefined || !this.#folder.isKnown) {
        this.#folder.check();
        // The folder may have been away at the first look, and back at the check.
        if (content === undefined && exists(pathOf(this.#dir, key))) content = await this.#read(key);
      }
      if (content === "corrupt") this.#files.setAside(key);
      return this.#live(content);
    });
  }

  update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return this.#together.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    // Under the lock, as otherwise a sweep could find the session over just before, and remove it just after.
    const touched = await this.#changed(key, (path, record) => {
      if (expires >= record.expires) {
        const used = withEnd(record, expires);
        keepTimes(path, used);
        const stat = lstat(path);
        if (stat !== undefined && stat.mtime >= expires) {
          this.#reader.keep(key, used, stat);
          return then(this.#sync === "full" ? flush(path) : undefined, () => true);
        }
      }
      // Written is what the time of a file cannot say: an earlier end, one past the deadline, or one finer than it.
      return then(this.#files.replace(key, path, withEnd(record, expires)), () => true);
    });
    return touched ?? false;
  }

  async delete(key: string): Promise<boolean> {
    return (await this.deleteMany([key])).length > 0;
  }

  async deleteMany(keys: readonly string[]): Promise<readonly string[]> {
    const ended: string[] = [];
    const slices = new Slices();
    for (const key of keys) {
      if (await this.#locked(key, (path) => this.#files.remove(key, path))) ended.push(key);
      await slices.next();
    }
    await this.#try(() => this.#files.flushRemoved(ended));
    if (ended.length > 0) await this.#roster.waitAfter();
    return ended;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changed(from, (path, record) => {
      const moved = freeze(applyChange(change, record));
      this.#folder.checkOwner(to, moved.user);
      return then(this.#files.make(to, moved), () => {
        try {
          this.#files.remove(from, path);
        } catch (error) {
          removeIfThere(pathOf(this.#dir, to));
          this.#files.forget(to);
          throw error;
        }
        return then(this.#files.flushRemoved([from]), () => moved);
      });
    });
  }

  /**
   * The live sessions of a user. Those that a later version wrote are the user's if their key is in the user's group. One
   * in four billion of other sessions has the same group by chance, so a log-out everywhere might end one of another user,
   * but none of the user's is left.
   */
  async *sessionsOf(user: string): AsyncGenerator<StoredSession> {
    try {
      this.#folder.check();
      if (!this.#folder.isKnown) return;
      const group = this.#folder.groupOf(user);
      const list = async () => {
        const names = await this.#census.list(shardOf(group));
        this.#folder.check();
        return keysOf(group, names);
      };
      for await (const [key, content] of eachOf(list, (key) => this.#read(key))) {
        const record = this.#live(content);
        if (content === "newer") yield [key, undefined];
        else if (record?.user === user) yield [key, record];
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    try {
      this.#folder.check();
      yield* listSessions(this.#dir, this.#census, this.#now, this.#log);
      this.#folder.check();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  sweep(): void {
    this.#sweep.run();
  }

  async sweepAll(onRemoved?: (count: number) => void): Promise<number> {
    return await this.#try(() => {
      this.#folder.check();
      return this.#sweep.all(onRemoved);
    });
  }

  /** Waits for what runs in the background, and leaves the folder to others; the store can be used on. */
  async close(): Promise<void> {
    await this.#sweep.close();
    await this.#census.close();
    this.#roster.leave();
  }

  #live(content: Content): SessionRecord | undefined {
    return typeof content === "object" && isLive(content, this.#now()) ? content : undefined;
  }

  /** What a session's file holds now. */
  async #read(key: string): Promise<Content> {
    try {
      return this.#reader.read(key);
    } catch (error) {
      if (!isLocked(error)) throw error;
      return await this.#locked(key, (_, found) => found);
    }
  }

  /** Changes a live session under the lock of its file. Returns `undefined` if there is no such session. */
  async #changed<T>(key: string, work: Work<SessionRecord, T>): Promise<T | undefined> {
    const result = await this.#locked(key, (path, found) => found === "newer" ? undefined : work(path, found));
    if (result !== undefined) await this.#roster.waitAfter();
    return result;
  }

  /**
   * Does some work on a session's file under its lock. Waits while another process has the lock.
   *
   * @param work Is called with a live record, or with `"newer"` for one of a later version.
   * @returns What the work returns; `undefined` if there is no such session.
   */
  async #locked<T>(key: string, work: Work<SessionRecord | "newer", T>): Promise<T | undefined> {
    const path = pathOf(this.#dir, key);
    return await this.#try(() =>
      this.#queue.run(key, async () => {
        for (let waiting = this.#roster.wait(); waiting !== undefined; waiting = this.#roster.wait()) await waiting;
        this.#folder.check();
        let isCorrupt = false;
        const outcome = tryLocked(path, (stat, file) => {
          const content = this.#reader.readLocked(key, path, stat, file);
          isCorrupt = content === "corrupt";
          const found = content === "newer" ? content : this.#live(content);
          return found && work(path, found);
        });
        if (outcome === "busy") return outcome;
        // The folder may have gone between the check and the look for the file.
        if (outcome === "missing") this.#folder.check();
        if (outcome === "irregular" || isCorrupt) this.#files.setAside(key);
        return typeof outcome === "string" ? undefined : await outcome.result;
      })
    );
  }

  async #update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changed(key, (path, record) => {
      const updated = freeze(applyChange(change, record));
      return then(this.#files.replace(key, path, updated), () => updated);
    });
  }

  /** Does some work; what it throws is made into an error for programs. */
  async #try<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** The failure of a file call, which names the folder; an error of the contract as it is. */
  #failure(error: unknown): unknown {
    if (error instanceof ChangeError) return error.cause;
    if (error instanceof SessionError || error instanceof TypeError) return error;
    if (error instanceof Deno.errors.AlreadyExists) return new KeyTakenError();
    const reason = reasonOf(error);
    return new Error(reason.includes(this.#dir) ? reason : `${reason} in "${this.#dir}"`);
  }
}

/** Goes on at once, or when the disk has what it should. */
function then<T>(flushed: Promise<void> | undefined, next: () => T | Promise<T>): T | Promise<T> {
  return flushed === undefined ? next() : flushed.then(next);
}
