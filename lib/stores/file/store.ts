/**
 * FileStore: each session a JSON file, safe for several processes over one folder.
 *
 * A session is `<dir>/<2 hex>/<rest>.json`. When it ends unless it is used is in it, and so is when it was written. Using
 * it sets the mtime of the file to its new end, so that nothing is written into it: an mtime other than that of the
 * writing is the end. The protocol:
 *
 * - A name only ever changes under an exclusive lock of the file it names; a lock dies with its process.
 * - New content is written beside it, then renamed over it: a reader, who takes no lock, sees the old or the new.
 * - A new session is nobody's yet, so it is written in its place, without a lock and by another thread. What a process
 *   leaves unfinished when it dies is swept a minute later.
 * - What happens under a lock is synchronous: inside one process, nothing comes between. It costs a third of the same
 *   calls made asynchronously.
 *
 * @module
 */
import { Cache } from "../../cache.ts";
import { type Log, silent } from "../../log.ts";
import {
  type Apply,
  freeze,
  MAX_RECORD_BYTES,
  type SessionRecord,
  type SessionStore,
  StoreFullError,
} from "../../store.ts";
import {
  isMissing,
  isSame,
  list,
  lstat,
  make,
  makeDir,
  makeSync,
  removeIfThere,
  setTime,
  type Stat,
  tryLocked,
  tryOutLock,
} from "./calls.ts";
import { endOf, isLate, parse, toBytes, WRITING } from "./record.ts";

/** What a {@linkcode FileStore} is made of. */
export interface FileStoreOptions {
  /** The folder; it and those in it are made with mode 0700 when missing. */
  readonly dir: string;
  /**
   * Live sessions at most: 1,000,000 unless given. Processes that share the folder count what the others made when
   * their sweep comes by it, so that together they may go past it for a while.
   */
  readonly max?: number;
  /** Bytes of memory, about, for records read lately: 16 MiB unless given; 0 keeps none. */
  readonly cacheBytes?: number;
  /** Told of corrupt records, sweeps and the like; says nothing unless given. */
  readonly log?: Log;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: () => number;
}

/** How long to wait for another process's lock, in milliseconds, before giving up. */
const LOCK_DEADLINE = 5000;
/** How old an unfinished or temporary file must be, in milliseconds, before it counts as that of a process that died. */
const LEFTOVER = 60_000;
/** How many names one step of the sweep looks at. */
const NAMES_PER_STEP = 64;
/** How many names each new session pays for, which keeps dead files under a seventh of the live ones. */
const NAMES_PER_CREATE = 8;
/** Milliseconds between steps that nobody paid for, while requests come. */
const IDLE_STEP = 1000;
/** How many deletions to make before requests get their turn. */
const DELETIONS_PER_TURN = 4;
/** How long to count files, in milliseconds, before requests get their turn. */
const COUNTING_TURN = 4;
/**
 * How many files to have counted before the other shards are taken to hold as many each, their names being random, as
 * long as that leaves half the maximum free. When the other half begins to be used, all are counted.
 */
const COUNTED_ENOUGH = 2000;
/** How often at most, in milliseconds, a refusal for lack of space has the whole folder swept. */
const FULL_SWEEP = 10_000;
/** How long after its making, in milliseconds, a file is kept in memory: some ticks of the kernel's clock. */
const SETTLED = 50;
const EXTENSION = ".json";
const TEMPORARY = ".tmp";
/** An id's first two digits name the folder, the others the file. */
const ID = /^[0-9a-f]{32}$/;
const SHARD = /^[0-9a-f]{2}$/;
const NAME = /^[0-9a-f]{30}\.json$/;

/** A record as read, and the stat that it is good for. */
interface Cached {
  readonly record: SessionRecord;
  readonly stat: Stat;
}

/**
 * Sessions as JSON files in a folder.
 *
 * Several processes may share the folder if its file system has working locks between them, as local ones on Linux
 * and macOS do. It survives the death of any of them at any moment. It does not wait for the disk: what was stored in
 * the last seconds before a power cut may be gone, and a file cut short by one counts as no session.
 *
 * @example
 * ```ts
 * import { FileStore } from "session-server";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const store = new FileStore({ dir });
 * const life = { created: Date.now(), ends: Date.now() + 60_000, expires: Date.now() + 60_000 };
 * await store.create("0123456789abcdef0123456789abcdef", { data: { user: "Ada" }, ...life });
 *
 * const again = new FileStore({ dir });
 * const record = await again.read("0123456789abcdef0123456789abcdef");
 * assertEquals(record?.data, { user: "Ada" });
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class FileStore implements SessionStore {
  #dir: string;
  #max: number;
  #cache: Cache<Cached>;
  #log: Log;
  #now: () => number;

  // How many session files each shard holds: counted before the first create, and again whenever a shard is listed,
  // since other processes make and remove some too.
  #counts = new Map<string, number>();
  #total = 0;
  #counted: Promise<void> | undefined;
  #isEstimated = false;
  // Ids of files that are being made: not among the counted ones, even if a list already has them.
  #making = new Set<string>();

  #names: Generator<{ shard: string; name: string }, undefined> | undefined;
  #sweeping: Promise<void> | undefined;
  #owed = 0;
  // Nothing ends before this, by what the last pass of the sweep saw and what was done here since: until then, new
  // sessions need not pay for looking.
  #earliest = -Infinity;
  #earliestOfPass = Infinity;
  // How long the session made last lives unused, in milliseconds: for so long, the sweep does not look into unused ones.
  #life = 0;
  #lastStep = -Infinity;
  #firstShard = randomShard();
  #lastFullSweep = -Infinity;

  /**
   * Makes a store; touches nothing yet.
   *
   * @param options The folder, and what differs from the defaults.
   */
  constructor(options: FileStoreOptions) {
    this.#dir = options.dir;
    this.#max = options.max ?? 1_000_000;
    this.#cache = new Cache(options.cacheBytes ?? 16 * 1024 * 1024);
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Makes the folder if it is missing, tries it out, and begins to count what is in it. Calling it is optional: all
   * that also happens when the first session is stored.
   *
   * @throws {Error} if files cannot be made or locked in it.
   */
  check(): void {
    try {
      Deno.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      const probe = `${this.#dir}/.${crypto.randomUUID()}${TEMPORARY}`;
      makeSync(probe, new Uint8Array());
      try {
        tryOutLock(probe);
        setTime(probe, 1);
        // Where times are kept in whole seconds, a stat cannot tell whether a record is still the one in memory.
        if (lstat(probe)?.mtime !== 1) this.#cache = new Cache(0);
      } finally {
        removeIfThere(probe);
      }
      const { mode } = Deno.statSync(this.#dir);
      if (mode !== null && (mode & 0o077) !== 0) {
        this.#log("warn", `Others on this machine can reach into "${this.#dir}": it should have mode 0700`);
      }
      // In a folder of a million this takes seconds, which the first new session need not wait for if it comes later.
      this.#count().catch(() => {});
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async create(id: string, record: SessionRecord, replaces = false): Promise<void> {
    const path = this.#path(id);
    if (this.#isEstimated && this.#total > this.#max / 2) this.#counted = undefined;
    await this.#count();
    if (this.#total + this.#making.size >= this.#max && !replaces) {
      if (this.#now() - this.#lastFullSweep >= FULL_SWEEP) {
        this.#lastFullSweep = this.#now();
        this.#owed = Math.max(this.#owed, this.#total);
      }
      throw new StoreFullError(`"${this.#dir}" may hold ${this.#max} sessions`);
    }
    this.#making.add(id);
    try {
      await this.#make(id, path, record);
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#making.delete(id);
    }
    this.#addToCount(id, +1);
    this.#life = endOf(record) - this.#now();
    if (this.#now() >= this.#earliest) this.#owed += NAMES_PER_CREATE;
  }

  // deno-lint-ignore require-await -- a failure rejects
  async read(id: string): Promise<SessionRecord | undefined> {
    const path = this.#path(id);
    try {
      const record = this.#read(id, path);
      if (record === "corrupt") this.#setAside(id, path);
      return record !== "corrupt" && record !== undefined && this.#isLive(record) ? record : undefined;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined> {
    return await this.#locked(id, (path, record) => {
      if (!this.#isLive(record)) return undefined;
      const updated = freeze({ ...record, data: apply(record.data), expires });
      this.#write(id, path, updated);
      return updated;
    });
  }

  async touch(id: string, expires: number): Promise<boolean> {
    // Under the lock, as otherwise a sweep could find the session over just before, and remove it just after.
    const touched = await this.#locked(id, (path, record) => {
      if (!this.#isLive(record)) return false;
      // An end so near could be taken for the time of the writing.
      if (expires > Date.now() + WRITING) setTime(path, expires);
      else this.#write(id, path, { ...record, expires });
      this.#noteEnd(expires);
      return true;
    });
    return touched ?? false;
  }

  async delete(id: string): Promise<SessionRecord | undefined> {
    return await this.#locked(id, (path, record) => {
      this.#remove(id, path);
      return this.#isLive(record) ? record : undefined;
    });
  }

  sweep(): void {
    if (this.#sweeping !== undefined) return;
    if (this.#owed < NAMES_PER_STEP && this.#now() - this.#lastStep < IDLE_STEP) return;
    this.#lastStep = this.#now();
    this.#sweeping = this.#steps()
      .catch((error) => this.#log("error", "The sweep of expired sessions failed", this.#failure(error).message))
      .finally(() => this.#sweeping = undefined);
  }

  /** Waits for what runs in the background: the count of the files, a step of the sweep. The store can be used on. */
  async close(): Promise<void> {
    this.#owed = 0;
    await this.#sweeping;
    await this.#counted?.catch(() => {});
  }

  async sweepAll(): Promise<number> {
    let swept = 0;
    try {
      let looked = 0;
      for (const { shard, name } of this.#allNames()) {
        if (this.#sweepOne(shard, name) && ++swept % DELETIONS_PER_TURN === 0) await turn();
        else if (++looked % NAMES_PER_STEP === 0) await turn();
      }
    } catch (error) {
      throw this.#failure(error);
    }
    return swept;
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    for (const { shard, name } of this.#allNames()) {
      if (!NAME.test(name)) continue;
      const id = idOf(shard, name);
      // One that is being made looks corrupt, so it is none of what `read` does with those.
      const record = this.#read(id, this.#path(id));
      if (record !== undefined && record !== "corrupt" && this.#isLive(record)) yield [id, record];
    }
  }

  #path(id: string): string {
    if (!ID.test(id)) throw new TypeError("Cannot use a session id: needed 32 lower-case hex digits");
    return `${this.#dir}/${id.slice(0, 2)}/${id.slice(2)}${EXTENSION}`;
  }

  #isLive(record: SessionRecord): boolean {
    return this.#now() < endOf(record);
  }

  /** Reads without a lock. Never follows a link, and reads no more than a record can be. */
  #read(id: string, path: string): SessionRecord | "corrupt" | undefined {
    while (true) {
      const now = Date.now();
      const stat = lstat(path);
      if (stat === undefined) return undefined;
      if (!stat.isFile || stat.size > MAX_RECORD_BYTES) return "corrupt";
      const cached = this.#cache.get(id);
      if (cached !== undefined && isSame(cached.stat, stat)) return cached.record;
      let text: string;
      try {
        text = Deno.readTextFileSync(path);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
      const after = lstat(path);
      if (after !== undefined && !isSame(stat, after)) continue;
      const record = parse(text, stat.mtime);
      if (record !== "corrupt" && stat.birth !== undefined && now > stat.birth + SETTLED) {
        // In memory, the text, the object and the entry around them.
        this.#cache.set(id, { record, stat }, 2 * text.length + 400);
      }
      return record;
    }
  }

  /**
   * Does some work on a session's file under its lock, in one go. Waits while another process has the lock.
   *
   * @returns What the work returns; `undefined` if there is no such file, or a corrupt one.
   */
  async #locked<T>(id: string, work: (path: string, record: SessionRecord) => T): Promise<T | undefined> {
    const path = this.#path(id);
    try {
      const record = await this.#withLock(path, () => {
        const record = this.#read(id, path);
        return record === "corrupt" || record === undefined ? record : { result: work(path, record) };
      });
      if (record === "corrupt") this.#setAside(id, path);
      // A session is not gone because its folder is: that may come back, and the session with it.
      if (record === undefined) Deno.statSync(this.#dir);
      return record === "corrupt" ? undefined : record?.result;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async #withLock<T>(path: string, work: () => T): Promise<T | "corrupt" | undefined> {
    const deadline = performance.now() + LOCK_DEADLINE;
    while (true) {
      const outcome = tryLocked(path, work);
      if (outcome !== "busy") return outcome.result;
      if (performance.now() > deadline) {
        throw new Error(`Another process has kept a session locked for ${LOCK_DEADLINE / 1000} seconds`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 4));
    }
  }

  /** Makes the file of a new session. Leaves nothing behind when that fails. */
  async #make(id: string, path: string, record: SessionRecord): Promise<void> {
    const written = Date.now();
    const bytes = toBytes(record, written);
    try {
      await make(path, bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      makeDir(`${this.#dir}/${id.slice(0, 2)}`);
      await make(path, bytes);
    }
    if (isLate(written)) {
      // It may have taken so long that a sweep removed it as a dead one's: only the lock tells.
      const isThere = await this.#withLock(path, () => {
        setTime(path, record.expires);
        return true;
      }).catch((error) => {
        removeIfThere(path);
        throw error;
      });
      if (!isThere) throw new Error("A new session was swept before it was finished");
    }
    this.#noteEnd(endOf(record));
  }

  /** Writes a record beside its place, then puts it there. Leaves nothing behind when that fails. */
  #write(id: string, path: string, record: SessionRecord): void {
    const written = Date.now();
    const bytes = toBytes(record, written);
    const beside = path + TEMPORARY;
    try {
      makeSync(beside, bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      // Nobody else writes here while we have the lock: a process died before it could rename.
      Deno.removeSync(beside);
      makeSync(beside, bytes);
    }
    try {
      if (isLate(written)) setTime(beside, record.expires);
      Deno.renameSync(beside, path);
    } catch (error) {
      removeIfThere(beside);
      throw error;
    }
    this.#cache.delete(id);
    this.#noteEnd(endOf(record));
  }

  #remove(id: string, path: string): void {
    Deno.removeSync(path);
    this.#cache.delete(id);
    this.#addToCount(id, -1);
  }

  /** Moves a corrupt record out of the way, for somebody to look at, unless a good one has taken its place. */
  #setAside(id: string, path: string): void {
    try {
      const stat = lstat(path);
      if (stat === undefined) return;
      if (stat.isFile) {
        const outcome = tryLocked(path, () => {
          if (this.#read(id, path) !== "corrupt") return;
          Deno.renameSync(path, `${path}.corrupt`);
        });
        if (outcome === "busy") return;
      } else {
        Deno.renameSync(path, `${path}.corrupt`);
      }
      this.#cache.delete(id);
      this.#addToCount(id, -1);
      this.#log("warn", "A corrupt session record was put aside", `its name in "${this.#dir}" now ends in ".corrupt"`);
    } catch (error) {
      if (isMissing(error)) return;
      this.#log("warn", "A corrupt session record could not be put aside", this.#failure(error).message);
    }
  }

  #addToCount(id: string, change: number): void {
    const shard = id.slice(0, 2);
    this.#setCount(shard, (this.#counts.get(shard) ?? 0) + change);
  }

  #setCount(shard: string, count: number): void {
    this.#total += count - (this.#counts.get(shard) ?? 0);
    this.#counts.set(shard, count);
  }

  /** Counts the files, if that was not done; once more if it failed. */
  #count(): Promise<void> {
    return this.#counted ??= this.#countAll().catch((error) => {
      this.#counted = undefined;
      throw this.#failure(error);
    });
  }

  async #countAll(): Promise<void> {
    // Made once, here: if it vanishes later, another in its place would hide what comes back with it.
    Deno.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    let start = performance.now();
    let counted = 0;
    const mayEstimate = !this.#isEstimated;
    this.#isEstimated = false;
    const shards = list(this.#dir).filter((name) => SHARD.test(name));
    for (const [index, shard] of shards.entries()) {
      this.#listShard(shard);
      counted += this.#counts.get(shard)!;
      const average = counted / (index + 1);
      if (mayEstimate && counted >= COUNTED_ENOUGH && average * shards.length < this.#max / 2) {
        for (const other of shards.slice(index + 1)) this.#setCount(other, Math.round(average));
        this.#isEstimated = true;
        return;
      }
      if (performance.now() - start < COUNTING_TURN) continue;
      await turn();
      start = performance.now();
    }
  }

  #listShard(shard: string): string[] {
    const names = list(`${this.#dir}/${shard}`);
    const isMade = (name: string) => this.#making.size === 0 || !this.#making.has(idOf(shard, name));
    this.#setCount(shard, names.filter((name) => NAME.test(name) && isMade(name)).length);
    return names;
  }

  /** Runs steps of the sweep until those that are owed are done. */
  async #steps(): Promise<void> {
    let swept = 0;
    do {
      await turn();
      swept += await this.#step();
      this.#owed = Math.max(0, this.#owed - NAMES_PER_STEP);
    } while (this.#owed >= NAMES_PER_STEP);
    if (swept > 0) this.#log("info", "Expired sessions were swept", String(swept));
  }

  /** Looks at some names, going on where the last step stopped, and removes the files that are past their end. */
  async #step(): Promise<number> {
    let swept = 0;
    for (let looked = 0; looked < NAMES_PER_STEP; looked++) {
      if (this.#names === undefined) {
        this.#names = this.#allNames();
        this.#earliestOfPass = Infinity;
      }
      const { value, done } = this.#names.next();
      if (done) {
        this.#names = undefined;
        this.#earliest = this.#earliestOfPass;
        break;
      }
      if (!this.#sweepOne(value.shard, value.name)) continue;
      swept++;
      if (swept % DELETIONS_PER_TURN === 0) await turn();
    }
    return swept;
  }

  /**
   * Every name in the folder and in its shards, once. Processes start at different shards, each at the same one every
   * time: so no name waits for longer than one pass.
   */
  *#allNames(): Generator<{ shard: string; name: string }, undefined> {
    const top = list(this.#dir).sort();
    for (const name of top) {
      if (!SHARD.test(name)) yield { shard: ".", name };
    }
    const shards = top.filter((name) => SHARD.test(name));
    const later = shards.filter((shard) => shard >= this.#firstShard);
    for (const shard of [...later, ...shards.slice(0, shards.length - later.length)]) {
      // Listing a folder counts as looking at a name, even if it is empty.
      yield { shard, name: "" };
      for (const name of this.#listShard(shard)) yield { shard, name };
    }
  }

  /** Removes one file if it is past its end and nobody is at it. Returns whether it was a session's. */
  #sweepOne(shard: string, name: string): boolean {
    const isTemporary = name.endsWith(TEMPORARY);
    if (!isTemporary && !NAME.test(name)) return false;
    const path = `${this.#dir}/${shard}/${name}`;
    const id = idOf(shard, name);
    const isOver = (isLocked = false) => {
      const stat = lstat(path);
      if (stat === undefined || !stat.isFile) return false;
      const end = isTemporary ? stat.mtime + LEFTOVER : isLocked ? this.#endOf(id, path, stat) : this.#likelyEnd(stat);
      if (end <= this.#now()) return true;
      this.#noteEnd(end);
      return false;
    };
    if (!isOver()) return false;
    if (isTemporary) {
      this.#sweepLeftover(path, isOver);
      return false;
    }
    const outcome = tryLocked(path, () => {
      // It may have been used since.
      if (!isOver(true)) return false;
      // One that should have been gone is another process's, which may have left more.
      this.#earliest = -Infinity;
      this.#remove(id, path);
      return true;
    });
    return outcome !== "busy" && outcome.result === true;
  }

  /** When a file may go, by its record, or by its age if it is one that was never finished. */
  #endOf(id: string, path: string, { mtime }: Stat): number {
    const record = this.#read(id, path);
    return record === undefined || record === "corrupt" ? mtime + LEFTOVER : endOf(record);
  }

  /** The same without a look into it: of one that was not used since its birth, by how long others live. */
  #likelyEnd({ birth, mtime }: Stat): number {
    return birth !== undefined && Math.abs(mtime - birth) <= WRITING ? mtime + this.#life : mtime;
  }

  #sweepLeftover(path: string, isOver: () => boolean): void {
    const outcome = tryLocked(path.slice(0, -TEMPORARY.length), () => {
      // An update of the session it belongs to may have put its own there since.
      if (isOver()) removeIfThere(path);
      return true;
    });
    if (outcome !== "busy" && outcome.result === undefined) removeIfThere(path);
  }

  /** Remembers that something ends then. */
  #noteEnd(time: number): void {
    this.#earliest = Math.min(this.#earliest, time);
    this.#earliestOfPass = Math.min(this.#earliestOfPass, time);
  }

  /** The same failure without the path in it, since a path holds an id. */
  #failure(error: unknown): Error {
    if (!(error instanceof Error)) return new Error(String(error));
    const [reason] = error.message.split(/: \w+ '/);
    return new Error(`${reason} in "${this.#dir}"`);
  }
}

function idOf(shard: string, name: string): string {
  return shard + name.slice(0, -EXTENSION.length);
}

function randomShard(): string {
  return crypto.getRandomValues(new Uint8Array(1)).toHex();
}

/** Lets waiting requests have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
