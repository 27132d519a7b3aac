/** Files: makes, replaces and removes the files of sessions, and keeps the memory and the count up to date. */
import { encode, type SessionRecord } from "../../record.ts";
import { flush, flushFolder, isMissing, lstat, make, makeDir, reasonOf, removeIfThere } from "./calls.ts";
import type { Census } from "./census.ts";
import { CORRUPT, pathOf, shardOf, TEMPORARY } from "./names.ts";
import type { Settings } from "./options.ts";
import type { Reader } from "./reader.ts";
import { keepTimes, LEFTOVER, withEnd } from "./record.ts";

/** The files of one store. Its methods await nothing but the disk, and that only with `sync: "full"`. */
export class Files {
  #settings: Settings;
  #reader: Reader;
  #census: Census;

  /**
   * @param settings Those of the store.
   * @param reader Has records in memory.
   * @param census Counts the files.
   */
  constructor(settings: Settings, reader: Reader, census: Census) {
    this.#settings = settings;
    this.#reader = reader;
    this.#census = census;
  }

  /** Makes the file of a new session in its place: no one knows its key yet. Leaves nothing behind if that fails. */
  async make(key: string, record: SessionRecord): Promise<void> {
    const path = pathOf(this.#settings.dir, key);
    const start = performance.now();
    this.#makeInShard(key, path, encode(record));
    this.#census.add(key, 1);
    try {
      keepTimes(path, record);
      // If the process was stopped for so long, a sweep may have taken the file for that of a dead process.
      if (performance.now() - start > LEFTOVER / 2) {
        throw new Error("Cannot create a session: its file took too long to write");
      }
      if (this.#settings.waitsForDisk) {
        await flush(path);
        await this.flushNames([key]);
      }
    } catch (error) {
      this.discard(key);
      throw error;
    }
  }

  /**
   * Puts another record into the place of a session's, under the lock of its file: writes it beside, then renames it.
   * Leaves nothing behind if that fails.
   */
  async replace(key: string, path: string, record: SessionRecord): Promise<void> {
    const beside = path + TEMPORARY;
    const text = encode(record);
    try {
      makeOver(beside, text);
      keepTimes(beside, record);
      if (this.#settings.waitsForDisk) await flush(beside);
      Deno.renameSync(beside, path);
    } catch (error) {
      removeIfThere(beside);
      throw error;
    }
    this.#reader.forget(key);
    if (this.#settings.waitsForDisk) await flushFolder(`${this.#settings.dir}/${shardOf(key)}`);
  }

  /** Moves the idle limit of a session, under the lock of its file: by the file's times alone, if they can hold it. */
  async touch(key: string, path: string, record: SessionRecord, expires: number): Promise<void> {
    const used = withEnd(record, expires);
    if (expires >= record.expires) {
      keepTimes(path, used);
      const stat = lstat(path);
      if (stat !== undefined && stat.mtime >= expires) {
        this.#reader.keep(key, used, stat);
        if (this.#settings.waitsForDisk) await flush(path);
        return;
      }
    }
    // The times cannot hold an earlier limit, one past the deadline, or one finer than the file system's.
    await this.replace(key, path, used);
  }

  /** Removes the file of a session, under its lock. */
  remove(key: string, path: string): true {
    Deno.removeSync(path);
    this.forget(key);
    return true;
  }

  /** Removes a session that no one knows yet; leaves it if that cannot be done. */
  discard(key: string): void {
    removeIfThere(pathOf(this.#settings.dir, key));
    this.forget(key);
  }

  /** Waits until the disk has the names of files that were made, and not those of files that were removed. */
  async flushNames(keys: readonly string[]): Promise<void> {
    if (!this.#settings.waitsForDisk || keys.length === 0) return;
    for (const shard of new Set(keys.map(shardOf))) {
      await flushFolder(`${this.#settings.dir}/${shard}`).catch((error) => {
        // The sweep removes empty folders.
        if (!isMissing(error)) throw error;
      });
    }
    // The folders may have been made or removed just before.
    await flushFolder(this.#settings.dir);
  }

  /** Takes a session whose file is gone out of memory and out of the count. */
  forget(key: string): void {
    this.#reader.forget(key);
    this.#census.add(key, -1);
  }

  /** Moves a corrupt record out of the way, for an operator to look at, under the lock of its file. */
  setAside(key: string, path: string): void {
    try {
      Deno.renameSync(path, path + CORRUPT);
      this.forget(key);
      const detail = `its name in "${this.#settings.dir}" now ends in "${CORRUPT}"`;
      this.#settings.log("warn", "A corrupt session record was put aside", detail);
    } catch (error) {
      if (isMissing(error)) return;
      this.#settings.log(
        "warn",
        "A corrupt session record could not be put aside",
        `${reasonOf(error)} in "${this.#settings.dir}"`,
      );
    }
  }

  /** Makes the file, and its folder if that is missing: the sweep removes empty ones, perhaps at this moment. */
  #makeInShard(key: string, path: string, text: string): void {
    for (let attempts = 1;; attempts++) {
      try {
        return make(path, text);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound) || attempts === 5) throw error;
        makeDir(`${this.#settings.dir}/${shardOf(key)}`);
      }
    }
  }
}

/**
 * Makes a file in place of one that a process left when it died. Under the session's lock no other process writes it. A
 * link there is removed, never followed.
 */
function makeOver(path: string, text: string): void {
  try {
    make(path, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    removeIfThere(path);
    make(path, text);
  }
}
