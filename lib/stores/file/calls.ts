/** The file calls that the file store is made of: looking at a name, locking a file, making one. */

/**
 * What tells one state of a file from another. Every change of content makes a new file, and a file system soon gives
 * the number of a removed one to the next: only number and birth together name a file, and only once its birth is far
 * enough in the past that no later file can share it.
 */
export interface Stat {
  readonly ino: number | null;
  readonly birth: number | undefined;
  readonly size: number;
  readonly mtime: number;
}

/** Runs `work` while holding the lock of the file that `path` names. */
export function tryLocked<T>(path: string, work: () => T): { result: T | "corrupt" | undefined } | "busy" {
  while (true) {
    // Looked at first, because opening a pipe would wait for its other end.
    const stat = lstat(path);
    if (stat === undefined) return { result: undefined };
    if (!stat.isFile) return { result: "corrupt" };
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(path, { read: true });
    } catch (error) {
      if (isMissing(error)) continue;
      throw error;
    }
    try {
      if (!file.tryLockSync(true)) return "busy";
      // Between the opening and the lock, another process may have put a new file there, or removed it.
      if (file.statSync().ino !== lstat(path)?.ino) continue;
      return { result: work() };
    } finally {
      file.close();
    }
  }
}

/** Says what is needed where files cannot be locked. */
export function tryOutLock(path: string): void {
  try {
    tryLocked(path, () => {});
  } catch (error) {
    throw new Error(`Files cannot be locked: needed a local file system, received "${(error as Error).message}"`);
  }
}

/** Makes a file that is not there yet, for its owner alone, by another thread; nothing is left if that fails. */
export async function make(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await Deno.writeFile(path, bytes, { createNew: true, mode: 0o600 });
  } catch (error) {
    // In these two cases there is none of ours.
    if (!(error instanceof Deno.errors.AlreadyExists || isMissing(error))) removeIfThere(path);
    throw error;
  }
}

/** The same in this thread, for who has a lock. */
export function makeSync(path: string, bytes: Uint8Array): void {
  const file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  try {
    for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
  } catch (error) {
    removeIfThere(path);
    throw error;
  } finally {
    file.close();
  }
}

/** Sets the mtime of a file. */
export function setTime(path: string, mtime: number): void {
  Deno.utimeSync(path, new Date(mtime), new Date(mtime));
}

/** The state of what a name stands for, links not followed; `undefined` if there is nothing. */
export function lstat(path: string): (Stat & { isFile: boolean }) | undefined {
  try {
    const { ino, birthtime, size, mtime, isFile } = Deno.lstatSync(path);
    return { ino, birth: birthtime?.getTime(), size, mtime: mtime?.getTime() ?? 0, isFile };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whether nothing has changed between two looks. */
export function isSame(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.birth === b.birth && a.mtime === b.mtime && a.size === b.size;
}

/** Whether a call failed because there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** Makes a folder for its owner alone, if it is not there. */
export function makeDir(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Removes a file, and says nothing if it cannot. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already, or the next sweep's.
  }
}

/** The names in a folder; none if it is not there. In one go: asynchronously it would take four times as long. */
export function list(dir: string): string[] {
  try {
    return Array.from(Deno.readDirSync(dir), ({ name }) => name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
