/** Census: how many sessions a folder holds, counted once and kept up to date since. */
import type { Log } from "../../log.ts";
import { Slices, turn } from "../_pause.ts";
import { isLong, namesIn, namesInLong, reasonOf } from "./calls.ts";
import { isSession, isShard, shardOf } from "./names.ts";

/** How many files are counted before the rest is estimated. Keys are random, so every folder holds about as many. */
const SAMPLE = 2000;
/** An estimate under this share of the maximum will do; the rest is counted as soon as there may be more. */
const FEW = 0.5;
/** How far the estimate may be off. While it is that near the maximum, a new session waits for the count. */
const MARGIN = 0.1;

/** What one of the folders in a store's folder holds. */
export interface Shard {
  readonly shard: string;
  readonly names: readonly string[];
}

/** The sessions in a folder by number. Other processes make and remove some too: a listing counts them again. */
export class Census {
  #dir: string;
  #max: number;
  #log: Log;
  #counts = new Map<string, number>();
  #total = 0;
  // Which share of the folders is only estimated; of the first sample, nothing is known.
  #left = Infinity;
  #isEstimated = false;
  #counting: Promise<void> | undefined;

  /**
   * @param dir The store's folder.
   * @param max How many sessions it may hold.
   * @param log Called with folders that cannot be read.
   */
  constructor(dir: string, max: number, log: Log) {
    this.#dir = dir;
    this.#max = max;
    this.#log = log;
  }

  /** Whether there are as many as there may be. Those that are over and not yet swept count. */
  get isFull(): boolean {
    return this.#total >= this.#max;
  }

  /** Starts a count where it matters, and again if it failed. */
  begin(): void {
    if (this.#isEstimated && this.#total > this.#max * FEW) {
      this.#isEstimated = false;
      this.#left = 1;
    }
    if (this.#left === 0 || this.#counting !== undefined) return;
    this.#counting = this.#count().finally(() => this.#counting = undefined);
    // Those that wait get the error.
    this.#counting.catch(() => {});
  }

  /**
   * Starts a count where it matters.
   *
   * @returns A promise only if a new session has to wait, because without a count there may be no room.
   */
  ready(): Promise<void> | undefined {
    this.begin();
    return this.#counting !== undefined && this.#mayBeFull() ? this.#wait(this.#counting) : undefined;
  }

  /** Waits for a count that is under way. */
  async close(): Promise<void> {
    await this.#counting?.catch(() => {});
  }

  /** Notes that a session was made (1) or removed (-1). */
  add(key: string, change: 1 | -1): void {
    const shard = shardOf(key);
    this.#set(shard, (this.#counts.get(shard) ?? 0) + change);
  }

  /** The names in one of the folders. */
  async list(shard: string): Promise<string[]> {
    const path = `${this.#dir}/${shard}`;
    let count = 0;
    const note = (name: string) => {
      if (isSession(name)) count++;
    };
    // A short folder is listed and counted without a pause: no session is made in between.
    const names = isLong(path) ? await namesInLong(path, note) : namesIn(path, note);
    this.#set(shard, count);
    return names;
  }

  /**
   * The names in every one of the folders. A folder that cannot be read is logged and left out.
   *
   * @param first Which folder to begin with, so that several processes are at different places.
   */
  async *shards(first = ""): AsyncGenerator<Shard, undefined> {
    const all = (await this.#shardNames()).sort();
    const before = all.filter((shard) => shard < first).length;
    for (const shard of [...all.slice(before), ...all.slice(0, before)]) {
      const names = await this.#tryList(shard);
      if (names !== undefined) yield { shard, names };
    }
  }

  async #shardNames(): Promise<string[]> {
    const names = isLong(this.#dir) ? await namesInLong(this.#dir) : namesIn(this.#dir);
    return names.filter(isShard);
  }

  async #tryList(shard: string): Promise<string[] | undefined> {
    try {
      return await this.list(shard);
    } catch (error) {
      this.#log("error", "A folder with sessions cannot be read", `${reasonOf(error)} in "${this.#dir}/${shard}"`);
      return undefined;
    }
  }

  #set(shard: string, count: number): void {
    this.#total += count - (this.#counts.get(shard) ?? 0);
    this.#counts.set(shard, count);
  }

  #mayBeFull(): boolean {
    return this.#total > this.#max * (1 - MARGIN * this.#left);
  }

  async #wait(counting: Promise<void>): Promise<void> {
    while (this.#counting === counting && this.#mayBeFull()) await turn();
    // Done, or failed.
    if (this.#counting !== counting) await counting;
  }

  async #count(): Promise<void> {
    const shards = await this.#shardNames();
    const slices = new Slices();
    let counted = 0;
    for (const [index, shard] of shards.entries()) {
      await this.#tryList(shard);
      counted += this.#counts.get(shard) ?? 0;
      const done = (index + 1) / shards.length;
      if (this.#left <= 1) this.#left = 1 - done;
      else if (counted >= SAMPLE) {
        const average = Math.round(counted / (index + 1));
        for (const other of shards.slice(index + 1)) this.#set(other, average);
        this.#isEstimated = this.#total < this.#max * FEW;
        if (this.#isEstimated) break;
        this.#left = 1 - done;
      }
      await slices.next();
    }
    this.#left = 0;
  }
}
