/** What kind of machine this is, and whether it is quiet enough for a rate to mean something. */

/** Processors busy with something else, as a share of all of them, from which on rates are not to be believed. */
const BUSY = 0.1;
/** How far the bare server's rates may lie apart over the rounds, as a share of their median. */
const SPREAD = 0.25;
/** How far its processor time a request may. */
const SPREAD_OF_TIME = 0.15;

/** From how many microseconds a new file counts as slow. */
const SLOW_FILE = 150;

/** What makes each system call dear, by the words in which the kernel names it. */
const DEAR: readonly (readonly [words: RegExp, name: string])[] = [
  [/PTI/, "page tables are switched (PTI)"],
  [/Clear CPU buffers/, "buffers are cleared"],
  [/Safe RET/, "returns are not predicted (Safe RET)"],
  [/untrained return thunk/, "returns are not predicted (return thunk)"],
  [/\bIBPB\b(?!:)(?!-)/, "predictions are dropped (IBPB)"],
  [/Mitigation: (Enhanced|Automatic) IBRS|Mitigation: IBRS/, "predictions are restricted (IBRS)"],
  [/Retpolines/, "indirect jumps are not predicted (retpolines)"],
];

/** Lines that say what machine this is. */
export function describe(): string[] {
  const cpu = /model name\s*: (.*)/.exec(read("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const { total } = Deno.systemMemoryInfo();
  const gib = Math.round(total / 2 ** 30);
  const dear = mitigations();
  return [
    `Machine: ${navigator.hardwareConcurrency} cores, ${cpu}, ${gib} GiB, ${Deno.build.os} ${Deno.osRelease()}`,
    ...(dear.length === 0 ? ["Nothing known makes system calls dear"] : ["System calls are dear:", ...dear]),
    `A look at a file (lstat) takes ${lookMicros().toFixed(1)} µs`,
  ];
}

/** How long a look at a file takes, in microseconds. */
function lookMicros(): number {
  return medianMicros(20_000, () => Deno.lstatSync(import.meta.filename!));
}

/** Makes files in a folder; returns a warning if that is slow, as it is on some file systems after many were removed. */
export function slowFiles(folder: string): string | undefined {
  Deno.mkdirSync(`${folder}/new`);
  let made = 0;
  const micros = medianMicros(1000, () => Deno.writeTextFileSync(`${folder}/new/${made++}`, "{}"));
  if (micros < SLOW_FILE) return undefined;
  return `A new file takes ${micros.toFixed(0)} µs here: what makes files cannot be compared. ` +
    "Where many were removed, that passes after five minutes";
}

/** The median, as whatever else runs now and then should not count. */
function medianMicros(count: number, work: () => void): number {
  const times = Array.from({ length: count }, () => {
    const started = performance.now();
    work();
    return performance.now() - started;
  });
  return times.sort((a, b) => a - b)[Math.floor(count / 2)]! * 1000;
}

function mitigations(): string[] {
  const folder = "/sys/devices/system/cpu/vulnerabilities";
  let names: string[] = [];
  try {
    names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const text = read(`${folder}/${name}`);
    return DEAR.filter(([words]) => words.test(text)).map(([, what]) => `  ${what}, on account of ${name}`);
  });
}

/** Looks at the machine for a few seconds, in which nothing of ours runs; returns a warning, if there is need for one. */
export async function busyBefore(): Promise<string | undefined> {
  const before = readTimes();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const share = busyShare(before, readTimes());
  const [load] = Deno.loadavg();
  const percent = `${Math.round(100 * share)} %`;
  if (share < BUSY) return undefined;
  return `Others use ${percent} of the processors (load ${
    load!.toFixed(2)
  }): believe no rate and no p99, and processor time with care`;
}

/** What the bare server's own figures say of the machine: a warning for each kind of figure that lies too far apart. */
export function spreadWarnings(samples: readonly { readonly rate: number; readonly micros: number }[]): string[] {
  const rates = spread(samples.map(({ rate }) => rate));
  const times = spread(samples.map(({ micros }) => micros));
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const warnings: string[] = [];
  if (rates > SPREAD) warnings.push(`The bare server's rates lie ${percent(rates)} apart: believe no rate and no p99`);
  if (times > SPREAD_OF_TIME) {
    warnings.push(`The bare server's processor times lie ${percent(times)} apart: believe differences above that only`);
  }
  return warnings;
}

function spread(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted.at(-1)! - sorted[0]!) / sorted[Math.floor(sorted.length / 2)]!;
}

/** Idle and all time of the processors so far; time that the host took away counts as busy. */
function readTimes(): { idle: number; all: number } {
  const times = /^cpu +(.*)/.exec(read("/proc/stat"))?.[1]?.split(" ").slice(0, 8).map(Number) ?? [];
  return { idle: (times[3] ?? NaN) + (times[4] ?? NaN), all: times.reduce((sum, time) => sum + time, 0) };
}

function busyShare(before: { idle: number; all: number }, after: { idle: number; all: number }): number {
  return 1 - (after.idle - before.idle) / (after.all - before.all);
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
