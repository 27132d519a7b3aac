/**
 * Roster: which processes have the folder open. A process that is alone there answers from memory, because no other one
 * can have changed a file. That saves a look at the session's file per page, some 6 µs of its 20 to 30.
 *
 * Each store holds the lock of a file of its own in `<dir>/.processes/`, and a lock dies with its process. The rules:
 *
 * 1. A look at the roster that finds no other process begins a period of 250 ms, counted from before the look. Within it, a
 *    session's file that was looked at is not looked at again.
 * 2. A process that joins and finds another one waits 500 ms, counted from after the joining, before it changes or ends a
 *    session. Reading needs no wait, and neither does making one: no other process has it in memory.
 * 3. A process that cannot join, as on a full disk, makes its change, and waits 500 ms before it says so. Each process finds out at
 *    most 250 ms after a look at the roster if its own file was removed there, and joins again.
 *
 * Why nothing stale is served. Let A answer from memory at time t, by a look at the roster at p and one at the session's
 * file at r: by rule 1, p ≤ r ≤ t < p + 250. Suppose that B changed that file at c, with r < c ≤ t.
 *
 * - If B had found A when it joined, at j, then j + 500 ≤ c by rule 2. So j < c − 250 ≤ t − 250 < p: B was there before A's
 *   look, and still at c, after it. A would have found it.
 * - If B had not found A, then A joined after B's look, and all of A's looks came after that. B was there from then until c,
 *   so A would have found it at p.
 * - If B could not join, it had not yet said at t that the change was done, by rule 3: c + 500 > t.
 *
 * It does not matter how long a process is stopped in between, since each takes the time on the safe side of what it does:
 * B after joining, A before looking. A process that goes on after a stop sees by its clock that its period is over. If it
 * was stopped between that look at the clock and the answer, it answers what was true at the look, and the request had
 * come before: request and change were under way together, and either order is right.
 *
 * The clock is the system's monotonic one, the same for all processes of a machine; the locks work between those only.
 */
import { pause } from "../_pause.ts";
import { isHeld, lstat, makeDir, makeHeld, namesIn, removeIfThere } from "./calls.ts";

/** How long, in milliseconds, the look that found no other process counts. */
const PERIOD = 250;
/** How long, in milliseconds, a newcomer waits: until everybody's period is over, and as much again to be sure. */
const WAIT = 500;
/** The folder, in that of the store, where the stores that use it are known by their files. */
export const PROCESSES = ".processes";

/** One store's place among those that have the folder open. */
export class Roster {
  #dir: string;
  #path = "";
  #file: Deno.FsFile | undefined;
  #mayChangeAt = Infinity;
  #lookedAt = -Infinity;
  #isAlone = false;
  #period = 0;

  /** @param dir The store's folder. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * The number of the period that runs now: files looked at in the same period need not be looked at again. 0 if
   * another process has the folder open, or may have.
   */
  period(): number {
    if (this.#file === undefined) return 0;
    if (performance.now() - this.#lookedAt >= PERIOD) this.#look();
    return this.#isAlone ? this.#period : 0;
  }

  /** Joins, unless that fails. A process that is not in the roster looks at every file. */
  join(): void {
    try {
      makeDir(`${this.#dir}/${PROCESSES}`);
      for (let attempts = 0; this.#file === undefined && attempts < 5; attempts++) {
        this.#path = `${this.#dir}/${PROCESSES}/${crypto.randomUUID()}`;
        this.#file = makeHeld(this.#path);
        if (this.#file === undefined) continue;
        const joined = performance.now();
        // Leaves again if another process took the file for one of the dead before it was locked.
        this.#look();
        this.#mayChangeAt = this.#isAlone ? joined : joined + WAIT;
      }
    } catch {
      this.leave();
    }
  }

  /**
   * Joins if that was not done, and tells what there is to wait for before a change. Without a promise the change may be
   * made at once, without an `await` in between.
   */
  wait(): Promise<void> | undefined {
    this.period();
    if (this.#file === undefined) this.join();
    const left = this.#mayChangeAt - performance.now();
    return this.#file !== undefined && left > 0 ? pause(left) : undefined;
  }

  /** What there is to wait for after a change, before it is acknowledged. */
  waitAfter(): Promise<void> | undefined {
    return this.#file === undefined ? pause(WAIT) : undefined;
  }

  /** Leaves; `wait` joins again. */
  leave(): void {
    if (this.#file === undefined) return;
    removeIfThere(this.#path);
    this.#file.close();
    this.#file = undefined;
  }

  /** Looks who else is there. */
  #look(): void {
    this.#lookedAt = performance.now();
    this.#period++;
    this.#isAlone = false;
    const folder = `${this.#dir}/${PROCESSES}`;
    try {
      if (lstat(this.#path)?.ino !== this.#file!.statSync().ino) return this.leave();
      const others = namesIn(folder).map((name) => `${folder}/${name}`).filter((path) => path !== this.#path);
      this.#isAlone = !others.some(isHeld);
    } catch {
      // A folder that cannot be read may hide another process.
    }
  }
}
