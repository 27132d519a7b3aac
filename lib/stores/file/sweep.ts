/** Sweep: removes the files of sessions that are over, and unfinished files of dead processes, a little at a time. */
import { newId } from "../../id.ts";
import { CLOCK_SKEW, endOf, isLive } from "../../record.ts";
import { Pacer } from "../_pacer.ts";
import { Slices } from "../_pause.ts";
import { lstat, namesInLong, reasonOf, removeIfThere, type Stat, tryLocked, usedAt } from "./calls.ts";
import type { Census } from "./census.ts";
import type { Files } from "./files.ts";
import { isSession, keyIn, TEMPORARY } from "./names.ts";
import type { Settings } from "./options.ts";
import { LEFTOVER, readRecord } from "./record.ts";

/** How many names one step looks at. Listing a subfolder counts as a look at a name. */
const NAMES_PER_STEP = 64;
/**
 * How many names are looked at for each new session. A folder holds at least one name, so a pass over N names takes 2 N
 * looks at most, which N / 6 new sessions call for. In a steady state, an expired session waits for half of a pass on
 * average, while N / 12 sessions are made. So about a twelfth of the files is expired.
 */
const NAMES_PER_CREATE = 12;
/** For how long, in milliseconds, a store that found no room does not look for room again. */
const FULL_INTERVAL = 10_000;
/** How long a new session waits at most, in milliseconds, while the store looks for room. */
const SEARCH_TIME = 1000;

/** Goes round the folder in steps, after requests. The more sessions are made, the more steps it takes. */
export class Sweep {
  #settings: Settings;
  #census: Census;
  #files: Files;
  #pacer: Pacer;
  #first = newId().slice(0, 3);
  #pass: AsyncGenerator<boolean, undefined> | undefined;
  #searching: Promise<boolean> | undefined;
  #lastFull = -Infinity;
  // No session ends before this time, by what the last pass saw and what was noted since. Until then, new sessions call
  // for no look at the others.
  #earliest = -Infinity;
  #earliestOfPass = Infinity;

  /**
   * @param settings Those of the store.
   * @param census Lists the files.
   * @param files Called with each session whose file was removed.
   */
  constructor(settings: Settings, census: Census, files: Files) {
    this.#settings = settings;
    this.#census = census;
    this.#files = files;
    const step = () => this.#step();
    this.#pacer = new Pacer({ step, size: NAMES_PER_STEP, perCreate: NAMES_PER_CREATE, log: settings.log });
  }

  /** Notes that a session was made. */
  created(end: number): void {
    this.noteEnd(end);
    if (this.#settings.now() >= this.#earliest) this.#pacer.created();
  }

  /** Notes that a session ends at this time. */
  noteEnd(end: number): void {
    this.#earliest = Math.min(this.#earliest, end);
    this.#earliestOfPass = Math.min(this.#earliestOfPass, end);
  }

  /** Starts the steps that are due. Returns immediately. */
  run(): void {
    this.#pacer.run();
  }

  /** Removes everything that is over. Returns how many sessions that were. */
  async all(onRemoved?: (count: number) => void): Promise<number> {
    let swept = 0;
    const slices = new Slices();
    for await (const isRemoved of this.#looks()) {
      if (isRemoved) {
        swept++;
        onRemoved?.(1);
      }
      await slices.next();
    }
    return swept;
  }

  /**
   * Looks for room in a full store, for a second at most; not again for a while if there was none.
   *
   * @returns Whether there was room: for one session, while others may be waiting for it as well.
   */
  async makeRoom(): Promise<boolean> {
    // The clock may have been set back since.
    if (Math.abs(this.#settings.now() - this.#lastFull) < FULL_INTERVAL) return false;
    return await (this.#searching ??= this.#findRoom().finally(() => this.#searching = undefined));
  }

  /** Continues the pass that is under way, then makes a whole one, until there is room. */
  async #findRoom(): Promise<boolean> {
    const start = performance.now();
    const slices = new Slices();
    let passes = this.#pass === undefined ? 1 : 2;
    while (this.#census.isFull && passes > 0 && performance.now() - start < SEARCH_TIME) {
      if ((await this.#next()).done) passes--;
      await slices.next();
    }
    if (this.#census.isFull) this.#lastFull = this.#settings.now();
    return !this.#census.isFull;
  }

  /** Waits for the step that is running. */
  async close(): Promise<void> {
    await this.#pacer.close();
  }

  /** Looks at some names, from where the last step stopped. Returns how many sessions it removed. */
  async #step(): Promise<number> {
    let swept = 0;
    const slices = new Slices();
    for (let looked = 0; looked < NAMES_PER_STEP; looked++) {
      const look = await this.#next();
      if (look.done) break;
      if (look.value) swept++;
      await slices.next();
    }
    return swept;
  }

  /** Looks at the next name of the pass. The steps and a search for room share it. */
  #next(): Promise<IteratorResult<boolean, undefined>> {
    this.#pass ??= this.#wholePass();
    return this.#pass.next();
  }

  async *#wholePass(): AsyncGenerator<boolean, undefined> {
    this.#earliestOfPass = Infinity;
    try {
      yield* this.#looks();
      this.#earliest = this.#earliestOfPass;
    } catch (error) {
      throw new Error(reasonOf(error));
    } finally {
      this.#pass = undefined;
    }
  }

  /**
   * Looks at every name once, and yields for each whether a session's file was removed. Every pass begins with the same
   * subfolder, so no name waits for longer than one pass.
   */
  async *#looks(): AsyncGenerator<boolean, undefined> {
    for (const name of await namesInLong(this.#settings.dir)) {
      if (name.endsWith(TEMPORARY)) await this.#sweepTemporary(`${this.#settings.dir}/${name}`);
    }
    for await (const [shard, names] of this.#census.shards(this.#first)) {
      yield false;
      let left = names.length;
      for (const name of names) {
        const isRemoved = await this.#look(shard, name);
        if (isRemoved) left--;
        yield isRemoved;
      }
      // Only an empty folder can be removed. A process that makes a session in it at this moment makes it again.
      if (left === 0) removeIfThere(`${this.#settings.dir}/${shard}`);
    }
  }

  /** Removes a file if it is over. Returns whether it was a session's. */
  async #look(shard: string, name: string): Promise<boolean> {
    const path = `${this.#settings.dir}/${shard}/${name}`;
    try {
      if (name.endsWith(TEMPORARY)) await this.#sweepTemporary(path);
      if (!isSession(name) || !this.#isOver(path, lstat(path))) return false;
      const outcome = await tryLocked(path, (stat, file) => {
        // It may have been used since.
        const isOver = this.#isOver(path, stat, file);
        if (isOver) this.#files.remove(keyIn(shard, name), path);
        return isOver;
      });
      if (typeof outcome !== "object" || !outcome.result) return false;
    } catch (error) {
      this.#settings.log(
        "error",
        "The sweep of expired sessions failed",
        `${reasonOf(error)} in "${this.#settings.dir}/${shard}"`,
      );
      return false;
    }
    // This process did not note the end, so another process made the session, and may have left more.
    this.#earliest = -Infinity;
    return true;
  }

  #isOver(path: string, stat: Stat | undefined, file?: Deno.FsFile): boolean {
    if (stat === undefined || !stat.isFile) return false;
    const now = this.#settings.now();
    // The times tell, unless they are from a copy or set by hand, or the clock was set back since the last use.
    if (stat.mtime > now && (usedAt(stat) ?? Infinity) <= now + CLOCK_SKEW) return this.#stays(stat.mtime);
    const record = readRecord(path, stat, file);
    if (record === "newer" || record === undefined) return false;
    if (record === "corrupt") return stat.ctime + LEFTOVER <= now || this.#stays(stat.ctime + LEFTOVER);
    return !isLive(record, now) || this.#stays(endOf(record));
  }

  #stays(end: number): false {
    this.noteEnd(end);
    return false;
  }

  async #sweepTemporary(path: string): Promise<void> {
    const sweep = () => {
      if ((lstat(path)?.ctime ?? Infinity) + LEFTOVER <= this.#settings.now()) removeIfThere(path);
    };
    // Under the lock, because an update of the session it belongs to may put its own there at this moment.
    if (await tryLocked(path.slice(0, -TEMPORARY.length), sweep) === "missing") sweep();
  }
}
