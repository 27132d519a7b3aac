/** Sweep: removes the files of sessions that are over, and what processes that died left behind, a little at a time. */
import { newId } from "../../id.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW, endOf, isLive } from "../../record.ts";
import { Pacer } from "../_pacer.ts";
import { Slices } from "../_pause.ts";
import { lstat, namesInLong, reasonOf, removeIfThere, type Stat, tryLocked, usedAt } from "./calls.ts";
import type { Census } from "./census.ts";
import { isSession, keyIn, TEMPORARY } from "./names.ts";
import { LEFTOVER, readRecord } from "./record.ts";

/** How many names one step looks at. Listing a folder counts as looking at a name. */
const NAMES_PER_STEP = 64;
/**
 * How many names are looked at for each new session. A folder holds at least one name, so a pass over N names takes 2 N
 * looks at most, which N / 6 new sessions call for. In a steady state, what is over waits for half of a pass on average,
 * while N / 12 sessions are made; so about a twelfth is over.
 */
const NAMES_PER_CREATE = 12;
/** How long, in milliseconds, a store that found no room does not look for it again. */
const FULL_INTERVAL = 10_000;
/** How long a new session waits at most, in milliseconds, while room is looked for. */
const SEARCH_TIME = 1000;

/** What a {@linkcode Sweep} needs to know. */
export interface SweepOptions {
  readonly dir: string;
  readonly census: Census;
  readonly log: Log;
  readonly now: () => number;
  /** Called with each session whose file was removed. */
  readonly removed: (key: string) => void;
}

/** Goes round the folder in steps, which come after requests. The more sessions are made, the more steps it takes. */
export class Sweep {
  #dir: string;
  #census: Census;
  #log: Log;
  #now: () => number;
  #removed: (key: string) => void;
  #pacer: Pacer;
  #first = newId().slice(0, 3);
  #pass: AsyncGenerator<boolean, undefined> | undefined;
  #search: AsyncGenerator<boolean, undefined> | undefined;
  #searching: Promise<boolean> | undefined;
  #lastFull = -Infinity;
  // Nothing ends before this, by what the last pass saw and what was done here since: until then, new sessions call for
  // no look at the others.
  #earliest = -Infinity;
  #earliestOfPass = Infinity;

  /** @param options The folder, and who is to be told. */
  constructor(options: SweepOptions) {
    this.#dir = options.dir;
    this.#census = options.census;
    this.#log = options.log;
    this.#now = options.now;
    this.#removed = options.removed;
    const step = () => this.#step();
    this.#pacer = new Pacer({ step, size: NAMES_PER_STEP, perCreate: NAMES_PER_CREATE, log: this.#log });
  }

  /** Notes that a session was made. */
  created(end: number): void {
    this.noteEnd(end);
    if (this.#now() >= this.#earliest) this.#pacer.created();
  }

  /** Notes that something ends then. */
  noteEnd(end: number): void {
    this.#earliest = Math.min(this.#earliest, end);
    this.#earliestOfPass = Math.min(this.#earliestOfPass, end);
  }

  /** Starts the steps that are due. Returns at once. */
  run(): void {
    this.#pacer.run();
  }

  /** Removes everything that can go. Returns how many sessions there were. */
  async all(onRemoved: (count: number) => void = () => {}): Promise<number> {
    let swept = 0;
    const slices = new Slices();
    for await (const isRemoved of this.#looks()) {
      if (isRemoved) {
        swept++;
        onRemoved(1);
      }
      await slices.next();
    }
    return swept;
  }

  /**
   * Looks for room in a full store, for a second at most; not again for a while if there was none.
   *
   * @returns Whether there was some: for one, while others may be waiting for it as well.
   */
  async makeRoom(): Promise<boolean> {
    // The clock may have been set back since.
    if (Math.abs(this.#now() - this.#lastFull) < FULL_INTERVAL) return false;
    return await (this.#searching ??= this.#findRoom().finally(() => this.#searching = undefined));
  }

  /** Goes on where the last search stopped, until there is room or everything was looked at. */
  async #findRoom(): Promise<boolean> {
    const start = performance.now();
    const slices = new Slices();
    let isWhole = false;
    while (this.#census.isFull && performance.now() - start < SEARCH_TIME) {
      if (this.#search === undefined) {
        if (isWhole) break;
        isWhole = true;
        this.#search = this.#looks();
      }
      if ((await this.#search.next()).done) this.#search = undefined;
      await slices.next();
    }
    if (this.#census.isFull) this.#lastFull = this.#now();
    return !this.#census.isFull;
  }

  /** Waits for the step that is running. */
  async close(): Promise<void> {
    await this.#pacer.close();
  }

  /** Looks at some names, going on where the last step stopped. Returns how many sessions it removed. */
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

  async #next(): Promise<IteratorResult<boolean, undefined>> {
    if (this.#pass === undefined) {
      this.#pass = this.#looks();
      this.#earliestOfPass = Infinity;
    }
    try {
      const look = await this.#pass.next();
      if (look.done) {
        this.#pass = undefined;
        this.#earliest = this.#earliestOfPass;
      }
      return look;
    } catch (error) {
      this.#pass = undefined;
      throw new Error(reasonOf(error));
    }
  }

  /**
   * Looks at every name once, and says of each whether a session's file was removed. Every pass begins with the same
   * folder, so no name waits for longer than one pass.
   */
  async *#looks(): AsyncGenerator<boolean, undefined> {
    for (const name of await namesInLong(this.#dir)) {
      if (name.endsWith(TEMPORARY)) this.#sweepTemporary(`${this.#dir}/${name}`);
    }
    for await (const { shard, names } of this.#census.shards(this.#first)) {
      yield false;
      let left = names.length;
      for (const name of names) {
        const isRemoved = this.#look(shard, name);
        if (isRemoved) left--;
        yield isRemoved;
      }
      // Only an empty folder can be removed. Who makes a session in it just now makes it again.
      if (left === 0) removeIfThere(`${this.#dir}/${shard}`);
    }
  }

  /** Removes one file if it can go. Returns whether it was a session's. */
  #look(shard: string, name: string): boolean {
    const path = `${this.#dir}/${shard}/${name}`;
    try {
      if (name.endsWith(TEMPORARY)) this.#sweepTemporary(path);
      if (!isSession(name) || !this.#isOver(path, lstat(path))) return false;
      // It may have been used since.
      const outcome = tryLocked(path, (stat, file) => {
        if (!this.#isOver(path, stat, file)) return false;
        Deno.removeSync(path);
        return true;
      });
      if (typeof outcome !== "object" || !outcome.result) return false;
    } catch (error) {
      this.#log("error", "The sweep of expired sessions failed", `${reasonOf(error)} in "${this.#dir}/${shard}"`);
      return false;
    }
    // One that should have been gone is another process's, which may have left more.
    this.#earliest = -Infinity;
    this.#removed(keyIn(shard, name));
    return true;
  }

  #isOver(path: string, stat: Stat | undefined, file?: Deno.FsFile): boolean {
    if (stat === undefined || !stat.isFile) return false;
    const now = this.#now();
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

  #sweepTemporary(path: string): void {
    const isLeft = () => (lstat(path)?.ctime ?? Infinity) + LEFTOVER <= this.#now();
    if (!isLeft()) return;
    // An update of the session it belongs to may put its own there now.
    const outcome = tryLocked(path.slice(0, -TEMPORARY.length), () => {
      if (isLeft()) removeIfThere(path);
    });
    if (outcome === "missing") removeIfThere(path);
  }
}
