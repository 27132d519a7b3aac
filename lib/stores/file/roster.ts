/**
 * Roster: the list of processes that use the folder. While a process is alone in the folder, it answers from its cache,
 * because no other process can have changed a file. So it does not read the state of the session's file for each page.
 * That saves about 6 µs of the 20 to 30 µs that a page takes.
 *
 * Each store has a locked file of its own in `<dir>/.processes/`. The operating system releases the lock when the
 * process dies. The rules:
 *
 * 1. If a process reads the roster and finds no other process, a period of 250 ms begins. It is counted from before the
 *    reading. Within the period, the process checks the file of each session only once.
 * 2. A process that joins the roster and finds another process waits 500 ms before it changes or ends a session. The
 *    wait is counted from after the joining. Reading a session needs no wait. Making one needs none either, because no
 *    other process has cached it.
 * 3. If a process cannot join, for example on a full disk, it waits 500 ms after each change before it acknowledges the
 *    change. It also waits if it left the roster, or joined again, during the change. If a process's file is removed
 *    from the roster, the process finds that out at most 250 ms later, when it reads the roster again, and joins again.
 *
 * Why no answer is out of date: suppose that process A reads the roster at time p, checks the session's file at r, and
 * answers from its cache at t. By rule 1, p ≤ r ≤ t < p + 250. Suppose that process B changed the file at c, with
 * r < c ≤ t.
 *
 * - If B found A when it joined, at j, then j ≤ c − 500 by rule 2. So j < c − 250 ≤ t − 250 < p. B was in the roster
 *   before p and until c, so A would have found B at p.
 * - If B did not find A, then A joined after B read the roster. B was in the roster from then until c, so A would have
 *   found B at p.
 * - If B could not join, then by rule 3 it had not yet acknowledged the change at t, because t < p + 250 < c + 500.
 *
 * A process may be stopped at any point for any time, because both count time on the safe side: B from after the
 * joining, A from before the reading. When A continues, its clock shows that its period is over. If A was stopped after
 * it read its clock and before it answered, the answer was right when A read the clock. At that time the request had
 * already come, so the request and the change overlapped, and either order of them is right.
 *
 * The clock is the system's monotonic clock. It is the same for all processes of a machine, and the locks work only
 * between processes of one machine.
 */
import { pause } from "../_pause.ts";
import { isHeld, lstat, makeDir, makeHeld, namesIn, removeIfThere } from "./calls.ts";

/** How long a process counts as alone after it found no other process, in milliseconds. */
const PERIOD = 250;
/** How long a process waits after it joins, in milliseconds: the period of the others, twice to be safe. */
const WAIT = 500;

/** The subfolder of the roster. */
export const PROCESSES = ".processes";

/** One store's part of the roster. */
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
   * The number of the current period. A file that was checked in this period does not need another check. The number is
   * 0 if another process uses the folder, or may use it.
   */
  period(): number {
    if (this.#file === undefined) return 0;
    if (performance.now() - this.#lookedAt >= PERIOD) this.#look();
    return this.#isAlone ? this.#period : 0;
  }

  /** Joins the roster. If that fails, this process checks a session's file before each answer. */
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
   * Joins if needed. Returns a promise if the process must wait before a change. Call this again after the wait. If it
   * returns `undefined`, begin the change before the next `await`.
   */
  waitBeforeChange(): Promise<void> | undefined {
    this.period();
    this.join();
    const left = this.#mayChangeAt - performance.now();
    return this.#file !== undefined && left > 0 ? pause(left) : undefined;
  }

  /** Returns a promise if the process must wait after a change, before it acknowledges the change. */
  waitAfterChange(): Promise<void> | undefined {
    return this.#file === undefined || performance.now() < this.#mayChangeAt ? pause(WAIT) : undefined;
  }

  /** Leaves the roster. `waitBeforeChange` joins it again. */
  leave(): void {
    if (this.#file === undefined) return;
    removeIfThere(this.#path);
    this.#file.close();
    this.#file = undefined;
  }

  /** Reads the roster. */
  #look(): void {
    this.#lookedAt = performance.now();
    this.#period++;
    this.#isAlone = false;
    try {
      if (lstat(this.#path)?.ino !== this.#file!.statSync().ino) return this.leave();
      const all = namesIn(this.#folder).map((name) => `${this.#folder}/${name}`);
      this.#isAlone = !all.some((path) => path !== this.#path && isHeld(path));
    } catch {
      // The roster cannot be read, so there may be another process.
    }
  }
}
