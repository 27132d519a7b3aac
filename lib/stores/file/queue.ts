/**
 * Queue: the order in which changes of one session get its lock, so that no change has to wait for long.
 *
 * Within a process, changes of a session run one after the other. If another process has the session's lock, the
 * process makes a ticket: a file in `<dir>/.waiting/<key>/` with a higher number than the tickets that are there. The
 * process locks its ticket, so that others see that it is running. It tries the session's lock again while its ticket
 * is the first one of a running process. A process without a ticket tries the lock only while there are no tickets.
 *
 * The tickets only give the order. Only the process that has the lock of the session's file may change the file. So a
 * process that cannot make a ticket, for example on a full disk, tries the lock without one.
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

/** How long a change waits while the same process keeps the lock, in milliseconds. Then it fails. */
const LOCK_DEADLINE = 5000;

/** A ticket: the locked file that gives a process its place in the order. */
interface Ticket {
  readonly path: string;
  readonly file: Deno.FsFile;
}

/** What a change waits for. While this stays the same, the same process keeps the lock. */
interface Wait {
  readonly state: string;
  readonly since: number;
}

/** The order of the changes in one store. */
export class Queue {
  #dir: string;
  #roster: Roster;
  /** The last change in this process of each session. */
  #last = new Map<string, Promise<void>>();
  /** The wait of a session's last change, if it failed. The next change of the session continues this wait. */
  #vain = new Map<string, Wait>();

  /**
   * @param dir The store's folder.
   * @param roster Says how long this process must wait before a change.
   */
  constructor(dir: string, roster: Roster) {
    this.#dir = dir;
    this.#roster = roster;
  }

  /**
   * Waits for its turn, and does some work while the session's file is locked.
   *
   * @throws {Error} if another process keeps the lock for too long.
   */
  async withLock<T>(key: string, work: Work<T>): Promise<Exclude<Locked<T>, "busy">> {
    const before = this.#last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(key, promise);
    try {
      if (before !== undefined) await before;
      return await this.#inTurn(key, work);
    } finally {
      if (this.#last.get(key) === promise) {
        this.#last.delete(key);
        this.#vain.delete(key);
      }
      resolve();
    }
  }

  /** Removes the tickets of processes that died. */
  removeDeadTickets(): void {
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
    let wait: Wait | undefined = this.#vain.get(key);
    try {
      while (true) {
        const first = ticket === undefined && !exists(folder) ? undefined : firstIn(folder);
        if (first === undefined || first === ticket?.path) {
          for (let join = this.#roster.waitBeforeChange(); join !== undefined; join = this.#roster.waitBeforeChange()) {
            await join;
          }
          const outcome = await tryLocked(path, work);
          if (outcome !== "busy") return outcome;
        }
        ticket ??= enter(folder);
        const file = lstat(path);
        const state = `${first === ticket?.path ? undefined : first} ${file?.ino} ${file?.mtime}`;
        if (wait?.state !== state) wait = { state, since: performance.now() };
        if (performance.now() - wait.since > LOCK_DEADLINE) {
          this.#vain.set(key, wait);
          const seconds = LOCK_DEADLINE / 1000;
          throw new Error(`Cannot lock a session's file: another process has kept it locked for ${seconds} seconds`);
        }
        await pause(first === ticket?.path ? 1 : 1 + Math.random() * 4);
      }
    } finally {
      if (ticket !== undefined) {
        removeIfThere(ticket.path);
        ticket.file.close();
        // The folder is removed with the last ticket.
        removeIfThere(folder);
      }
    }
  }
}

/** Makes a ticket with the highest number; `undefined` if that fails. */
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

/** The first ticket of a running process. Removes the tickets of dead processes before it. */
function firstIn(folder: string): string | undefined {
  return namesIn(folder).sort().map((name) => `${folder}/${name}`).find(isHeld);
}
