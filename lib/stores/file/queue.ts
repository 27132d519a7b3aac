/**
 * Queue: the order in which changes of one session take its lock, so that no change waits for luck.
 *
 * In a process, the changes of a session come one after the other. A process that finds the lock taken by another one
 * makes a ticket, a file in `<dir>/.waiting/<key>/`. The ticket's number is higher than those that are there. The
 * process holds the ticket's lock, which dies with the process. It tries the lock of the session again while its ticket
 * is the first one of a living process. A process without a ticket tries it while there are no tickets.
 *
 * The tickets only give the order. The lock of the session's file alone decides who may change it, so a process that
 * cannot make a ticket, as on a full disk, tries the lock all the same.
 */
import { pause } from "../_pause.ts";
import {
  exists,
  isHeld,
  type Locked,
  lstat,
  makeDir,
  makeHeld,
  namesIn,
  removeIfThere,
  tryLocked,
  type Work,
} from "./calls.ts";
import { pathOf } from "./names.ts";
import type { Roster } from "./roster.ts";

/** How long to wait for one holder of a lock, in milliseconds, before giving up. */
const LOCK_DEADLINE = 5000;

/** A place in the order. */
interface Ticket {
  readonly path: string;
  readonly file: Deno.FsFile;
}

/** The order of the changes in one store. */
export class Queue {
  #dir: string;
  #roster: Roster;
  #last = new Map<string, Promise<void>>();

  /**
   * @param dir The store's folder.
   * @param roster Knows how long a newcomer must wait before a change.
   */
  constructor(dir: string, roster: Roster) {
    this.#dir = dir;
    this.#roster = roster;
  }

  /**
   * Does some work under the lock of a session's file when its turn comes.
   *
   * @throws {Error} if another process keeps the lock.
   */
  async locked<T>(key: string, work: Work<T>): Promise<Exclude<Locked<T>, "busy">> {
    const before = this.#last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(key, promise);
    try {
      if (before !== undefined) await before;
      return await this.#inTurn(key, work);
    } finally {
      if (this.#last.get(key) === promise) this.#last.delete(key);
      resolve();
    }
  }

  /** Removes the tickets of processes that died. */
  clear(): void {
    const waiting = `${this.#dir}/.waiting`;
    for (const key of namesIn(waiting)) {
      firstIn(`${waiting}/${key}`);
      removeIfThere(`${waiting}/${key}`);
    }
  }

  async #inTurn<T>(key: string, work: Work<T>): Promise<Exclude<Locked<T>, "busy">> {
    const path = pathOf(this.#dir, key);
    const folder = `${this.#dir}/.waiting/${key}`;
    let ticket: Ticket | undefined;
    let seen = "";
    let since = 0;
    try {
      while (true) {
        const first = ticket === undefined && !exists(folder) ? undefined : firstIn(folder);
        if (first === undefined || first === ticket?.path) {
          for (let waiting = this.#roster.wait(); waiting !== undefined; waiting = this.#roster.wait()) await waiting;
          const outcome = await tryLocked(path, work);
          if (outcome !== "busy") return outcome;
        }
        ticket ??= enter(folder);
        const file = lstat(path);
        const state = `${first} ${file?.ino} ${file?.mtime}`;
        if (state !== seen) since = performance.now();
        seen = state;
        if (performance.now() - since > LOCK_DEADLINE) {
          const seconds = LOCK_DEADLINE / 1000;
          throw new Error(`Cannot lock a session's file: another process has kept it locked for ${seconds} seconds`);
        }
        await pause(first === ticket?.path ? 1 : 1 + Math.random() * 4);
      }
    } finally {
      if (ticket !== undefined) {
        removeIfThere(ticket.path);
        ticket.file.close();
        // The last one takes the folder with it.
        removeIfThere(folder);
      }
    }
  }
}

/** Makes a ticket after all others; none if that cannot be done now. */
function enter(folder: string): Ticket | undefined {
  try {
    makeDir(folder.slice(0, folder.lastIndexOf("/")));
    makeDir(folder);
    const number = 1 + Math.max(0, ...namesIn(folder).map((name) => Number.parseInt(name)));
    const path = `${folder}/${String(number).padStart(9, "0")}.${crypto.randomUUID()}`;
    const file = makeHeld(path);
    return file && { path, file };
  } catch {
    return undefined;
  }
}

/** The first ticket of a living process. Removes those of dead processes before it. */
function firstIn(folder: string): string | undefined {
  return namesIn(folder).sort().map((name) => `${folder}/${name}`).find(isHeld);
}
