/**
 * FileStore: one JSON file per session, safe for several processes that share the folder.
 *
 * A session's file is `<dir>/<3 hex digits>/<the other 37>.json`. The keys of a user's sessions begin with the same
 * 8 digits, a hash of the user's name. So these sessions are in one folder and need no index. The protocol:
 *
 * - A file is only replaced or removed under its own exclusive lock. A lock dies with its process.
 * - New content is written to a file beside it, which is then renamed over it. A reader takes no lock and sees the old
 *   content or the new.
 * - No other process knows a new session yet, so its file is written directly under its name, without a lock. If a
 *   process dies in between, the sweep removes the unfinished file a minute later.
 * - A session that moves is written under its new key, which no other process knows, under the lock of the old file.
 *   Then the old file is removed. If a process dies in between, the old session is there as if nothing had been done.
 * - File calls are synchronous, because that takes a third of the time. Only calls that wait for the disk are
 *   asynchronous. So a change in this process is done in one go, from the look at the file to the rename.
 *
 * record.ts tells when a session ends, roster.ts which processes have the folder open, queue.ts in which order they
 * change a session, and folder.ts how the folder is recognised.
 *
 * @module
 */
import { SessionError } from "../../errors.ts";
import { endOf, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, KeyTakenError, type SessionStore, type StoredSession, StoreFullError } from "../../store.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { eachOf } from "../_each_of.ts";
import { Slices } from "../_pause.ts";
import { Together } from "../_together.ts";
import { exists, isLocked, lstat, reasonOf } from "./calls.ts";
import { Census } from "./census.ts";
import { Files } from "./files.ts";
import { Folder } from "./folder.ts";
import { keysOf, pathOf, shardOf } from "./names.ts";
import { type FileStoreOptions, type Settings, settingsOf } from "./options.ts";
import { probe } from "./probe.ts";
import { Queue } from "./queue.ts";
import { Reader } from "./reader.ts";
import { type Content, readRecord } from "./record.ts";
import { Roster } from "./roster.ts";
import { Sweep } from "./sweep.ts";

export type { FileStoreOptions } from "./options.ts";

/** Work on a session that was found, under the lock of its file. */
type WorkOn<Found, T> = (path: string, found: Found) => T | Promise<T>;

/**
 * Sessions as JSON files in a folder.
 *
 * Several processes may share the folder if its file system has working locks between them, as local ones on Linux and
 * macOS do. The sessions survive the death of any process at any moment. Unless `sync` is `"full"` the store does not
 * wait for the disk: changes of the last seconds before a power cut may be lost, and a file that the cut left
 * unreadable counts as no session.
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
  #settings: Settings;
  #folder: Folder;
  #roster: Roster;
  #queue: Queue;
  #reader: Reader;
  #census: Census;
  #files: Files;
  #sweep: Sweep;
  #together = new Together((key, change) => this.#update(key, change));

  /**
   * Makes a store. Touches no file yet.
   *
   * @param options The folder, and what differs from the defaults.
   * @throws {TypeError} if an option is missing, unknown or invalid. Where there are no file locks, it always throws:
   * on Node, on Bun, and on Deno before 2.7.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: FileStoreOptions) {
    if (!("Deno" in globalThis && "tryLockSync" in Deno.FsFile.prototype)) {
      throw new TypeError("A FileStore needs the file locks of Deno 2.7 or later: use SqliteStore instead");
    }
    this.#settings = settingsOf(options);
    this.#folder = new Folder(this.#settings.dir);
    this.#roster = new Roster(this.#settings.dir);
    this.#queue = new Queue(this.#settings.dir, this.#roster);
    this.#reader = new Reader(this.#settings, this.#roster);
    this.#census = new Census(this.#settings);
    this.#files = new Files(this.#settings, this.#reader, this.#census);
    this.#sweep = new Sweep(this.#settings, this.#census, this.#files);
  }

  /**
   * Makes the folder if it is missing, tests what its file system can do, and starts to count the sessions in it.
   * Calling it is optional: the folder is also made when the first session is stored.
   *
   * @throws {Error} if files cannot be made or locked in it, if other things lie in it, or if it holds sessions but not
   * the file with the folder's secret, which was made with the first session (folder.ts).
   */
  async ready(): Promise<void> {
    await this.#try(async () => {
      this.#folder.open();
      this.#roster.join();
      this.#queue.clear();
      if (!await probe(this.#settings)) this.#reader.keepNothing();
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
    await this.#try(async () => {
      await this.#folder.ready();
      this.#folder.checkOwner(key, record.user);
      await this.#census.ready();
      while (this.#census.isFull) {
        if (await this.#sweep.makeRoom()) continue;
        const { dir, max } = this.#settings;
        throw new StoreFullError(`Cannot create a session: "${dir}" may hold ${max} live sessions`);
      }
      await this.#files.make(key, record);
      this.#sweep.created(endOf(record));
    });
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    const fresh = this.#reader.fresh(key);
    if (fresh !== undefined) return this.#live(fresh);
    return await this.#try(async () => {
      // The folder is checked before the first read, so that no record of a wrong folder gets into the cache.
      if (!this.#folder.isKnown) this.#folder.check();
      let content = await this.#read(key);
      if (content === undefined) {
        this.#folder.check();
        // The folder may have been away at the first look, and back at the check.
        if (exists(pathOf(this.#settings.dir, key))) content = await this.#read(key);
      }
      // Under the lock, a corrupt record is put aside.
      if (content === "corrupt") await this.#locked(key, () => undefined);
      return this.#live(content);
    });
  }

  update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return this.#together.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    // Without the lock, a sweep could see the session as expired just before the touch, and remove it just after.
    const touched = await this.#changed(key, async (path, record) => {
      await this.#files.touch(key, path, record, expires);
      this.#sweep.noteEnd(expires);
      return true;
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
    await this.#try(() => this.#files.flushNames(ended));
    if (ended.length > 0) await this.#roster.waitAfter();
    return ended;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changed(from, async (path, record) => {
      const moved = freeze(applyChange(change, record));
      this.#folder.checkOwner(to, moved.user);
      await this.#files.make(to, moved);
      this.#sweep.noteEnd(endOf(moved));
      try {
        this.#files.remove(from, path);
      } catch (error) {
        this.#files.discard(to);
        throw error;
      }
      await this.#files.flushNames([from]);
      return moved;
    });
  }

  /**
   * The live sessions of a user. A record that a newer version of the library wrote cannot be read, so its user is
   * taken from the first 8 digits of its key. By chance (one in four billion) these can be the digits of another user,
   * whose session a log-out everywhere would then end. It misses none of the user's.
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
    const slices = new Slices();
    try {
      this.#folder.check();
      for await (const [shard, names] of this.#census.shards()) {
        for (const key of keysOf(shard, names)) {
          const record = this.#live(this.#listed(key));
          if (record !== undefined) yield [key, record];
          await slices.next();
        }
      }
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

  /** Waits for the work in the background, and leaves the folder to others. The store can be used again. */
  async close(): Promise<void> {
    await this.#sweep.close();
    await this.#census.close();
    this.#roster.leave();
  }

  #live(content: Content): SessionRecord | undefined {
    return typeof content === "object" && isLive(content, this.#settings.now()) ? content : undefined;
  }

  /** The content of a session's file now. A corrupt one stays in its place: another process may be making it. */
  async #read(key: string): Promise<Content> {
    try {
      return this.#reader.read(key);
    } catch (error) {
      if (!isLocked(error)) throw error;
      return await this.#locked(key, (_, found) => found);
    }
  }

  /** The content of a session's file, for the list: not kept in memory. A file that cannot be read is logged. */
  #listed(key: string): Content {
    const { dir, log } = this.#settings;
    const path = pathOf(dir, key);
    try {
      const stat = lstat(path);
      return stat && readRecord(path, stat);
    } catch (error) {
      log("error", "A session cannot be read", `${reasonOf(error)} in "${dir}/${shardOf(key)}"`);
      return undefined;
    }
  }

  /** Changes a live session under the lock of its file. Returns `undefined` if there is no such session. */
  async #changed<T>(key: string, work: WorkOn<SessionRecord, T>): Promise<T | undefined> {
    const result = await this.#locked(key, (path, found) => found === "newer" ? undefined : work(path, found));
    if (result !== undefined) await this.#roster.waitAfter();
    return result;
  }

  /**
   * Does some work on a session's file under its lock. Waits while another process has the lock. Puts a corrupt file
   * aside.
   *
   * @param work Is called with a live record, or with `"newer"` if a later version wrote it.
   * @returns What the work returns; `undefined` if there is no such session.
   */
  async #locked<T>(key: string, work: WorkOn<SessionRecord | "newer", T>): Promise<T | undefined> {
    try {
      const path = pathOf(this.#settings.dir, key);
      const outcome = await this.#queue.locked(key, (stat, file) => {
        this.#folder.check();
        const content = this.#reader.readLocked(key, path, stat, file);
        if (content === "corrupt") this.#files.setAside(key, path);
        const found = content === "newer" ? content : this.#live(content);
        return found && work(path, found);
      });
      if (typeof outcome === "object") return outcome.result;
      this.#folder.check();
      if (outcome === "irregular") this.#files.setAside(key, path);
      return undefined;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async #update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#changed(key, async (path, record) => {
      const updated = freeze(applyChange(change, record));
      await this.#files.replace(key, path, updated);
      this.#sweep.noteEnd(endOf(updated));
      return updated;
    });
  }

  /** Does some work. Throws its failure as {@linkcode #failure} words it. */
  async #try<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** The error for a failed file call, which names the folder; an error of the contract as it is. */
  #failure(error: unknown): unknown {
    if (error instanceof ChangeError) return error.cause;
    if (error instanceof SessionError || error instanceof TypeError) return error;
    if (error instanceof Deno.errors.AlreadyExists) return new KeyTakenError();
    const reason = reasonOf(error);
    return new Error(reason.includes(this.#settings.dir) ? reason : `${reason} in "${this.#settings.dir}"`);
  }
}
