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
 * - A session that moves is written under its new id, which nobody knows, under the old one's lock, and the old file is
 *   removed: what a process leaves when it dies in between is the old session, as if nothing had been done.
 * - What happens under a lock is synchronous, unless it waits for the disk: inside one process, nothing comes between.
 *   It costs a third of the same calls made asynchronously.
 *
 * When a session ends is told in record.ts, and who else has the folder open in roster.ts.
 *
 * @module
 */
import { type Log, silent } from "../../log.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { endOf, freeze, isLive, type SessionRecord } from "../../record.ts";
import { type Change, type SessionStore, StoreFullError } from "../../store.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { pause } from "../_pause.ts";
import { flush, isMissing, lstat, reasonOf, removeIfThere, setTime, tryLocked } from "./calls.ts";
import { Census } from "./census.ts";
import { listSessions } from "./list.ts";
import { checkOwner, CORRUPT, groupOf, idOf, isSession, pathOf, placeOf } from "./names.ts";
import { probe } from "./probe.ts";
import { type Content, Reader } from "./reader.ts";
import { flushNames, makeRecord, readRecord, replaceRecord, withEnd } from "./record.ts";
import { Roster } from "./roster.ts";
import { Sweep } from "./sweep.ts";

/** The options of a {@linkcode FileStore}. */
export interface FileStoreOptions {
  /** The folder; it and those in it are made with mode 0700 when missing. */
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
  /** Told of corrupt records, sweeps and the like. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

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
 * const key = newId(store.groupOf("Ada"));
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
  #roster: Roster;
  #reader: Reader;
  #census: Census;
  #sweep: Sweep;
  #wasReady = false;

  /**
   * Makes a store; touches nothing yet.
   *
   * @param options The folder, and what differs from the defaults.
   * @throws {TypeError} where there are no file locks: on Node, on Bun, and on Deno before 2.7.
   */
  constructor(options: FileStoreOptions) {
    if (!("Deno" in globalThis && "tryLockSync" in Deno.FsFile.prototype)) {
      throw new TypeError("A FileStore needs the file locks of Deno 2.7 or later: use SqliteStore instead");
    }
    this.#dir = options.dir;
    this.#max = options.max ?? 1_000_000;
    this.#sync = options.sync ?? "normal";
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    this.#roster = new Roster(this.#dir);
    this.#reader = new Reader(this.#dir, this.#roster, options.cacheBytes ?? 16 * 1024 * 1024);
    this.#census = new Census(this.#dir, this.#max, this.#log);
    const removed = (id: string) => this.#forget(id);
    this.#sweep = new Sweep({ dir: this.#dir, census: this.#census, log: this.#log, now: this.#now, removed });
  }

  /**
   * Makes the folder if it is missing, tries it out, and begins to count what is in it. Calling it is optional: the
   * folder is also made when the first session is stored.
   *
   * @throws {Error} if files cannot be made or locked in it.
   */
  // deno-lint-ignore require-await -- a failure rejects
  async ready(): Promise<void> {
    try {
      // Once it was there, it is not made anew: that would hide what comes back, as after a disk was unmounted.
      if (!this.#wasReady) Deno.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      if (!probe(this.#dir, this.#log)) this.#reader.keepNothing();
      this.#roster.join();
      this.#wasReady = true;
      // In a folder of a million this takes seconds, which the first new session need not wait for if it comes later.
      this.#census.ready()?.catch(() => {});
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) throw new Error(`"${this.#dir}" is no folder`);
      throw this.#failure(error);
    }
  }

  groupOf(user: string): string {
    return groupOf(user);
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    checkOwner(id, record.user);
    try {
      const counting = this.#census.ready();
      if (counting !== undefined) await counting;
      while (this.#census.isFull) {
        if (await this.#sweep.makeRoom()) continue;
        throw new StoreFullError(`Cannot create a session: "${this.#dir}" may hold ${this.#max} live sessions`);
      }
      const flushed = this.#make(id, record);
      if (flushed !== undefined) await flushed;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  // deno-lint-ignore require-await -- a failure rejects
  async read(id: string): Promise<SessionRecord | undefined> {
    try {
      const content = this.#reader.read(id);
      if (content === "corrupt") this.#setAside(id);
      return this.#live(content);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#locked(id, (path, record) => {
      const updated = freeze(applyChange(change, record));
      return then(this.#write(id, path, updated), () => updated);
    });
  }

  async touch(id: string, expires: number): Promise<boolean> {
    // Under the lock, as otherwise a sweep could find the session over just before, and remove it just after.
    const touched = await this.#locked(id, (path, record) => {
      if (expires >= record.expires) {
        setTime(path, expires);
        const stat = lstat(path);
        if (stat !== undefined && stat.mtime >= expires) {
          this.#reader.keep(id, withEnd(record, expires), stat);
          return then(this.#sync === "full" ? flush(path) : undefined, () => true);
        }
      }
      // An earlier end is written, and so is one that a file system with coarse times does not keep.
      return then(this.#write(id, path, withEnd(record, expires)), () => true);
    });
    return touched ?? false;
  }

  async delete(id: string): Promise<boolean> {
    const ended = await this.#locked(id, (path) => then(this.#remove(id, path), () => true));
    return ended ?? false;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await this.#locked(from, (path, record) => {
      const moved = freeze(applyChange(change, record));
      checkOwner(to, moved.user);
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
    const { shard, prefix } = placeOf(user);
    try {
      const names = this.#census.list(shard);
      // A missing folder is a failure, and no sign that the user has no session.
      if (names.length === 0) Deno.statSync(this.#dir);
      for (const name of names) {
        if (!name.startsWith(prefix) || !isSession(name)) continue;
        const id = idOf(shard, name);
        const record = this.#live(this.#reader.read(id));
        if (record?.user === user) yield [id, record];
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    try {
      yield* listSessions(this.#dir, this.#census, this.#now, this.#log);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  sweep(): void {
    this.#sweep.run();
  }

  async sweepAll(): Promise<number> {
    try {
      return await this.#sweep.all();
    } catch (error) {
      throw this.#failure(error);
    }
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
  async #locked<T>(id: string, work: Work<T>): Promise<T | undefined> {
    const path = pathOf(this.#dir, id);
    const start = performance.now();
    try {
      while (true) {
        const waiting = this.#roster.wait();
        if (waiting !== undefined) {
          await waiting;
          continue;
        }
        let isCorrupt = false;
        const outcome = tryLocked(path, (stat) => {
          const content = this.#reader.readLocked(id, path, stat);
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
        // A missing folder is a failure: it may come back, and the session with it.
        if (outcome === "missing") Deno.statSync(this.#dir);
        if (outcome === "irregular" || isCorrupt) this.#setAside(id);
        if (typeof outcome === "string") return undefined;
        const result = outcome.result instanceof Promise ? await outcome.result : outcome.result;
        if (result !== undefined) await this.#roster.waitAfter();
        return result;
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Makes the file of a new session. */
  #make(id: string, record: SessionRecord): Promise<void> | undefined {
    const flushed = makeRecord(this.#dir, id, record, this.#sync);
    this.#census.add(id, 1);
    this.#sweep.created(endOf(record));
    return flushed?.catch((error) => {
      this.#forget(id);
      throw error;
    });
  }

  /** Puts another record into the place of a session's, under the lock of its file. */
  #write(id: string, path: string, record: SessionRecord): Promise<void> | undefined {
    const flushed = replaceRecord(path, record, this.#sync);
    this.#reader.forget(id);
    this.#sweep.noteEnd(endOf(record));
    // While the disk was waited for, a reader may have kept the old one.
    return flushed?.finally(() => this.#reader.forget(id));
  }

  /** Removes the file of a session, under its lock. */
  #remove(id: string, path: string): Promise<void> | undefined {
    Deno.removeSync(path);
    this.#forget(id);
    return this.#sync === "full" ? flushNames(this.#dir, id) : undefined;
  }

  /** Takes a session whose file is gone out of memory and out of the count. */
  #forget(id: string): void {
    this.#reader.forget(id);
    this.#census.add(id, -1);
  }

  /** Moves a corrupt record out of the way, for somebody to look at, unless a good one has taken its place. */
  #setAside(id: string): void {
    const path = pathOf(this.#dir, id);
    try {
      const outcome = tryLocked(path, (stat) => {
        if (readRecord(path, stat) !== "corrupt") return false;
        Deno.renameSync(path, path + CORRUPT);
        return true;
      });
      if (outcome === "irregular") Deno.renameSync(path, path + CORRUPT);
      else if (typeof outcome === "string" || !outcome.result) return;
      this.#forget(id);
      this.#log(
        "warn",
        "A corrupt session record was put aside",
        `its name in "${this.#dir}" now ends in "${CORRUPT}"`,
      );
    } catch (error) {
      if (isMissing(error)) return;
      this.#log("warn", "A corrupt session record could not be put aside", `${reasonOf(error)} in "${this.#dir}"`);
    }
  }

  /** The failure of a file call without the path in it, since a path holds an id; any other as it is. */
  #failure(error: unknown): unknown {
    if (error instanceof ChangeError) return error.cause;
    if (error instanceof RecordTooLargeError || error instanceof StoreFullError || error instanceof TypeError) {
      return error;
    }
    if (error instanceof Deno.errors.AlreadyExists) {
      return new Error("Cannot create a session: its id is already there");
    }
    return new Error(`${reasonOf(error)} in "${this.#dir}"`);
  }
}

/** Goes on at once, or when the disk has what it should. */
function then<T>(flushed: Promise<void> | undefined, next: () => T | Promise<T>): T | Promise<T> {
  return flushed === undefined ? next() : flushed.then(next);
}
