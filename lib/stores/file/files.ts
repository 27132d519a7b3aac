/** Files: makes, replaces and removes the files of sessions, and keeps the cache and the count up to date. */
import { encode, type SessionRecord } from "../../record.ts";
import { flush, flushFolder, isMissing, lstat, make, makeDir, reasonOf, removeIfThere } from "./calls.ts";
import type { Census } from "./census.ts";
import { CORRUPT, pathOf, shardOf, TEMPORARY } from "./names.ts";
import type { Settings } from "./options.ts";
import type { Reader } from "./reader.ts";
import { LEFTOVER, setTimesFor, withEnd } from "./record.ts";

/** The files of one store. Its methods wait only for the disk, and only with `sync: "full"`. */
export class Files {
  #settings: Settings;
  #reader: Reader;
  #census: Census;

  /**
   * @param settings The store's settings.
   * @param reader The cache of records.
   * @param census The count of the files.
   */
  constructor(settings: Settings, reader: Reader, census: Census) {
    this.#settings = settings;
    this.#reader = reader;
    this.#census = census;
  }

  /** Makes the file of a new session. No other process knows its key yet. If this fails, it leaves no file. */
  async make(key: string, record: SessionRecord): Promise<void> {
    const path = pathOf(this.#settings.dir, key);
    const start = performance.now();
    this.#makeInShard(key, path, encode(record));
    this.#census.add(key, 1);
    try {
      setTimesFor(path, record);
      // If the process was stopped for that long, a sweep may have removed the file as one of a dead process.
      if (performance.now() - start > LEFTOVER / 2) {
        throw new Error("Cannot create a session: its file took too long to write");
      }
      if (this.#settings.waitsForDisk) {
        await flush(path);
        await this.flushFolders([key]);
      }
    } catch (error) {
      this.discard(key);
      throw error;
    }
  }

  /**
   * Replaces the record of a session. The caller holds the file's lock. The record is written to a file beside it,
   * which is then renamed. If this fails, it leaves no file.
   */
  async replace(key: string, path: string, record: SessionRecord): Promise<void> {
    const beside = path + TEMPORARY;
    const text = encode(record);
    try {
      makeOver(beside, text);
      setTimesFor(beside, record);
      if (this.#settings.waitsForDisk) await flush(beside);
      Deno.renameSync(beside, path);
    } catch (error) {
      removeIfThere(beside);
      throw error;
    }
    this.#reader.forget(key);
    if (this.#settings.waitsForDisk) await flushFolder(`${this.#settings.dir}/${shardOf(key)}`);
  }

  /** Moves the idle end of a session. The caller holds the file's lock. If possible, only the file's times change. */
  async touch(key: string, path: string, record: SessionRecord, expires: number): Promise<void> {
    const used = withEnd(record, expires);
    if (expires >= record.expires) {
      setTimesFor(path, used);
      const stat = lstat(path);
      if (stat !== undefined && stat.mtime >= expires) {
        this.#reader.keep(key, used, stat);
        if (this.#settings.waitsForDisk) await flush(path);
        return;
      }
    }
    // The file's times cannot hold an earlier end, an end past the deadline, or more digits than the file system has.
    await this.replace(key, path, used);
  }

  /** Removes the file of a session. The caller holds its lock. */
  remove(key: string, path: string): true {
    Deno.removeSync(path);
    this.forget(key);
    return true;
  }

  /** Removes the file of a session whose key no other process knows. If that fails, the file stays. */
  discard(key: string): void {
    removeIfThere(pathOf(this.#settings.dir, key));
    this.forget(key);
  }

  /** With `sync: "full"`, waits until the disk has the folders of these sessions, with the changed names in them. */
  async flushFolders(keys: readonly string[]): Promise<void> {
    if (!this.#settings.waitsForDisk || keys.length === 0) return;
    for (const shard of new Set(keys.map(shardOf))) {
      await flushFolder(`${this.#settings.dir}/${shard}`).catch((error) => {
        // The folder may be gone: the sweep removes empty folders.
        if (!isMissing(error)) throw error;
      });
    }
    // The subfolders themselves may be new or removed.
    await flushFolder(this.#settings.dir);
  }

  /** Removes a session whose file is gone from the cache and from the count. */
  forget(key: string): void {
    this.#reader.forget(key);
    this.#census.add(key, -1);
  }

  /** Renames a corrupt file, so that an operator can look at it. The caller holds its lock. */
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

  /** Makes the file, and its subfolder if that is missing. The sweep may remove an empty subfolder at any moment. */
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
 * Makes a file. If a process left a file of this name when it died, that file is removed first; so is a link. The
 * caller holds the session's lock, so no other process is writing this file.
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
