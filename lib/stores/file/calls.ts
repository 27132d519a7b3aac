/** The file calls of the file store: looking at a name, locking a file, listing a folder. */
import { existsSync } from "node:fs";
import { TEMPORARY } from "./names.ts";

/**
 * The state of a file, by which one state is told from another. Every change of content makes a new file, and a file
 * system soon gives the number of a removed file to the next. So only number and birth together identify a file, and
 * only once its birth is so long ago that no later file can share it.
 */
export interface Stat {
  readonly ino: number | null;
  readonly birth: number | undefined;
  readonly size: number;
  readonly atime: number;
  readonly mtime: number;
  /** When the file or its times changed last, by the file system's clock; no call can set it. */
  readonly ctime: number;
  readonly isFile: boolean;
}

/** The state of what a path names, links not followed; `undefined` if there is nothing. */
export function lstat(path: string): Stat | undefined {
  try {
    const { ino, birthtime, size, atime, mtime, ctime, isFile } = Deno.lstatSync(path);
    return {
      ino,
      birth: birthtime?.getTime(),
      size,
      atime: atime?.getTime() ?? 0,
      mtime: mtime?.getTime() ?? 0,
      ctime: (ctime ?? mtime)?.getTime() ?? 0,
      isFile,
    };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** How much later than its mtime the atime of a session's file is at least, in milliseconds. */
const LATER = 86_400_000;

/**
 * Sets a file's mtime to when its session ends. Its atime is set later by a day and the time from the last use to the
 * end. As it is later, Linux writes nothing when the file is read (`relatime`).
 */
export function setTimes(path: string, used: number, end: number): void {
  Deno.utimeSync(path, new Date(end + LATER + end - used), new Date(end));
}

/** When a session was last used, by its file's times; `undefined` if they are from a copy, or set by hand. */
export function usedAt({ atime, mtime }: Stat): number | undefined {
  const life = atime - mtime - LATER;
  return life < 0 ? undefined : mtime - life;
}

/** Whether a path names anything. For names that are often missing: then it takes a fifth of {@linkcode lstat}. */
export function exists(path: string): boolean {
  return existsSync(path);
}

/** Whether two states are of the same file, unchanged in between. */
export function isSame(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.birth === b.birth && a.mtime === b.mtime && a.size === b.size;
}

/** The outcome of work under a file's lock: `"irregular"` is a folder, a link or a pipe in the file's place. */
export type Locked<T> = { readonly result: T } | "busy" | "missing" | "irregular";

/**
 * Work under the lock of a file. It is called with the state of the file, which no other process changes, and with the
 * file. On Windows a locked file can be read in no other way.
 */
export type Work<T> = (stat: Stat, file: Deno.FsFile) => T | Promise<T>;

/** Does some work while holding the lock of the file that a path names. */
export async function tryLocked<T>(path: string, work: Work<T>): Promise<Locked<T>> {
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
    try {
      if (!file.tryLockSync(true)) return "busy";
      // Between the opening and the lock, another process may have put a new file there, or removed it.
      const stat = lstat(path);
      if (stat === undefined || file.statSync().ino !== stat.ino) continue;
      return { result: await work(stat, file) };
    } finally {
      file.close();
    }
  }
}

/** Makes a file that is not there yet, for its owner alone. Leaves nothing when that fails. */
export function make(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text, { createNew: true, mode: 0o600 });
  } catch (error) {
    // In these two cases no file was made.
    if (!(error instanceof Deno.errors.AlreadyExists || isMissing(error))) removeIfThere(path);
    throw error;
  }
}

/**
 * Makes a file that is whole and on the disk as soon as its name is there. Leaves a file that is there already.
 *
 * @param dir The folder to make it in.
 */
export async function makeOnce(dir: string, name: string, text: string): Promise<void> {
  const path = `${dir}/${name}`;
  const beside = `${path}.${crypto.randomUUID()}${TEMPORARY}`;
  make(beside, text);
  try {
    await flush(beside);
    // Unlike a rename, a link never replaces a file.
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

/**
 * Makes a file and holds its lock, to show that this process lives. Returns nothing if another process took the file
 * for that of a dead process before it was locked.
 */
export function makeHeld(path: string): Deno.FsFile | undefined {
  Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  // Held for reading: a disk with a file open for writing cannot be made read-only.
  const file = Deno.openSync(path, { read: true });
  if (file.tryLockSync(true) && exists(path)) return file;
  file.close();
  removeIfThere(path);
}

/** Whether a living process holds the file; removes it otherwise. */
export function isHeld(path: string): boolean {
  let file: Deno.FsFile | undefined;
  try {
    file = Deno.openSync(path, { read: true });
    if (!file.tryLockSync(true)) return true;
    Deno.removeSync(path);
    return false;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  } finally {
    file?.close();
  }
}

/** Waits until the disk has the content of a file. */
export function flush(path: string): Promise<void> {
  // Windows flushes only files that are open for writing.
  return sync(path, { read: true, write: true });
}

/** Waits until the disk has the names in a folder. */
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

/** The content of an open file. */
export function readOpen(file: Deno.FsFile, size: number): string {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (let read = 1; length < size && read > 0; length += read) read = file.readSync(bytes.subarray(length)) ?? 0;
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** A folder of more bytes than this is listed in slices. Some 600 names take so many. */
const LONG = 32 * 1024;

/** Whether other requests would wait too long if a folder was listed in one go. */
export function isLong(dir: string): boolean {
  return (lstat(dir)?.size ?? 0) > LONG;
}

/**
 * The names in a folder, as {@linkcode namesIn} lists them. Takes twice as long, and lets other requests have their
 * turn.
 *
 * @param note Called with each name, because work on all of them at the end would take too long.
 */
export async function namesInLong(dir: string, note?: (name: string) => void): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(dir)) {
      names.push(name);
      note?.(name);
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return names;
}

/** The names in a folder; none if it is not there. */
export function namesIn(dir: string, note?: (name: string) => void): string[] {
  try {
    const names = Array.from(Deno.readDirSync(dir), ({ name }) => name);
    if (note !== undefined) names.forEach(note);
    return names;
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
    // It is gone already, or the next sweep removes it.
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

/** Whether a call failed because another process has locked the file, as reading does on Windows. */
export function isLocked(error: unknown): boolean {
  return error instanceof Error && error.message.includes("(os error 33)");
}
