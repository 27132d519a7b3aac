/** Census: how many sessions a folder holds, counted once and kept up to date since. */
import type { Log } from "../../log.ts";
import { turn } from "../_pause.ts";
import { namesIn, reasonOf } from "./calls.ts";
import { isSession, isShard, shardOf } from "./names.ts";

/**
 * How many files are counted before the rest is estimated. Keys are random, so every folder holds about as many. The
 * estimate is used while it is under half the maximum; above that, all files are counted.
 */
const COUNTED_ENOUGH = 2000;
/** How long to count files, in milliseconds, before requests get their turn. */
const TURN = 4;

/** What one of the folders in a store's folder holds. */
export interface Shard {
  readonly shard: string;
  readonly names: readonly string[];
}

/** The sessions in a folder by number. Other processes make and remove some too: a listing counts them anew. */
export class Census {
  #dir: string;
  #max: number;
  #log: Log;
  #counts = new Map<string, number>();
  #total = 0;
  #isCounted = false;
  #isEstimated = false;
  #counting: Promise<void> | undefined;

  /**
   * @param dir The store's folder.
   * @param max How many sessions it may hold.
   * @param log Told of folders that cannot be read.
   */
  constructor(dir: string, max: number, log: Log) {
    this.#dir = dir;
    this.#max = max;
    this.#log = log;
  }

  /** How many sessions there are, those that are over but not yet swept included. */
  get total(): number {
    return this.#total;
  }

  /** Whether there are as many as there may be. */
  get isFull(): boolean {
    return this.#total >= this.#max;
  }

  /**
   * Makes sure that they are counted, and exactly as soon as that matters; tries again if it failed.
   *
   * @returns A promise only if they have to be counted now.
   */
  ready(): Promise<void> | undefined {
    if (this.#isEstimated && this.#total > this.#max / 2) this.#isCounted = false;
    if (this.#isCounted) return undefined;
    return this.#counting ??= this.#count().finally(() => this.#counting = undefined);
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
  list(shard: string): string[] {
    const names = namesIn(`${this.#dir}/${shard}`);
    this.#set(shard, names.filter(isSession).length);
    return names;
  }

  /**
   * The names in every one of the folders. A folder that cannot be read is logged and left out.
   *
   * @param first Which folder to begin with, so that several processes are at different places.
   */
  *shards(first = ""): Generator<Shard, undefined> {
    const all = namesIn(this.#dir).filter(isShard).sort();
    const before = all.filter((shard) => shard < first).length;
    for (const shard of [...all.slice(before), ...all.slice(0, before)]) {
      const names = this.#tryList(shard);
      if (names !== undefined) yield { shard, names };
    }
  }

  #tryList(shard: string): string[] | undefined {
    try {
      return this.list(shard);
    } catch (error) {
      this.#log("error", "A folder with sessions cannot be read", `${reasonOf(error)} in "${this.#dir}/${shard}"`);
      return undefined;
    }
  }

  #set(shard: string, count: number): void {
    this.#total += count - (this.#counts.get(shard) ?? 0);
    this.#counts.set(shard, count);
  }

  async #count(): Promise<void> {
    const mayEstimate = !this.#isEstimated;
    this.#isEstimated = false;
    const shards = namesIn(this.#dir).filter(isShard);
    let start = performance.now();
    let counted = 0;
    for (const [index, shard] of shards.entries()) {
      counted += this.#tryList(shard)?.filter(isSession).length ?? 0;
      const average = counted / (index + 1);
      if (mayEstimate && counted >= COUNTED_ENOUGH && average * shards.length < this.#max / 2) {
        for (const other of shards.slice(index + 1)) this.#set(other, Math.round(average));
        this.#isEstimated = true;
        break;
      }
      if (performance.now() - start < TURN) continue;
      await turn();
      start = performance.now();
    }
    this.#isCounted = true;
  }
}
