/**
 * Roster: which processes have the folder open. A process that is alone there answers from memory, because no other one
 * can have changed a file. That saves a look at the session's file per page, some 6 µs of its 20 to 30.
 *
 * Each store holds the lock of a file of its own in `<dir>/.processes/`, and a lock dies with its process. The rules:
 *
 * 1. A look at the roster that finds no other process begins a period of 250 ms, counted from before the look. Within
 *    it, a session's file that was looked at is not looked at again.
 * 2. A process that joins and finds another one waits 500 ms, counted from after the joining, before it changes or ends
 *    a session. Reading needs no wait, and neither does making a session: no other process has it in memory.
 * 3. A process that cannot join, as on a full disk, makes its change, and waits 500 ms before it acknowledges it. A
 *    process whose file was removed from the roster finds that out at its next look, at most 250 ms later, and joins
 *    again.
 *
 * Why no answer is stale. Let A answer from memory at time t, by a look at the roster at p and one at the session's
 * file at r: by rule 1, p ≤ r ≤ t < p + 250. Suppose that B changed that file at c, with r < c ≤ t.
 *
 * - If B had found A when it joined, at j, then j + 500 ≤ c by rule 2. So j < c − 250 ≤ t − 250 < p: B was there before
 *   A's look, and still at c, after it. A would have found it.
 * - If B had not found A, then A joined after B's look, and all of A's looks came after that. B was there from then
 *   until c, so A would have found it at p.
 * - If B could not join, it had not yet acknowledged the change at t, by rule 3: c + 500 > t.
 *
 * A process may be stopped anywhere for any time, because each takes the time on the safe side of its call: B after
 * joining, A before looking. A process that continues after a stop sees by its clock that its period is over. If it was
 * stopped between that look at the clock and its answer, the answer was true at the look. The request had come before,
 * so the request and the change were under way at the same time, and either order is right.
 *
 * The clock is the system's monotonic one, the same for all processes of a machine. The locks work between those only.
 */
import { pause } from "../_pause.ts";
import { isHeld, lstat, makeDir, makeHeld, namesIn, removeIfThere } from "./calls.ts";

/** How long, in milliseconds, a look that found no other process counts. */
const PERIOD = 250;
/** How long, in milliseconds, a newcomer waits: until the others' periods are over, and as long again to be sure. */
const WAIT = 500;

/** The folder, in that of the store, where each store that uses it has a file. */
export const PROCESSES = ".processes";

/** One store's place among those that have the folder open. */
export class Roster {
  #folder: string;
  #path = "";
  #file: Deno.FsFile | undefined;
  #mayChangeAt = Infinity;
  #lookedAt = -Infinity;
  #isAlone = false;
  #period = 0;

  /** @param dir The store's folder. */
  constructor(dir: string) {
    this.#folder = `${dir}/${PROCESSES}`;
  }

  /**
   * The number of the period that runs now: a file that was looked at in the same period need not be looked at again. 0
   * if another process has the folder open, or may have.
   */
  period(): number {
    if (this.#file === undefined) return 0;
    if (performance.now() - this.#lookedAt >= PERIOD) this.#look();
    return this.#isAlone ? this.#period : 0;
  }

  /** Joins, unless that fails. A process that is not in the roster looks at every file. */
  join(): void {
    if (this.#file !== undefined) return;
    try {
      makeDir(this.#folder);
      this.#path = `${this.#folder}/${crypto.randomUUID()}`;
      this.#file = makeHeld(this.#path);
      if (this.#file === undefined) return;
      const joined = performance.now();
      this.#look();
      this.#mayChangeAt = this.#isAlone ? joined : joined + WAIT;
    } catch {
      this.leave();
    }
  }

  /**
   * Joins if needed, and returns the wait that is needed before a change. Without a promise the change may be made, as
   * long as no `await` comes in between.
   */
  wait(): Promise<void> | undefined {
    this.period();
    this.join();
    const left = this.#mayChangeAt - performance.now();
    return this.#file !== undefined && left > 0 ? pause(left) : undefined;
  }

  /** The wait that is needed after a change, before it is acknowledged. */
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

  /** Looks for other processes. */
  #look(): void {
    this.#lookedAt = performance.now();
    this.#period++;
    this.#isAlone = false;
    try {
      if (lstat(this.#path)?.ino !== this.#file!.statSync().ino) return this.leave();
      const all = namesIn(this.#folder).map((name) => `${this.#folder}/${name}`);
      this.#isAlone = !all.some((path) => path !== this.#path && isHeld(path));
    } catch {
      // A folder that cannot be read may hide another process.
    }
  }
}
