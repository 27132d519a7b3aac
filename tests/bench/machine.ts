/** Describes the machine, and warns if other programs disturb the measurement. */

/** The share of the processors that other programs may use. Above it, rates mean nothing. */
const BUSY = 0.1;
/** How much the bare server's rates may differ over the rounds, as a share of their median. */
const SPREAD = 0.25;
/** The same for its processor times per request. */
const SPREAD_OF_TIME = 0.15;

/** A new file that takes this many microseconds or more counts as slow. */
const SLOW_FILE = 150;

/** The protections that make each system call slow, by the kernel's words for them. */
const PROTECTIONS: readonly (readonly [words: RegExp, name: string])[] = [
  [/PTI/, "the kernel switches page tables (PTI)"],
  [/Clear CPU buffers/, "the kernel clears buffers"],
  [/Safe RET/, "returns are not predicted (Safe RET)"],
  [/untrained return thunk/, "returns are not predicted (return thunk)"],
  [/\bIBPB\b(?!:)(?!-)/, "predictions are dropped (IBPB)"],
  [/Mitigation: (Enhanced|Automatic) IBRS|Mitigation: IBRS/, "predictions are restricted (IBRS)"],
  [/Retpolines/, "indirect jumps are not predicted (retpolines)"],
];

/** Lines that describe the machine. */
export function describe(): string[] {
  const cpu = /model name\s*: (.*)/.exec(read("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const { total } = Deno.systemMemoryInfo();
  const gib = Math.round(total / 2 ** 30);
  const slow = mitigations();
  return [
    `Machine: ${navigator.hardwareConcurrency} cores, ${cpu}, ${gib} GiB, ${Deno.build.os} ${Deno.osRelease()}`,
    ...(slow.length === 0 ? ["No known protection makes system calls slow"] : ["System calls are slow:", ...slow]),
    `One lstat takes ${lstatMicros().toFixed(1)} µs`,
  ];
}

function lstatMicros(): number {
  return medianMicros(20_000, () => Deno.lstatSync(import.meta.filename!));
}

/** Makes files in a folder. Returns a warning if that is slow, as on some file systems after many were removed. */
export function slowFiles(folder: string): string | undefined {
  Deno.mkdirSync(`${folder}/new`);
  let made = 0;
  const micros = medianMicros(1000, () => Deno.writeTextFileSync(`${folder}/new/${made++}`, "{}"));
  if (micros < SLOW_FILE) return undefined;
  return `A new file takes ${micros.toFixed(0)} µs here: servers that make files cannot be compared. ` +
    "If many files were removed before, wait five minutes";
}

/** The median time of a piece of work, in microseconds. Rare interruptions do not change a median. */
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
    return PROTECTIONS.filter(([words]) => words.test(text)).map(([, what]) => `  ${what}, because of ${name}`);
  });
}

/** Measures for three seconds how much other programs use the processors. Returns a warning if it is too much. */
export async function busyBefore(): Promise<string | undefined> {
  const before = readTimes();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const share = busyShare(before, readTimes());
  const [load] = Deno.loadavg();
  const percent = `${Math.round(100 * share)} %`;
  if (share < BUSY) return undefined;
  return `Other programs use ${percent} of the processors (load ${
    load!.toFixed(2)
  }): rates and p99 mean nothing, processor times little`;
}

/** A warning for each kind of figure of the bare server that differs too much between the rounds. */
export function spreadWarnings(samples: readonly { readonly rate: number; readonly micros: number }[]): string[] {
  const rates = spread(samples.map(({ rate }) => rate));
  const times = spread(samples.map(({ micros }) => micros));
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const warnings: string[] = [];
  if (rates > SPREAD) warnings.push(`The bare server's rates differ by ${percent(rates)}: rates and p99 mean nothing`);
  if (times > SPREAD_OF_TIME) {
    warnings.push(`The bare server's processor times differ by ${percent(times)}: smaller differences mean nothing`);
  }
  return warnings;
}

function spread(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted.at(-1)! - sorted[0]!) / sorted[Math.floor(sorted.length / 2)]!;
}

/** Idle time and all time of the processors so far. Time that the host of a virtual machine took counts as busy. */
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
