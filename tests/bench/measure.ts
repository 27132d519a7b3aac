/** Loads servers in turn, and prints the results as lists that fit a terminal of 80 columns. */
import { type Load, load, type Result } from "./load.ts";
import { options } from "./options.ts";
import { processorTime } from "./processes.ts";
import type { Subject } from "./servers.ts";

/** The result of one round. */
export interface Sample extends Result {
  /** Processor time per request, in microseconds: all threads of all processes of the server. */
  readonly micros: number;
}

/** A server that is loaded in turn with others, and its results. */
export interface Contender {
  readonly name: string;
  readonly send: () => Promise<Sample>;
  readonly samples: Sample[];
  /** How much the first contender should be worth compared with this one, by processor time and by rate. */
  readonly target: number | undefined;
}

/** The requests to send, and the target of the comparison. */
interface Plan extends Partial<Omit<Load, "url" | "seconds">> {
  readonly path?: string;
  readonly target?: number | undefined;
}

/** Prints the progress. It goes to standard error, because standard output has only the results. */
export function say(text: string): void {
  console.error(text);
}

export function contender(name: string, subject: Subject, { path = "/", target, ...what }: Plan = {}): Contender {
  const send = () => sample(subject, { url: subject.origin + path, seconds: options.seconds, ...what });
  return { name, send, samples: [], target };
}

/** Loads a server, and measures the processor time that it took. */
export async function sample({ pids }: Subject, what: Load): Promise<Sample> {
  const before = processorTime(pids);
  const result = await load(what);
  const micros = (processorTime(pids) - before) * 1e6 / result.requests;
  return { ...result, micros };
}

/** Loads servers in turn, round by round, so that other programs affect all of them. The first round warms up. */
export async function inTurn(contenders: readonly Contender[]): Promise<void> {
  for (let round = 0; round <= options.rounds; round++) {
    for (const { name, send, samples } of contenders) {
      const result = await send();
      if (round === 0) continue;
      samples.push(result);
      say(`Round ${round}: ${result.micros.toFixed(1)} µs, ${thousands(result.rate)}/s: ${name}`);
    }
  }
}

/** Prints the results, and how much the first contender is worth compared with each other one. */
export function printTable(title: string, [first, ...others]: readonly Contender[]): void {
  printTitle(title);
  console.log(columns("", "µs per request", "requests/s", "p99 in ms"));
  for (const { name, samples } of [first!, ...others]) {
    const rate = thousands(median(samples.map(({ rate }) => rate)));
    const micros = withRange(samples.map(({ micros }) => micros));
    console.log(columns(name, micros, rate, withRange(samples.map(({ p99 }) => p99))));
  }
  if (others.length === 0) return;
  console.log(columns("the first is worth", "by time", "by rate", "at least"));
  for (const { name, samples, target } of others) {
    const byTime = samples.map(({ micros }, round) => micros / first!.samples[round]!.micros);
    const byRate = samples.map(({ rate }, round) => first!.samples[round]!.rate / rate);
    const met = (ratios: number[]) => verdict(median(ratios) >= target!);
    const goal = target === undefined ? "" : `${target}: ${met(byTime)}, ${met(byRate)}`;
    console.log(columns(name, withRange(byTime), withRange(byRate), goal));
  }
}

export function printTitle(title: string): void {
  console.log(`\n${title}`);
}

/** Prints a line below a title. */
export function printLine(text: string): void {
  console.log(`  ${text}`);
}

/** Prints that something could not be measured, and what is missing. */
export function printMissing(what: string, reason: string): void {
  printLine(`missing: ${what}: ${reason}`);
}

export function verdict(met: boolean): string {
  return met ? "yes" : "no";
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** The median, with the lowest and the highest in brackets. */
export function withRange(numbers: readonly number[]): string {
  return `${short(median(numbers))} (${short(Math.min(...numbers))}–${short(Math.max(...numbers))})`;
}

export function thousands(number: number): string {
  return Math.round(number).toLocaleString("en");
}

/** A number with three digits, or with all digits before the point if there are more. */
function short(number: number): string {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  return number.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0);
}

function columns(name: string, first: string, second: string, third: string): string {
  return `  ${name.padEnd(27)}${first.padEnd(18)}${second.padEnd(18)}${third}`.trimEnd();
}
