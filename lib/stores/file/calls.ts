/** The file calls of the file store: reading a file's state, locking a file, listing a folder. */
import { existsSync } from "node:fs";
import { TEMPORARY } from "./names.ts";

/**
 * The state of a file. Two states differ if the content of the file differs. Every change of content makes a new file,
 * but a file system soon gives the number (inode) of a removed file to a new one. So only the number and the time of
 * birth together identify a file, and only if the birth is so long ago that no other file can have the same time.
 */
export interface Stat {
  readonly ino: number | null;
  readonly birth: number | undefined;
  readonly size: number;
  readonly atime: number;
  readonly mtime: number;
  /** When the file or its times last changed, by the file system's clock. No call can set this time. */
  readonly ctime: number;
  readonly isFile: boolean;
}

/** The state of the file, link or folder at a path; `undefined` if there is none. It does not follow a link. */
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

/** The least time from a file's mtime to its atime, in milliseconds: one day. */
const LATER = 86_400_000;

/**
 * Sets the times of a session's file. The mtime is the session's end. The atime is later: by one day, and by the time
 * from the last use to the end. Because it is later, Linux does not write it when the file is read (`relatime`).
 */
export function setTimes(path: string, used: number, end: number): void {
  Deno.utimeSync(path, new Date(end + LATER + end - used), new Date(end));
}

/** When a session was last used, by its file's times; `undefined` if a copy or a person has set the times. */
export function usedAt({ atime, mtime }: Stat): number | undefined {
  const life = atime - mtime - LATER;
  return life < 0 ? undefined : mtime - life;
}

/** Whether there is anything at a path. If there is nothing, this takes a fifth of the time of {@linkcode lstat}. */
export function exists(path: string): boolean {
  return existsSync(path);
}

/** Whether two states are of the same file, and neither its content nor its mtime changed in between. */
export function isSame(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.birth === b.birth && a.mtime === b.mtime && a.size === b.size;
}

/** The outcome of work under a file's lock. For `"not a file"`, there is a folder, a link or a pipe at the path. */
export type Locked<T> = { readonly result: T } | "busy" | "missing" | "not a file";

/**
 * Work while a file is locked. It is called with the state of the file, which no other process changes, and with the
 * open file. On Windows, a locked file can only be read through the open file that has the lock.
 */
export type Work<T> = (stat: Stat, file: Deno.FsFile) => T | Promise<T>;

/** Does some work while it holds the lock of the file at a path. */
export async function tryLocked<T>(path: string, work: Work<T>): Promise<Locked<T>> {
  while (true) {
    // The state is read first, because opening a pipe would wait for its other end.
    const before = lstat(path);
    if (before === undefined) return "missing";
    if (!before.isFile) return "not a file";
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(path, { read: true });
    } catch (error) {
      if (isMissing(error)) continue;
      throw error;
    }
    try {
      if (!file.tryLockSync(true)) return "busy";
      // Before this process got the lock, another process may have replaced or removed the file.
      const stat = lstat(path);
      if (stat === undefined || file.statSync().ino !== stat.ino) continue;
      return { result: await work(stat, file) };
    } finally {
      file.close();
    }
  }
}

/** Makes a new file that only its owner may use. If this fails, it leaves no file. */
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
 * Makes a file, unless there is one of this name. The content is complete and on the disk before the name is there.
 *
 * @param dir The folder of the file.
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
    // Some file systems have no links, such as those of memory cards.
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
 * Makes a file and locks it, to show that this process is running. Returns `undefined` if another process took the file
 * for one of a dead process, and removed it before it was locked.
 */
export function makeHeld(path: string): Deno.FsFile | undefined {
  Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  // The file is open for reading only: a disk cannot be made read-only while a file is open for writing.
  const file = Deno.openSync(path, { read: true });
  if (file.tryLockSync(true) && exists(path)) return file;
  file.close();
  removeIfThere(path);
}

/** Whether a running process has locked the file that it made by {@linkcode makeHeld}. If not, removes the file. */
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
  // Windows can flush a file only if it is open for writing.
  return sync(path, { read: true, write: true });
}

/** Waits until the disk has the names in a folder. */
export async function flushFolder(path: string): Promise<void> {
  // Windows cannot open a folder. It keeps changes of names in a journal.
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

/** Makes a folder that only its owner may use, unless it is there. */
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

/** A folder that takes more bytes than this is listed asynchronously. About 600 names take that many. */
const LONG = 32 * 1024;

/** Whether a folder has so many names that listing it in one call would delay other requests. */
export function isLong(dir: string): boolean {
  return (lstat(dir)?.size ?? 0) > LONG;
}

/**
 * The names in a folder, as {@linkcode namesIn} lists them. This takes twice as long, but delays no other request.
 *
 * @param note Called with each name as it is listed. Work on all names at the end would delay other requests.
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

/** The names in a folder; none if there is no folder. */
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

/** Removes a file or an empty folder. If this fails, it stays. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is already gone, or the next sweep removes it.
  }
}

/** Whether a call failed because there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** The reason why a call failed: Deno's message without the path. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const permission = /^Requires (\w+) access/.exec(error.message)?.[1];
  if (permission === "all") return "Deno lets no program write";
  if (permission !== undefined) return `Requires ${permission} access to a file: needed --allow-${permission}`;
  return error.message.split(/: \w+ ['"]/)[0]!;
}

/** Whether a call failed because another process has locked the file. On Windows, a locked file cannot be read. */
export function isLocked(error: unknown): boolean {
  return error instanceof Error && error.message.includes("(os error 33)");
}
