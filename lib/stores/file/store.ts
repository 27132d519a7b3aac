/**
 * FileStore: each session a JSON file, safe for several processes over one folder.
 *
 * A session is `<dir>/<3 hex digits>/<the other 37>.json`; the sessions of a user are in one folder under names that begin
 * alike, so the place of a file is all the index there is. The protocol:
 *
 * - A name only ever changes under an exclusive lock of the file it names; a lock dies with its process.
 * - New content is written beside it, then renamed over it: a reader, who takes no lock, sees the old or the new.
 * - A new session is nobody's yet, so it is written in its place, without a lock. What a process leaves unfinished when
 *   it dies is swept a minute later.
 * - A session that moves is written under its new key, which nobody knows, under the old one's lock, and the old file is
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
import { endOf, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, KeyTakenError, type SessionStore, StoreFullError } from "../../store.ts";
import { checkStoreOptions, type StoreOptions } from "../_options.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { pause } from "../_pause.ts";
import { flush, isMissing, lstat, reasonOf, removeIfThere, setTime, tryLocked } from "./calls.ts";
import { Census } from "./census.ts";
import { Folder } from "./folder.ts";
import { listSessions } from "./list.ts";
import { CORRUPT, isSession, keyIn, pathOf, shardOf } from "./names.ts";
import { probe } from "./probe.ts";
import { type Content, Reader } from "./reader.ts";
import { flushNames, makeRecord, replaceRecord, setAside, withEnd } from "./record.ts";
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

/** How long to wait for another process's lock, in milliseconds, before giving up. */
const LOCK_DEADLINE = 5000;

/** What is done to a session under the lock of its file. */
type Work<T> = (path: string, record: SessionRecord) => T | Promise<T>;

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
  #reader: Reader;
  #census: Census;
  #sweep: Sweep;

  /**
   * Makes a store; touches nothing yet.
   *
   * @param options The folder, and what differs from the defaults.
   * @throws {TypeError} if an option is missing, unknown or invalid; {@linkcode RangeError} if a number is.
   */
  constructor(options: FileStoreOptions) {
    const { max, log, now } = checkStoreOptions("FileStore", options, RULES);
    this.#dir = options.dir;
    this.#max = max;
    this.#sync = options.sync ?? "normal";
    this.#log = log;
    this.#now = now;
    this.#folder = new Folder(this.#dir);
    this.#roster = new Roster(this.#dir);
    this.#reader = new Reader(this.#dir, this.#roster, options.cacheBytes ?? 16 * 1024 * 1024);
    this.#census = new Census(this.#dir, this.#max, this.#log);
    const removed = (key: string) => this.#forget(key);
    this.#sweep = new Sweep({ dir: this.#dir, census: this.#census, log, now, removed });
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
      // In a folder of a million this takes seconds, which the first new session need not wait for if it comes later.
      this.#census.ready()?.catch(() => {});
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
      const making = this.#folder.ready();
      if (making !== undefined) await making;
      this.#checkOwner(key, record.user);
      const counting = this.#census.ready();
      if (counting !== undefined) await counting;
      while (this.#census.isFull) {
        if (await this.#sweep.makeRoom()) continue;
        throw new StoreFullError(`Cannot create a session: "${this.#dir}" may hold ${this.#max} live sessions`);
      }
      const flushed = this.#make(key, record);
      if (flushed !== undefined) await flushed;
    });
  }

  async read(key: string): Promise<SessionRecord | undefined> {
    return await this.#try(() => {
      let content = this.#reader.read(key);
      if (content === undefined || !this.#folder.isKnown) {
        this.#folder.check();
        // The folder may have been away at the first look, and back at the check.
        content = this.#reader.read(key);
      }
      if (content === "corrupt") this.#setAside(key);
      return this.#live(content);
    });
  }

  async update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#locked(key, (path, record) => {
      const updated = freeze(applyChange(change, record));
      return then(this.#write(key, path, updated), () => updated);
    });
  }

  async touch(key: string, expires: number): Promise<boolean> {
    // Under the lock, as otherwise a sweep could find the session over just before, and remove it just after.
    const touched = await this.#locked(key, (path, record) => {
      if (expires >= record.expires) {
        setTime(path, expires);
        const stat = lstat(path);
        if (stat !== undefined && stat.mtime >= expires) {
          this.#reader.keep(key, withEnd(record, expires), stat);
          return then(this.#sync === "full" ? flush(path) : undefined, () => true);
        }
      }
      // An earlier end is written, and so is one that a file system with coarse times does not keep.
      return then(this.#write(key, path, withEnd(record, expires)), () => true);
    });
    return touched ?? false;
  }

  async delete(key: string): Promise<boolean> {
    const ended = await this.#locked(key, (path) => then(this.#remove(key, path), () => true));
    return ended ?? false;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#locked(from, (path, record) => {
      const moved = freeze(applyChange(change, record));
      this.#checkOwner(to, moved.user);
      return then(this.#make(to, moved), () => {
        try {
          return then(this.#remove(from, path), () => moved);
        } catch (error) {
          removeIfThere(pathOf(this.#dir, to));
          this.#forget(to);
          throw error;
        }
      });
    });
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    try {
      this.#folder.check();
      if (!this.#folder.isKnown) return;
      const group = this.#folder.groupOf(user);
      const names = this.#census.list(shardOf(group));
      this.#folder.check();
      for (const name of names) {
        const key = keyIn(shardOf(group), name);
        if (!key.startsWith(group) || !isSession(name)) continue;
        const record = this.#live(this.#reader.read(key));
        if (record?.user === user) yield [key, record];
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

  async sweepAll(): Promise<number> {
    return await this.#try(() => {
      this.#folder.check();
      return this.#sweep.all();
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

  /**
   * Does some work on a live session's file under its lock. Waits while another process has the lock.
   *
   * @returns What the work returns; `undefined` if there is no such session.
   */
  async #locked<T>(key: string, work: Work<T>): Promise<T | undefined> {
    const path = pathOf(this.#dir, key);
    const start = performance.now();
    return await this.#try(async () => {
      while (true) {
        const waiting = this.#roster.wait();
        if (waiting !== undefined) {
          await waiting;
          continue;
        }
        this.#folder.check();
        let isCorrupt = false;
        const outcome = tryLocked(path, (stat) => {
          const content = this.#reader.readLocked(key, path, stat);
          isCorrupt = content === "corrupt";
          const record = this.#live(content);
          return record && work(path, record);
        });
        if (outcome === "busy") {
          if (performance.now() - start > LOCK_DEADLINE) {
            throw new Error(`Another process has kept a session locked for ${LOCK_DEADLINE / 1000} seconds`);
          }
          await pause(1 + Math.random() * 4);
          continue;
        }
        // The folder may have gone between the check and the look for the file.
        if (outcome === "missing") this.#folder.check();
        if (outcome === "irregular" || isCorrupt) this.#setAside(key);
        if (typeof outcome === "string") return undefined;
        const result = outcome.result instanceof Promise ? await outcome.result : outcome.result;
        if (result !== undefined) await this.#roster.waitAfter();
        return result;
      }
    });
  }

  /** Makes the file of a new session. */
  #make(key: string, record: SessionRecord): Promise<void> | undefined {
    const flushed = makeRecord(this.#dir, key, record, this.#sync);
    this.#census.add(key, 1);
    this.#sweep.created(endOf(record));
    return flushed?.catch((error) => {
      this.#forget(key);
      throw error;
    });
  }

  /** Puts another record into the place of a session's, under the lock of its file. */
  #write(key: string, path: string, record: SessionRecord): Promise<void> | undefined {
    const flushed = replaceRecord(path, record, this.#sync);
    this.#reader.forget(key);
    this.#sweep.noteEnd(endOf(record));
    // While the disk was waited for, a reader may have kept the old one.
    return flushed?.finally(() => this.#reader.forget(key));
  }

  /** Removes the file of a session, under its lock. */
  #remove(key: string, path: string): Promise<void> | undefined {
    Deno.removeSync(path);
    this.#forget(key);
    return this.#sync === "full" ? flushNames(this.#dir, key) : undefined;
  }

  /** Takes a session whose file is gone out of memory and out of the count. */
  #forget(key: string): void {
    this.#reader.forget(key);
    this.#census.add(key, -1);
  }

  /** Moves a corrupt record out of the way, and logs that. */
  #setAside(key: string): void {
    try {
      if (!setAside(pathOf(this.#dir, key))) return;
      this.#forget(key);
      const detail = `its name in "${this.#dir}" now ends in "${CORRUPT}"`;
      this.#log("warn", "A corrupt session record was put aside", detail);
    } catch (error) {
      if (isMissing(error)) return;
      this.#log("warn", "A corrupt session record could not be put aside", `${reasonOf(error)} in "${this.#dir}"`);
    }
  }

  /**
   * Makes sure that a user's session will be found by its key.
   *
   * @throws {TypeError} if the key was not made for the user.
   */
  #checkOwner(key: string, user: string | undefined): void {
    if (user === undefined || key.startsWith(this.#folder.groupOf(user))) return;
    throw new TypeError("Cannot store a session of a user: its key must begin with what groupOf() gives for the user");
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
