/**
 * FileStore: one JSON file per session, safe for several processes that share the folder.
 *
 * A session's id and its key have 40 hex digits each, and begin with the same 8 digits, the group:
 *
 * - id = group + 128 secret random bits. Only the browser has it.
 * - key = group + hash of the id. The session's file is `<dir>/<the first 3 digits>/<the other 37>.json`. The first 3
 *   digits are its shard: the name of a subfolder.
 *
 * The group is a hash of the user's name, or random if no user is logged in. So the sessions of a user are in one
 * shard, and need no index. The protocol:
 *
 * - A process replaces or removes a file only while it holds the file's exclusive lock. The operating system releases
 *   the lock when the process dies.
 * - A process writes new content to a temporary file beside the session's, and renames it over that file. A reader sees
 *   the old content or the new. It takes no lock, except on Windows, where a locked file cannot be read.
 * - No other process knows the key of a new session. So its file is written directly, without a lock. If the process
 *   dies before the file is complete, the sweep removes the file a minute later.
 * - If a session gets a new id, its file moves to the new key: a process locks the old file, writes the new one, whose
 *   key no other process knows, and removes the old one. If it dies before the removal, the session is still there
 *   under its old key. The new file is listed as a session until it expires, but no browser has its id.
 * - File calls are synchronous. On a local disk they take microseconds, and asynchronous ones would take longer. On a
 *   slow disk, they block the process. Two calls are asynchronous: the wait for the disk (`sync: "full"`), which delays
 *   only other changes of the same session, and the listing of a long folder, which delays nothing.
 *
 * The other modules of the store:
 *
 * - ./record.ts reads a session's file. A use stores the new end of the session in the file's modification time.
 * - reader.ts caches records. It returns a cached record only if the file has the same times, size and inode as when
 *   the record was read.
 * - files.ts makes, replaces and removes the files of sessions.
 * - queue.ts gives the changes of a session their order. A process that waits for a session's lock makes a ticket,
 *   which is a file.
 * - roster.ts knows which processes change sessions in the folder. While there is only one, it looks at the state
 *   of a file only every 250 ms. A second process waits until the first has noticed it, before it changes a session.
 * - folder.ts recognizes the folder by a secret in the file `folder.secret`. The store remembers the secret that it
 *   read first. If another folder is at the path later, for example because a disk is not mounted, its secret is
 *   missing or differs. The secret is also part of the hash of a user's name. It does not sign cookies.
 * - census.ts lists and counts the sessions. sweep.ts removes those that have expired.
 *
 * @module
 */
import { SessionError } from "../../errors.ts";
import { endOf, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, KeyTakenError, type SessionStore, type StoredSession, StoreFullError } from "../../store.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { eachOf } from "../_each_of.ts";
import { TimeSlice } from "../_pause.ts";
import { UpdateBatcher } from "../_update_batcher.ts";
import { exists, isLocked, lstat, reasonOf } from "./calls.ts";
import { Census } from "./census.ts";
import { Files } from "./files.ts";
import { Folder } from "./folder.ts";
import { keysWithPrefix, pathOf, shardOf } from "./names.ts";
import { type FileStoreOptions, type Settings, settingsOf } from "./options.ts";
import { Queue } from "./queue.ts";
import { Reader } from "./reader.ts";
import { type Content, readRecord } from "./record.ts";
import { Roster } from "./roster.ts";
import { Sweep } from "./sweep.ts";

export type { FileStoreOptions } from "./options.ts";

/** Work on a live session. It is called while the session's file is locked. */
type WorkOn<Found, T> = (path: string, found: Found) => T | Promise<T>;

/**
 * Sessions as JSON files in a folder.
 *
 * Several processes may share the folder if file locks work between them, as on local file systems of Linux and macOS.
 * On Windows the store was not tested: use at most one process.
 * The sessions survive if a process dies at any moment. Unless `sync` is `"full"`, the store does not wait for the
 * disk. Then a power cut may undo the changes of the last seconds. If a file is unreadable after it, that session is
 * lost.
 *
 * @example
 * ```ts
 * import { FileStore, keyOf, newId } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const store = new FileStore({ dir });
 * const now = Date.now(); // records have milliseconds
 * const id = newId(await store.groupOf("Ada")); // the manager sends it to the browser
 * const key = keyOf(id);
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
  // If several changes of one session are waiting, they are stored together, in one write.
  #updates = new UpdateBatcher((key, change) => this.#update(key, change));

  /**
   * Makes a store. It uses no file before one of its methods is called.
   *
   * @param options The folder, and the options that differ from their defaults.
   * @throws {TypeError} if an option is missing, unknown or invalid. It is always thrown on Node, on Bun, and on Deno
   * before 2.7, because these have no file locks.
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
   * Makes the folder if it is missing, tests its file system, starts to count the sessions in it, and joins the roster.
   * Calling this is optional. Without it, the first change of a stored session joins the roster, and the first `create`
   * does the rest.
   *
   * @throws {Error} if files cannot be made or locked in the folder, or if other files are in it. It is also thrown if
   * the folder has sessions but its secret is lost. (The secret is made before the first session.)
   */
  async ready(): Promise<void> {
    await this.#try(async () => {
      this.#folder.ensureFolder();
      this.#roster.join();
      this.#queue.removeDeadTickets();
      await this.#reader.probe();
      this.#census.begin();
    });
  }

  groupOf(user: string): string | Promise<string> {
    if (this.#folder.knowsSecret) return this.#folder.groupOf(user);
    return this.#try(async () => {
      await this.#folder.ensureSecret();
      return this.#folder.groupOf(user);
    });
  }

  async create(key: string, record: SessionRecord): Promise<void> {
    await this.#try(async () => {
      await this.#folder.ensureSecret();
      this.#folder.checkGroup(key, record.user);
      await this.#reader.probeOnce();
      await this.#census.ready();
      while (this.#census.isFull) {
        if (await this.#sweep.removeExpired()) continue;
        const { dir, max } = this.#settings;
        throw new StoreFullError(`Cannot create a session: "${dir}" may hold ${max} live sessions`);
      }
      await this.#files.make(key, record);
      // If the sweep is behind, this waits for it.
      await this.#sweep.noteCreated(endOf(record));
    });
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    const cached = this.#reader.cached(key);
    if (cached !== undefined) return this.#live(cached);
    return await this.#try(async () => {
      // The first check reads the secret and remembers it, before a record is cached. Later checks compare it.
      if (!this.#folder.knowsSecret) this.#folder.checkSecret();
      let content = await this.#contentOf(key);
      if (content === undefined) {
        this.#folder.checkSecret();
        // The folder may have been missing at the read (a disk that was not mounted), and be back at the check.
        if (exists(pathOf(this.#settings.dir, key))) content = await this.#contentOf(key);
      }
      // `#withLock` moves the corrupt file out of the way. It cannot be the unfinished file of a new session, because
      // no caller knows such a key yet.
      if (content === "corrupt") await this.#withLock(key, () => undefined);
      return this.#live(content);
    });
  }

  update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return this.#updates.update(key, change);
  }

  async touch(key: string, expires: number): Promise<boolean> {
    // Without the lock, the session could expire just before this write, and a sweep could remove it just after.
    const touched = await this.#withLive(key, async (path, record) => {
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
    const slice = new TimeSlice();
    for (const key of keys) {
      if (await this.#withLock(key, (path) => this.#files.remove(key, path))) ended.push(key);
      await slice.yieldIfOver();
    }
    await this.#try(() => this.#files.flushFolders(ended));
    // Usually, there is nothing to wait for. If this process could not join the roster, as on a full disk, others may
    // think that they are alone, and answer from their caches for up to 250 ms. Then this waits for longer than that.
    if (ended.length > 0) await this.#roster.waitAfterChange();
    return ended;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#withLive(from, async (path, record) => {
      const moved = freeze(applyChange(change, record));
      this.#folder.checkGroup(to, moved.user);
      await this.#files.make(to, moved);
      this.#sweep.noteEnd(endOf(moved));
      try {
        this.#files.remove(from, path);
      } catch (error) {
        this.#files.discard(to);
        throw error;
      }
      await this.#files.flushFolders([from]);
      return moved;
    });
  }

  /**
   * Finds the live sessions of a user.
   *
   * If a newer version of the library wrote a record, this version cannot read the user in it. The store yields such a
   * session, without a record, if its key has the user's group. Two users have the same group with a chance of one in
   * four billion. If one of them is then logged out everywhere, the other loses sessions of the newer version.
   */
  async *sessionsOf(user: string): AsyncGenerator<StoredSession> {
    try {
      this.#folder.checkSecret();
      // The check has read the secret, if there is one. A folder without a secret has no sessions yet.
      if (!this.#folder.knowsSecret) return;
      const group = this.#folder.groupOf(user);
      const list = async () => {
        const names = await this.#census.list(shardOf(group));
        this.#folder.checkSecret();
        return keysWithPrefix(group, names);
      };
      // `eachOf` lists again if a listed session has got a new key.
      for await (const [key, content] of eachOf(list, (key) => this.#contentOf(key))) {
        const record = this.#live(content);
        if (content === "newer") yield [key, undefined];
        else if (record?.user === user) yield [key, record];
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    const slice = new TimeSlice();
    try {
      this.#folder.checkSecret();
      for await (const [shard, names] of this.#census.shards()) {
        for (const key of keysWithPrefix(shard, names)) {
          const record = this.#live(this.#readForList(key));
          if (record !== undefined) yield [key, record];
          await slice.yieldIfOver();
        }
      }
      this.#folder.checkSecret();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  sweep(): void {
    this.#sweep.run();
  }

  async sweepAll(onRemoved?: (count: number) => void): Promise<number> {
    return await this.#try(() => {
      this.#folder.checkSecret();
      return this.#sweep.all(onRemoved);
    });
  }

  /** Waits for the work in the background, and leaves the roster. The store can be used again. */
  async close(): Promise<void> {
    await this.#sweep.close();
    await this.#census.close();
    this.#roster.leave();
  }

  #live(content: Content): SessionRecord | undefined {
    return typeof content === "object" && isLive(content, this.#settings.now()) ? content : undefined;
  }

  /**
   * The content of a session's file. It does not move a corrupt file: for `sessionsOf`, this can be the unfinished file
   * of a new session.
   */
  async #contentOf(key: string): Promise<Content> {
    try {
      return this.#reader.read(key);
    } catch (error) {
      // On Windows, this waits until another process has unlocked the file. An unfinished file is not locked.
      if (!isLocked(error)) throw error;
      return await this.#withLock(key, (_, found) => found);
    }
  }

  /** The content of a session's file, for the list. It is not cached. If the file cannot be read, that is logged. */
  #readForList(key: string): Content {
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

  /** Changes a live session under its lock. Returns `undefined` if there is none that this version can read. */
  async #withLive<T>(key: string, work: WorkOn<SessionRecord, T>): Promise<T | undefined> {
    const result = await this.#withLock(key, (path, found) => found === "newer" ? undefined : work(path, found));
    if (result !== undefined) await this.#roster.waitAfterChange();
    return result;
  }

  /**
   * Does some work while a session's file is locked. Waits while another process has the lock. If the file is corrupt,
   * moves it out of the way.
   *
   * @param work Is called with a live record, or with `"newer"` if a later version of the library wrote it.
   * @returns The result of the work; `undefined` if there is no such session.
   */
  async #withLock<T>(key: string, work: WorkOn<SessionRecord | "newer", T>): Promise<T | undefined> {
    try {
      const path = pathOf(this.#settings.dir, key);
      const outcome = await this.#queue.withLock(key, (stat, file) => {
        this.#folder.checkSecret();
        const content = this.#reader.readLocked(key, path, stat, file);
        if (content === "corrupt") this.#files.setAside(key, path);
        const found = content === "newer" ? content : this.#live(content);
        return found && work(path, found);
      });
      // `queue.withLock` returns the result of the work in an object, or else "missing" or "not a file".
      if (typeof outcome === "object") return outcome.result;
      this.#folder.checkSecret();
      if (outcome === "not a file") this.#files.setAside(key, path);
      return undefined;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async #update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#withLive(key, async (path, record) => {
      const updated = freeze(applyChange(change, record));
      await this.#files.replace(key, path, updated);
      this.#sweep.noteEnd(endOf(updated));
      return updated;
    });
  }

  /** Does some work. If it fails, throws the error that {@linkcode #failure} makes of the failure. */
  async #try<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** The error to throw. A failed file call becomes an error that names the folder, or tells that the key is taken. */
  #failure(error: unknown): unknown {
    if (error instanceof ChangeError) return error.cause; // the error that the caller's change threw
    if (error instanceof SessionError || error instanceof TypeError) return error;
    if (error instanceof Deno.errors.AlreadyExists) return new KeyTakenError();
    const reason = reasonOf(error);
    return new Error(reason.includes(this.#settings.dir) ? reason : `${reason} in "${this.#settings.dir}"`);
  }
}
