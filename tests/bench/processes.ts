/** What Linux says of processes: processor time and memory, each of a process and all that it started. */

/** The kernel counts in hundredths of a second whatever its own clock is. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time that these processes took so far, all threads and all children; NaN where Linux is not. */
export function processorTime(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids.flatMap(withChildren)) {
    // The second field is the program's name in brackets, with whatever it is made of; `utime` is the 14th.
    const fields = read(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
    ticks += Number(fields[11] ?? NaN) + Number(fields[12] ?? NaN);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Megabytes of memory that a process holds. */
export function residentMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? NaN) / 1024;
}

function withChildren(pid: number): number[] {
  const children: number[] = [];
  for (const thread of threadsOf(pid)) {
    const line = read(`/proc/${pid}/task/${thread}/children`);
    children.push(...line.split(" ").filter(Boolean).map(Number));
  }
  return [pid, ...children.flatMap(withChildren)];
}

function threadsOf(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
