/** Reads from Linux how much processor time a process and its children took, and how much memory it has. */

/** The kernel reports hundredths of a second, whatever its own clock is. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time that processes took so far, with all threads and children. NaN if this is not Linux. */
export function processorTime(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids.flatMap(withChildren)) {
    // The second field is the program's name in brackets, and may have any characters. `utime` is the 14th field.
    const fields = read(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
    ticks += Number(fields[11] ?? NaN) + Number(fields[12] ?? NaN);
  }
  return ticks / TICKS_PER_SECOND;
}

/** The memory of a process, in megabytes. */
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
