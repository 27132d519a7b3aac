/** Census: the number of sessions in a folder. It is counted once, and then kept up to date. */
import { TimeSlice, turn } from "../_pause.ts";
import { isLong, namesIn, namesInLong, reasonOf } from "./calls.ts";
import { isSession, isShard, shardOf } from "./names.ts";
import type { Settings } from "./options.ts";

/** How many files are counted before the rest is estimated. Keys are random, so all subfolders have about as many. */
const SAMPLE = 2000;
/** If the estimate is below this share of the maximum, it is enough. Otherwise the rest is counted. */
const FEW = 0.5;
/**
 * How far the estimate may be off, as a share of the maximum. If the folder may be full, new sessions wait for the
 * count.
 */
const MARGIN = 0.1;

/** Counts the sessions in each subfolder. Other processes change their number, so each listing counts again. */
export class Census {
  #settings: Settings;
  #counts = new Map<string, number>();
  #total = 0;
  /** The share of the subfolders that is only estimated; infinite before the first sample. */
  #left = Infinity;
  #isEstimated = false;
  #counting: Promise<void> | undefined;

  /** @param settings The store's settings. */
  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Whether the folder has its maximum of sessions. Expired sessions count until they are swept. */
  get isFull(): boolean {
    return this.#total >= this.#settings.max;
  }

  /** Starts a count, if one is needed. If the last count failed, starts another. */
  begin(): void {
    if (this.#isEstimated && this.#total > this.#settings.max * FEW) {
      this.#isEstimated = false;
      this.#left = 1;
    }
    if (this.#left === 0 || this.#counting !== undefined) return;
    this.#counting = this.#count().finally(() => this.#counting = undefined);
    // `ready` and `close` handle the error.
    this.#counting.catch(() => {});
  }

  /**
   * Starts a count, if one is needed.
   *
   * @returns A promise, if a new session must wait for the count because there may be no room; otherwise `undefined`.
   */
  ready(): Promise<void> | undefined {
    this.begin();
    return this.#counting !== undefined && this.#mayBeFull() ? this.#wait(this.#counting) : undefined;
  }

  /** Waits for the running count. */
  async close(): Promise<void> {
    await this.#counting?.catch(() => {});
  }

  /** Notes that a session was made (1) or removed (-1). */
  add(key: string, change: 1 | -1): void {
    const shard = shardOf(key);
    this.#set(shard, (this.#counts.get(shard) ?? 0) + change);
  }

  /** The names in a subfolder. */
  async list(shard: string): Promise<string[]> {
    const path = `${this.#settings.dir}/${shard}`;
    let count = 0;
    const note = (name: string) => {
      if (isSession(name)) count++;
    };
    // A short folder is listed and counted without a pause, so this process makes no session in between.
    const names = isLong(path) ? await namesInLong(path, note) : namesIn(path, note);
    this.#set(shard, count);
    return names;
  }

  /**
   * The names in every subfolder. A subfolder that cannot be read is logged and left out.
   *
   * @param first The subfolder to begin with. Each process begins with another, so that they do not do the same work.
   * @param inFolder The names in the folder. Unless given, the folder is listed.
   */
  async *shards(
    first = "",
    inFolder?: readonly string[],
  ): AsyncGenerator<readonly [shard: string, names: readonly string[]], undefined> {
    const all = (inFolder?.filter(isShard) ?? await this.#shardNames()).sort();
    const before = all.filter((shard) => shard < first).length;
    for (const shard of [...all.slice(before), ...all.slice(0, before)]) {
      const names = await this.#tryList(shard);
      if (names !== undefined) yield [shard, names];
    }
  }

  async #shardNames(): Promise<string[]> {
    const names = isLong(this.#settings.dir) ? await namesInLong(this.#settings.dir) : namesIn(this.#settings.dir);
    return names.filter(isShard);
  }

  async #tryList(shard: string): Promise<string[] | undefined> {
    try {
      return await this.list(shard);
    } catch (error) {
      this.#settings.log(
        "error",
        "A folder with sessions cannot be read",
        `${reasonOf(error)} in "${this.#settings.dir}/${shard}"`,
      );
      return undefined;
    }
  }

  #set(shard: string, count: number): void {
    this.#total += count - (this.#counts.get(shard) ?? 0);
    this.#counts.set(shard, count);
  }

  #mayBeFull(): boolean {
    return this.#total > this.#settings.max * (1 - MARGIN * this.#left);
  }

  async #wait(counting: Promise<void>): Promise<void> {
    while (this.#counting === counting && this.#mayBeFull()) await turn();
    // If the count is over, it may have failed.
    if (this.#counting !== counting) await counting;
  }

  async #count(): Promise<void> {
    const shards = await this.#shardNames();
    const slice = new TimeSlice();
    let counted = 0;
    for (const [index, shard] of shards.entries()) {
      await this.#tryList(shard);
      counted += this.#counts.get(shard) ?? 0;
      const done = (index + 1) / shards.length;
      if (this.#left <= 1) this.#left = 1 - done;
      else if (counted >= SAMPLE) {
        const average = Math.round(counted / (index + 1));
        for (const other of shards.slice(index + 1)) this.#set(other, average);
        this.#isEstimated = this.#total < this.#settings.max * FEW;
        if (this.#isEstimated) break;
        this.#left = 1 - done;
      }
      await slice.yieldIfOver();
    }
    this.#left = 0;
  }
}
