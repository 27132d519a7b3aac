/** What the shared stores have in common: a deadline, changes by compare-and-set, a record's text, pacing a sweep. */
import type { Log } from "../log.ts";
import { freeze, type Json, MAX_RECORD_BYTES, type SessionData, type SessionRecord } from "../store.ts";

/** How long any verb may take, in milliseconds. */
export const DEADLINE = 2500;

const VERSION = 1;

/** Thrown when a verb took longer than it may; whether the server did what it was asked to, is not known. */
export class DeadlineError extends Error {
  override name = "DeadlineError";
}

/**
 * Does some work on a server, within the deadline. A failure names the server, and nothing that a client library may
 * have put into its error: their messages are kept, their other properties can hold ids and data.
 *
 * @param server What to call the server; never with a password in it.
 */
export async function within<T>(server: string, work: Promise<T>, deadline: number = DEADLINE): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`no answer in ${deadline / 1000} seconds`)), deadline);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    const failure = error instanceof DeadlineError ? DeadlineError : Error;
    throw new failure(`${server}: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** Why something failed, in one line. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.message || (error as { code?: string }).code || error.name;
}

/**
 * Reads, changes and writes until nobody else wrote in between.
 *
 * @param attempt Does it once; `"again"` if somebody wrote in between.
 */
export async function compareAndSet<T>(attempt: () => Promise<T | "again">): Promise<T> {
  const start = performance.now();
  for (let attempts = 1;; attempts++) {
    const outcome = await attempt();
    if (outcome !== "again") return outcome;
    // Given up before `within` does, so that nothing is written after the failure was reported.
    if (performance.now() - start > DEADLINE - 500) throw new Error("too many changes of one session at once");
    await pause(Math.random() * Math.min(attempts, 10));
  }
}

/** The record as text, which starts with the numbers. */
export function toText({ created, ends, expires, data }: SessionRecord, most: number = MAX_RECORD_BYTES): string {
  const text = JSON.stringify({ version: VERSION, created, ends, expires, data });
  checkSize(text, most);
  return text;
}

/** Refuses a text that is too long to be stored. */
export function checkSize(text: string, most: number = MAX_RECORD_BYTES): void {
  // A character takes three bytes at most, so most texts need not be measured.
  if (text.length * 3 <= most) return;
  const { length } = new TextEncoder().encode(text);
  if (length > most) throw new RangeError(`a session may take ${most} bytes: received ${length}`);
}

/** The record that `toText` made the text of; `undefined` if it did not. */
export function fromText(text: string): SessionRecord | undefined {
  const value = parse(text);
  if (!isObject(value) || value.version !== VERSION || !isObject(value.data)) return undefined;
  const { created, ends, expires, data } = value;
  if (typeof created !== "number" || typeof ends !== "number" || typeof expires !== "number") return undefined;
  return Object.freeze({ data: freeze(data), created, ends, expires });
}

/** A session's data from their JSON text; `undefined` if it is not that. */
export function toData(text: string): SessionData | undefined {
  const value = parse(text);
  return isObject(value) ? freeze(value) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Logs that a record was unreadable; it is left where it is, for somebody to look at, until it expires. */
export function logCorrupt(log: Log, server: string): void {
  log("warn", "A corrupt session record counts as no session", server);
}

/** Milliseconds between steps of a sweep that nobody paid for, while requests come. */
const IDLE_STEP = 1000;
/** How many dead sessions a new one pays for: more than one, so that the dead stay few. */
const PAID_PER_CREATE = 2;

/** Paces a sweep: one step at a time, after the answers, as many as the sessions created have paid for. */
export class Sweeper {
  #step: () => Promise<number>;
  #size: number;
  #log: Log;
  #owed = 0;
  #last = -Infinity;
  #running: Promise<void> | undefined;

  /**
   * @param step Removes some of the sessions that are over; returns how many.
   * @param size How many a step removes at most.
   */
  constructor(step: () => Promise<number>, size: number, log: Log) {
    this.#step = step;
    this.#size = size;
    this.#log = log;
  }

  /** Notes that a session was created. */
  paid(): void {
    this.#owed += PAID_PER_CREATE;
  }

  /** Starts a step if one is due. */
  run(): void {
    if (this.#running !== undefined) return;
    if (this.#owed < this.#size && performance.now() - this.#last < IDLE_STEP) return;
    this.#last = performance.now();
    this.#owed = Math.max(0, this.#owed - this.#size);
    this.#running = pause(0).then(this.#step)
      .then((swept) => swept > 0 && this.#log("info", "Expired sessions were swept", String(swept)))
      .catch((error) => this.#log("error", "The sweep of expired sessions failed", reasonOf(error)))
      .then(() => this.#running = undefined);
  }

  /** Runs steps until nothing is left to remove; returns how many sessions were removed. */
  async all(): Promise<number> {
    await this.#running;
    let all = 0;
    while (true) {
      const swept = await this.#step();
      all += swept;
      if (swept < this.#size) return all;
      await pause(0);
    }
  }

  /** Waits for the step that is running, if any. */
  async close(): Promise<void> {
    await this.#running;
  }
}

/** Waits, so that others have their turn. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
