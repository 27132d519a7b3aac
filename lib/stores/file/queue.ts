/**
 * Queue: the order in which changes of one session wait for its lock, so that none waits for luck.
 *
 * In a process, the changes of a session come one after the other. Between processes, one that finds the lock taken makes
 * a ticket, a file in `<dir>/.waiting/<key>/`. Its number is higher than those that are there. The process holds the
 * ticket's lock, which dies with the process. A process tries the lock of the session only while its ticket is the first
 * of a living process, or, without a ticket, while there is none.
 *
 * The tickets only give the order. The lock of the session's file alone decides who may change it, so a process that
 * cannot make a ticket, as on a full disk, tries the lock all the same.
 */
import { pause } from "../_pause.ts";
import { exists, isHeld, lstat, makeDir, makeHeld, namesIn, removeIfThere } from "./calls.ts";
import { pathOf } from "./names.ts";

/** How long to wait for one holder of a lock, in milliseconds, before giving up. */
const LOCK_DEADLINE = 5000;
const WAITING = ".waiting";

/** A place in the order. */
interface Ticket {
  readonly folder: string;
  readonly name: string;
  readonly file: Deno.FsFile;
}

/** The order of the changes in one store. */
export class Queue {
  #dir: string;
  #last = new Map<string, Promise<void>>();

  /** @param dir The store's folder. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Makes a change when its turn comes.
   *
   * @param key The session's key.
   * @param attempt Tries to make it; returns `"busy"` if another process has the lock.
   * @throws {Error} if another process keeps the lock.
   */
  async run<T>(key: string, attempt: () => Promise<T | "busy">): Promise<T> {
    const before = this.#last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(key, promise);
    try {
      if (before !== undefined) await before;
      return await this.#wait(key, attempt);
    } finally {
      if (this.#last.get(key) === promise) this.#last.delete(key);
      resolve();
    }
  }

  /** Removes the tickets of processes that died. */
  clear(): void {
    for (const key of namesIn(`${this.#dir}/${WAITING}`)) {
      const folder = `${this.#dir}/${WAITING}/${key}`;
      for (const name of namesIn(folder)) isHeld(`${folder}/${name}`);
      removeIfThere(folder);
    }
  }

  async #wait<T>(key: string, attempt: () => Promise<T | "busy">): Promise<T> {
    const folder = `${this.#dir}/${WAITING}/${key}`;
    let ticket: Ticket | undefined;
    let seen = "";
    let since = 0;
    try {
      while (true) {
        const first = ticket === undefined && !exists(folder) ? undefined : firstIn(folder);
        if (first === ticket?.name) {
          const outcome = await attempt();
          if (outcome !== "busy") return outcome;
        }
        // Another process may have taken the ticket for one of the dead before it was locked.
        if (ticket !== undefined && !exists(`${folder}/${ticket.name}`)) ticket = leave(ticket);
        ticket ??= enter(folder);
        const file = lstat(pathOf(this.#dir, key));
        const state = `${first} ${file?.ino} ${file?.mtime}`;
        if (state !== seen) since = performance.now();
        seen = state;
        if (performance.now() - since > LOCK_DEADLINE) {
          throw new Error(`Another process has kept a session locked for ${LOCK_DEADLINE / 1000} seconds`);
        }
        await pause(first === ticket?.name ? 1 : 1 + Math.random() * 4);
      }
    } finally {
      if (ticket !== undefined) leave(ticket);
    }
  }
}

/** Makes a ticket after all others; nothing if that cannot be done now. */
function enter(folder: string): Ticket | undefined {
  try {
    makeDir(folder.slice(0, folder.lastIndexOf("/")));
    makeDir(folder);
    const number = 1 + Math.max(0, ...namesIn(folder).map((name) => Number.parseInt(name)));
    const name = `${String(number).padStart(9, "0")}.${crypto.randomUUID()}`;
    const file = makeHeld(`${folder}/${name}`);
    return file && { folder, name, file };
  } catch {
    return undefined;
  }
}

function leave({ folder, name, file }: Ticket): undefined {
  removeIfThere(`${folder}/${name}`);
  file.close();
  // The last one takes the folder with it.
  removeIfThere(folder);
}

/** The first ticket of a living process. Removes those of the dead before it. */
function firstIn(folder: string): string | undefined {
  return namesIn(folder).sort().find((name) => isHeld(`${folder}/${name}`));
}
