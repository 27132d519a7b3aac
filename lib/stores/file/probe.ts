/** Probe: tests whether a folder's file system has what the store needs. */
import type { Log } from "../../log.ts";
import { lstat, make, reasonOf, removeIfThere, setTimes, tryLocked } from "./calls.ts";
import { TEMPORARY } from "./names.ts";
import type { Settings } from "./options.ts";

/** How far, in milliseconds, the clocks of the file system and of the machine may differ without a warning. */
const TOLERANCE = 2000;

/**
 * Makes a file, locks it, sets its times and removes it. Logs a warning if other users of the machine may use the
 * folder, or if the file system's clock differs from the machine's.
 *
 * @returns Whether records may be cached: whether the file system stores times of one millisecond, by the same clock.
 * @throws {Error} if the file cannot be made or locked.
 */
export async function probe({ dir, log }: Pick<Settings, "dir" | "log">): Promise<boolean> {
  const path = `${dir}/.${crypto.randomUUID()}${TEMPORARY}`;
  make(path, "");
  try {
    const ahead = lstat(path)!.mtime - Date.now();
    const isOff = Math.abs(ahead) > TOLERANCE;
    if (isOff) {
      const much = `${(Math.abs(ahead) / 1000).toFixed(1)} s ${ahead > 0 ? "ahead" : "behind"}`;
      log("warn", "The file system's clock differs from this machine's", `in "${dir}" it is ${much}`);
    }
    await tryLocked(path, () => {}).catch((error) => {
      throw new Error(`Files cannot be locked: needed a local file system, received "${reasonOf(error)}"`);
    });
    setTimes(path, 0, 1);
    warnIfOpen(dir, "mode 0700", log);
    return lstat(path)?.mtime === 1 && !isOff;
  } finally {
    removeIfThere(path);
  }
}

/**
 * Logs a warning if other users of the machine can read or write a file or a folder.
 *
 * @param path The file or the folder.
 * @param needed The mode that it should have.
 * @param log Called with the warning.
 */
export function warnIfOpen(path: string, needed: string, log: Log): void {
  const { mode } = Deno.statSync(path);
  // On Windows, `mode` is `null`.
  if (mode === null || (mode & 0o077) === 0) return;
  log("warn", `Others on this machine can reach into "${path}": it should have ${needed}`);
}
