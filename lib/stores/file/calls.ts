/** The file calls of the file store: looking at a name, locking a file, listing a folder. */
import { TEMPORARY } from "./names.ts";

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
  /** When anything of it changed last, by the file system's clock; nobody can set it. */
  readonly ctime: number;
  readonly isFile: boolean;
}

/** The state of what a name stands for, links not followed; `undefined` if there is nothing. */
export function lstat(path: string): Stat | undefined {
  try {
    const { ino, birthtime, size, mtime, ctime, isFile } = Deno.lstatSync(path);
    const modified = mtime?.getTime() ?? 0;
    return { ino, birth: birthtime?.getTime(), size, mtime: modified, ctime: ctime?.getTime() ?? modified, isFile };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whether nothing has changed between two looks. */
export function isSame(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.birth === b.birth && a.mtime === b.mtime && a.size === b.size;
}

/** What came of trying to work under a file's lock: `"irregular"` is a folder, a link or a pipe in a file's place. */
export type Locked<T> = { readonly result: T } | "busy" | "missing" | "irregular";

/**
 * Runs `work` while holding the lock of the file that `path` names; if it returns a promise, until that is settled.
 *
 * @param work Is given the state of the file, which nobody else changes meanwhile.
 */
export function tryLocked<T>(path: string, work: (stat: Stat) => T): Locked<T> {
  while (true) {
    // Looked at first, because opening a pipe would wait for its other end.
    const before = lstat(path);
    if (before === undefined) return "missing";
    if (!before.isFile) return "irregular";
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(path, { read: true });
    } catch (error) {
      if (isMissing(error)) continue;
      throw error;
    }
    let isHeld = false;
    try {
      if (!file.tryLockSync(true)) return "busy";
      // Between the opening and the lock, another process may have put a new file there, or removed it.
      const stat = lstat(path);
      if (stat === undefined || file.statSync().ino !== stat.ino) continue;
      const result = work(stat);
      if (!(result instanceof Promise)) return { result };
      isHeld = true;
      return { result: result.finally(() => file.close()) as T };
    } finally {
      if (!isHeld) file.close();
    }
  }
}

/** Makes a file that is not there yet, for its owner alone. Leaves nothing when that fails. */
export function make(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text, { createNew: true, mode: 0o600 });
  } catch (error) {
    // In these two cases there is none of ours.
    if (!(error instanceof Deno.errors.AlreadyExists || isMissing(error))) removeIfThere(path);
    throw error;
  }
}

/** Sets the mtime of a file. */
export function setTime(path: string, mtime: number): void {
  Deno.utimeSync(path, new Date(mtime), new Date(mtime));
}

/**
 * Makes a file that is whole, and on the disk, as soon as it is there. Leaves one that is there already.
 *
 * @param dir The folder to make it in.
 */
export async function makeOnce(dir: string, name: string, text: string): Promise<void> {
  const path = `${dir}/${name}`;
  const beside = `${path}.${crypto.randomUUID()}${TEMPORARY}`;
  make(beside, text);
  try {
    await flush(beside);
    // Unlike a rename, a link never replaces what is there.
    Deno.linkSync(beside, path);
  } catch (error) {
    // Some file systems have no links, such as that of memory cards.
    if (!(error instanceof Deno.errors.AlreadyExists)) await makeFlushed(path, text);
  } finally {
    removeIfThere(beside);
  }
  await flushFolder(dir);
}

async function makeFlushed(path: string, text: string): Promise<void> {
  try {
    make(path, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  await flush(path);
}

/** Waits until the disk has what a file holds. */
export function flush(path: string): Promise<void> {
  // Windows flushes only what is open for writing.
  return sync(path, { read: true, write: true });
}

/** Waits until the disk has the names that a folder holds. */
export async function flushFolder(path: string): Promise<void> {
  // Windows cannot open a folder, and keeps names in a journal.
  if (Deno.build.os !== "windows") await sync(path, { read: true });
}

async function sync(path: string, options: Deno.OpenOptions): Promise<void> {
  const file = await Deno.open(path, options);
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

/** Makes a folder for its owner alone, if it is not there. */
export function makeDir(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** The names in a folder; none if it is not there. In one go: asynchronously it would take four times as long. */
export function namesIn(dir: string): string[] {
  try {
    return Array.from(Deno.readDirSync(dir), ({ name }) => name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Removes a file or an empty folder; leaves it if that cannot be done. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already, or the next sweep's.
  }
}

/** Whether a call failed because there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** Why a call failed, without the path that Deno names. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const permission = /^Requires (\w+) access/.exec(error.message)?.[1];
  if (permission === "all") return "Deno lets no program write";
  if (permission !== undefined) return `Requires ${permission} access to a file: needed --allow-${permission}`;
  return error.message.split(/: \w+ ['"]/)[0]!;
}
