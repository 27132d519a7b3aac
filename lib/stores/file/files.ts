/** Files: makes, replaces and removes the files of sessions, and keeps memory, count and sweep up to date with them. */
import type { Log } from "../../log.ts";
import { endOf, type SessionRecord } from "../../record.ts";
import { isMissing, reasonOf } from "./calls.ts";
import type { Census } from "./census.ts";
import { CORRUPT, pathOf, shardOf } from "./names.ts";
import type { Reader } from "./reader.ts";
import { flushNames, makeRecord, replaceRecord, setAside, type Sync } from "./record.ts";
import type { Sweep } from "./sweep.ts";

/** What {@linkcode Files} needs to know. */
export interface FilesOptions {
  readonly dir: string;
  readonly sync: Sync;
  readonly reader: Reader;
  readonly census: Census;
  readonly sweep: Sweep;
  readonly log: Log;
}

/** The files of one store. A promise is returned only where the disk is waited for. */
export class Files {
  #dir: string;
  #sync: Sync;
  #reader: Reader;
  #census: Census;
  #sweep: Sweep;
  #log: Log;

  /** @param options The folder, and what is to be kept up to date. */
  constructor({ dir, sync, reader, census, sweep, log }: FilesOptions) {
    this.#dir = dir;
    this.#sync = sync;
    this.#reader = reader;
    this.#census = census;
    this.#sweep = sweep;
    this.#log = log;
  }

  /** Makes the file of a new session. */
  make(key: string, record: SessionRecord): Promise<void> | undefined {
    const flushed = makeRecord(this.#dir, key, record, this.#sync);
    this.#census.add(key, 1);
    this.#sweep.created(endOf(record));
    return flushed?.catch((error) => {
      this.forget(key);
      throw error;
    });
  }

  /** Puts another record into the place of a session's, under the lock of its file. */
  replace(key: string, path: string, record: SessionRecord): Promise<void> | undefined {
    const flushed = replaceRecord(path, record, this.#sync);
    this.#reader.forget(key);
    this.#sweep.noteEnd(endOf(record));
    // While the disk was waited for, a reader may have kept the old one.
    return flushed?.finally(() => this.#reader.forget(key));
  }

  /** Removes the file of a session, under its lock. */
  remove(key: string, path: string): true {
    Deno.removeSync(path);
    this.forget(key);
    return true;
  }

  /** Waits until the disk knows which files are gone, with sync full. */
  flushRemoved(keys: readonly string[]): Promise<void> | undefined {
    if (this.#sync === "normal" || keys.length === 0) return undefined;
    return flushNames(this.#dir, new Set(keys.map(shardOf)));
  }

  /** Takes a session whose file is gone out of memory and out of the count. */
  forget(key: string): void {
    this.#reader.forget(key);
    this.#census.add(key, -1);
  }

  /** Moves a corrupt record out of the way, and logs that. */
  setAside(key: string): void {
    try {
      if (!setAside(pathOf(this.#dir, key))) return;
      this.forget(key);
      const detail = `its name in "${this.#dir}" now ends in "${CORRUPT}"`;
      this.#log("warn", "A corrupt session record was put aside", detail);
    } catch (error) {
      if (isMissing(error)) return;
      this.#log("warn", "A corrupt session record could not be put aside", `${reasonOf(error)} in "${this.#dir}"`);
    }
  }
}
