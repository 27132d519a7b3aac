/** Options: the options of a FileStore, and the settings that its parts get: checked, and with the defaults. */
import { COUNT, oneOf, type Rule } from "../../_options.ts";
import type { Log } from "../../log.ts";
import { checkStoreOptions, type StoreOptions } from "../_options.ts";

/** The options of a {@linkcode FileStore}. */
export interface FileStoreOptions extends StoreOptions {
  /** The folder. If it is missing, it is made with mode 0700. It must not have other programs' files. */
  readonly dir: string;
  /**
   * The most live sessions: 1,000,000 unless given. If several processes share the folder, each counts the sessions of
   * the others during its sweeps. So together they may exceed the maximum for a while.
   */
  readonly max?: number | undefined;
  /**
   * When a change is on the disk. `"normal"`, the default: some seconds after it was acknowledged. It survives if the
   * process dies, but a power cut may undo it. `"full"`: before it is acknowledged, so a power cut does not undo it.
   */
  readonly sync?: "normal" | "full" | undefined;
  /** About how many bytes the cache of records may take: 16 MiB unless given. With 0 there is no cache. */
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
 * Checks the options, and adds the defaults.
 *
 * @throws {TypeError} if an option is missing, unknown or invalid.
 * @throws {RangeError} if a number is out of range.
 */
export function settingsOf(options: FileStoreOptions): Settings {
  const shared = checkStoreOptions("FileStore", options, RULES);
  const { dir, sync = "normal", cacheBytes = 16 * 1024 * 1024 } = options;
  return { ...shared, dir, cacheBytes, waitsForDisk: sync === "full" };
}
