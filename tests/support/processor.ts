/** The processor time of a process, more exact than `/proc/PID/stat` of Linux, which has hundredths of a second. */

/** Reads the processor time of a process: the sum of all its threads, also of those that have ended. Linux only. */
export class ProcessorClock {
  readonly #pid: number;
  /** Nanoseconds by thread. */
  readonly #threads = new Map<string, number>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Milliseconds of processor time so far. */
  read(): number {
    for (const { name } of Deno.readDirSync(`/proc/${this.#pid}/task`)) {
      try {
        const [nanoseconds] = Deno.readTextFileSync(`/proc/${this.#pid}/task/${name}/schedstat`).split(" ");
        this.#threads.set(name, Number(nanoseconds));
      } catch (error) {
        // The thread has ended.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return this.#threads.values().reduce((sum, time) => sum + time, 0) / 1e6;
  }
}
