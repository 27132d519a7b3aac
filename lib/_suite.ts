/** What the tests of the suite have at hand: stores on the same sessions, a clock, and records. */
import { assert } from "@std/assert";
import { newId } from "./id.ts";
import type { SessionData, SessionRecord } from "./record.ts";
import type { SessionStore } from "./store.ts";

/** Called around each write of a store. What they throw is what the store gets in place of the engine's answer. */
export interface WriteHooks {
  /** Called before the write. */
  before(): Promise<void>;
  /** Called after it, before the store has the answer. */
  after(): Promise<void>;
}

/** How the suite makes the stores it tests. */
export interface StoreSubject {
  /** What the store is called in the tests' names. */
  readonly name: string;
  /** Opens a store; called again, it opens another one on the same sessions, as a second process would. */
  open(options: { now: () => number; max?: number | undefined }): Promise<SessionStore> | SessionStore;
  /** Removes every session; called after each test. */
  clear(): Promise<void> | void;
  /** Whether the engine expires by its own clock, so that only real waiting shows it. */
  readonly ownClock?: boolean | undefined;
  /** Whether the store counts sessions and refuses those past its maximum, exactly. */
  readonly counts?: boolean | undefined;
  /** Whether to leave the tests out, by name: what they need is missing. */
  readonly ignore?: boolean | undefined;
  /**
   * Changes the text that is stored as a session's record, past the store. With it, corrupt records and those of later
   * versions are tested.
   */
  rewrite?(key: string, edit: (text: string) => string): Promise<void> | void;
  /** Opens another store, with hooks around its writes. With it, lost answers and endless contention are tested. */
  openHooked?(options: { now: () => number }, hooks: WriteHooks): Promise<SessionStore> | SessionStore;
}

export const SECOND = 1000;
/** How late a test may be that waits for an engine's own clock, in milliseconds. */
const LATE = 300;
/** How far off the times may be that an engine keeps by its own clock, in milliseconds. */
const TOLERANCE = 5 * SECOND;
/** How often a test is done again that came too late. */
const TRIES = 5;

/** A test: its name, and what it does. */
export interface SuiteTest {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** What tests do with two stores on the same sessions. */
type Play = (store: SessionStore, other: SessionStore) => Promise<void>;

/** Thrown where a busy machine came too late for what a test wanted to see. */
class TooLate extends Error {}

/** The tests of one store as they are gathered, and what they have at hand. */
export class Suite {
  readonly tests: SuiteTest[] = [];
  readonly subject: StoreSubject;
  /** How long after its end a session is surely over, in milliseconds. */
  readonly late: number;
  #time = 0;

  /** @param subject The store. */
  constructor(subject: StoreSubject) {
    this.subject = subject;
    this.late = subject.ownClock ? LATE : 0;
  }

  /** Adds a test of two stores, which may hold `max` sessions. */
  readonly test = (behaviour: string, play: Play, max?: number): void => {
    this.tests.push({ name: `${this.subject.name}: ${behaviour}`, run: () => this.#run(play, max) });
  };

  /** The time: one that stands still until it is moved, or the engine's own, which can only be waited for. */
  readonly now = (): number => this.subject.ownClock ? Date.now() : this.#time;

  /** Lets some milliseconds pass. */
  readonly pass = async (milliseconds: number): Promise<void> => {
    if (this.subject.ownClock) await new Promise((resolve) => setTimeout(resolve, milliseconds));
    else this.#time += milliseconds;
  };

  /** A new session's record. */
  readonly record = (
    data: SessionData = {},
    idle: number = 60 * SECOND,
    absolute: number = 600 * SECOND,
  ): SessionRecord => {
    const created = this.now();
    return { data, created, idle, expires: created + idle, deadline: created + absolute };
  };

  /** Asserts that a verb found a session that ends at a time; where that has passed, the test is done again. */
  readonly live = <T>(found: T, end: number): NonNullable<T> => {
    if (found) return found;
    assert(this.now() >= end, "the session ended before its time");
    throw new TooLate();
  };

  /** Asserts that a time was kept. */
  readonly isNear = (a: number, b: number): void => {
    assert(Math.abs(a - b) <= (this.subject.ownClock ? TOLERANCE : 0), `off by ${a - b} ms`);
  };

  /** Opens another store on the same sessions. */
  readonly open = async (max?: number): Promise<SessionStore> => await this.subject.open({ now: this.now, max });

  async #run(play: Play, max: number | undefined): Promise<void> {
    for (let tries = 1;; tries++) {
      this.#time = Date.now();
      const [store, other] = [await this.open(max), await this.open(max)];
      try {
        return await play(store, other);
      } catch (error) {
        if (!(error instanceof TooLate) || tries === TRIES) throw error;
      } finally {
        await store.close?.();
        await other.close?.();
        await this.subject.clear();
      }
    }
  }
}

/** A change that sets some data. */
export function set(data: SessionData): (record: SessionRecord) => SessionRecord {
  return (record) => ({ ...record, data: { ...record.data, ...data } });
}

/** A change that changes nothing. */
export function same(record: SessionRecord): SessionRecord {
  return record;
}

/** A change that counts up. */
export function increment(record: SessionRecord): SessionRecord {
  return { ...record, data: { ...record.data, n: record.data["n"] as number + 1 } };
}

/** A new key for a session of a user. */
export async function keyIn(store: SessionStore, user: string): Promise<string> {
  return newId(await store.groupOf?.(user));
}

/** The keys of a user's sessions, sorted. */
export async function keysOf(store: SessionStore, user: string): Promise<string[]> {
  return (await Array.fromAsync(store.sessionsOf!(user))).map(([key]) => key).sort();
}
