/** Options: what a FileStore is made with, and the same checked and complete, as every part of the store gets it. */
import { COUNT, oneOf, type Rule } from "../../_options.ts";
import type { Log } from "../../log.ts";
import { checkStoreOptions, type StoreOptions } from "../_options.ts";

/** The options of a {@linkcode FileStore}. */
export interface FileStoreOptions extends StoreOptions {
  /** The folder. It and its subfolders are made with mode 0700 when missing. Nothing else may lie in it. */
  readonly dir: string;
  /**
   * Live sessions at most: 1,000,000 unless given. Of processes that share the folder, each counts the sessions of the
   * others when its sweep looks at them, so together they may exceed the maximum for a while.
   */
  readonly max?: number | undefined;
  /**
   * `"normal"`, unless given: the operating system writes a change to the disk within some seconds. The change survives
   * the death of any process. `"full"`: a change is on the disk before it is acknowledged, so it survives a power cut.
   */
  readonly sync?: "normal" | "full" | undefined;
  /** About how many bytes of memory hold the records read lately: 16 MiB unless given; 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

/** The options, checked and complete. */
export interface Settings {
  readonly dir: string;
  readonly max: number;
  readonly cacheBytes: number;
  /** Whether a change waits for the disk before it is acknowledged. */
  readonly waitsForDisk: boolean;
  readonly log: Log;
  readonly now: () => number;
}

const RULES: Readonly<Record<string, Rule>> = {
  dir: {
    needed: "the path of a folder",
    accepts: (value) => typeof value === "string" && value !== "",
    isRequired: true,
  },
  sync: oneOf("normal", "full"),
  cacheBytes: COUNT,
};

/**
 * Checks the options, and fills in the defaults.
 *
 * @throws {TypeError} if an option is missing, unknown or invalid; {@linkcode RangeError} if a number is.
 */
export function settingsOf(options: FileStoreOptions): Settings {
  const shared = checkStoreOptions("FileStore", options, RULES);
  const { dir, sync = "normal", cacheBytes = 16 * 1024 * 1024 } = options;
  return { ...shared, dir, cacheBytes, waitsForDisk: sync === "full" };
}
