/** Sweep: removes the files of sessions that are over, and unfinished files of dead processes, in small steps. */
import { newId } from "../../id.ts";
import { CLOCK_SKEW, endOf, isLive } from "../../record.ts";
import { Pacer } from "../_pacer.ts";
import { TimeSlice } from "../_pause.ts";
import { lstat, namesInLong, reasonOf, removeIfThere, type Stat, tryLocked, usedAt } from "./calls.ts";
import type { Census } from "./census.ts";
import type { Files } from "./files.ts";
import { isSession, keyIn, TEMPORARY } from "./names.ts";
import type { Settings } from "./options.ts";
import { LEFTOVER, readRecord } from "./record.ts";

/** How many names one step checks. Listing a subfolder counts as one name. */
const NAMES_PER_STEP = 64;
/**
 * How many names are checked for each new session. A subfolder has at least one name, so a pass over N names takes at
 * most 2 N checks. These are due after N / 6 new sessions. In a steady state, an expired session waits for half of a
 * pass on average. In that time N / 12 sessions are made, so about a twelfth of the files are expired. To keep this rate
 * while many clients create sessions, new sessions wait for checks that are overdue.
 */
const NAMES_PER_CREATE = 12;
/** How long a store that found no room does not search for room again, in milliseconds. */
const FULL_INTERVAL = 10_000;
/** How long a new session waits at most while the store searches for room, in milliseconds. */
const SEARCH_TIME = 1000;

/** Goes through the folder in steps, after requests. The more sessions are made, the more steps it takes. */
export class Sweep {
  #settings: Settings;
  #census: Census;
  #files: Files;
  #pacer: Pacer;
  #first = newId().slice(0, 3);
  #pass: AsyncGenerator<boolean, undefined> | undefined;
  #searching: Promise<boolean> | undefined;
  #lastFull = -Infinity;
  /**
   * No session ends before this time, as the last pass and the changes since then have shown. Until this time, new
   * sessions cause no steps.
   */
  #earliest = -Infinity;
  #earliestOfPass = Infinity;

  /**
   * @param settings The store's settings.
   * @param census Lists the files.
   * @param files Removes the files.
   */
  constructor(settings: Settings, census: Census, files: Files) {
    this.#settings = settings;
    this.#census = census;
    this.#files = files;
    const step = () => this.#step();
    this.#pacer = new Pacer({ step, size: NAMES_PER_STEP, perCreate: NAMES_PER_CREATE, log: settings.log });
  }

  /**
   * Records that a session was made, and when it ends. Each new session makes some names due for a check. If the steps
   * are behind, this waits for those that are due.
   */
  async noteCreated(end: number): Promise<void> {
    this.noteEnd(end);
    if (this.#settings.now() >= this.#earliest) this.#pacer.created();
    await this.#pacer.keepUp();
  }

  /** Records when a session ends. */
  noteEnd(end: number): void {
    this.#earliest = Math.min(this.#earliest, end);
    this.#earliestOfPass = Math.min(this.#earliestOfPass, end);
  }

  /** Starts the steps that are due. Returns immediately. */
  run(): void {
    this.#pacer.run();
  }

  /** Removes all sessions that are over. Returns how many it removed. */
  async all(onRemoved?: (count: number) => void): Promise<number> {
    let swept = 0;
    const slice = new TimeSlice();
    for await (const isRemoved of this.#looks()) {
      if (isRemoved) {
        swept++;
        onRemoved?.(1);
      }
      await slice.yieldIfOver();
    }
    return swept;
  }

  /**
   * Searches a full store for sessions that are over, and removes them, for one second at most. If it finds none, it
   * does not search again for ten seconds.
   *
   * @returns Whether there is room now. Other new sessions may take it first.
   */
  async removeExpired(): Promise<boolean> {
    // The difference may be negative: the clock may have been set back.
    if (Math.abs(this.#settings.now() - this.#lastFull) < FULL_INTERVAL) return false;
    return await (this.#searching ??= this.#findRoom().finally(() => this.#searching = undefined));
  }

  /** Continues the current pass, then makes a whole pass. Stops when there is room. */
  async #findRoom(): Promise<boolean> {
    const start = performance.now();
    const slice = new TimeSlice();
    let passes = this.#pass === undefined ? 1 : 2;
    while (this.#census.isFull && passes > 0 && performance.now() - start < SEARCH_TIME) {
      if ((await this.#next()).done) passes--;
      await slice.yieldIfOver();
    }
    if (this.#census.isFull) this.#lastFull = this.#settings.now();
    return !this.#census.isFull;
  }

  /** Waits for the step that is running. */
  async close(): Promise<void> {
    await this.#pacer.stop();
  }

  /** Checks the next names. Returns how many sessions it removed. */
  async #step(): Promise<number> {
    let swept = 0;
    const slice = new TimeSlice();
    for (let looked = 0; looked < NAMES_PER_STEP; looked++) {
      const look = await this.#next();
      if (look.done) break;
      if (look.value) swept++;
      await slice.yieldIfOver();
    }
    return swept;
  }

  /** Checks the next name of the pass. The steps and the search for room use the same pass. */
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
   * Checks every name once. Yields for each whether a session's file was removed. Every pass begins with the same
   * subfolder, so no name waits for longer than one pass.
   */
  async *#looks(): AsyncGenerator<boolean, undefined> {
    const inFolder = await namesInLong(this.#settings.dir);
    for (const name of inFolder) {
      if (name.endsWith(TEMPORARY)) await this.#sweepTemporary(`${this.#settings.dir}/${name}`);
    }
    for await (const [shard, names] of this.#census.shards(this.#first, inFolder)) {
      yield false;
      let left = names.length;
      for (const name of names) {
        const isRemoved = await this.#look(shard, name);
        if (isRemoved) left--;
        yield isRemoved;
      }
      // This removes only an empty subfolder. A process that makes a session in it at this moment makes it again.
      if (left === 0) removeIfThere(`${this.#settings.dir}/${shard}`);
    }
  }

  /** Removes a file if its session is over, or if it is unfinished. Returns whether it was the file of a session. */
  async #look(shard: string, name: string): Promise<boolean> {
    const path = `${this.#settings.dir}/${shard}/${name}`;
    try {
      if (name.endsWith(TEMPORARY)) await this.#sweepTemporary(path);
      if (!isSession(name) || !this.#isOver(path, lstat(path))) return false;
      const outcome = await tryLocked(path, (stat, file) => {
        // The session may have been used in between.
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
    // Another process may have made this session, and more that are over. So new sessions cause steps, until a pass of
    // the steps ends.
    this.#earliest = -Infinity;
    return true;
  }

  #isOver(path: string, stat: Stat | undefined, file?: Deno.FsFile): boolean {
    if (stat === undefined || !stat.isFile) return false;
    const now = this.#settings.now();
    // The file's times are enough, unless a copy or a person has set them, or the clock was set back since.
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
    // This needs the lock of the session: an update may be writing its own file of this name at this moment.
    if (await tryLocked(path.slice(0, -TEMPORARY.length), sweep) === "missing") sweep();
  }
}
