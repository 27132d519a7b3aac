/** The tools of the suite's tests: stores on the same sessions, a clock, and records. */
import { assert } from "@std/assert";
import { newId } from "./id.ts";
import type { SessionData, SessionRecord } from "./record.ts";
import type { SessionStore } from "./store.ts";

/** Called around each write of a store. If one throws, the store gets that error in place of the engine's answer. */
export interface WriteHooks {
  /** Called before the write. */
  before(): Promise<void>;
  /** Called after it, before the store has the answer. */
  after(): Promise<void>;
}

/** How the suite makes the stores it tests. */
export interface StoreSubject {
  /** The store's name, for the names of the tests. */
  readonly name: string;
  /** Opens a store. Each call opens another one on the same sessions, as a second process would. */
  open(options: { now: () => number; max?: number | undefined }): Promise<SessionStore> | SessionStore;
  /** Removes every session; called after each test. */
  clear(): Promise<void> | void;
  /** Whether the engine expires sessions by its own clock. Then the tests wait in real time. */
  readonly ownClock?: boolean | undefined;
  /** Whether the store counts its sessions exactly, and refuses new ones above its maximum. */
  readonly counts?: boolean | undefined;
  /** Whether the tests are skipped, such as without an engine. Their names are still listed. */
  readonly ignore?: boolean | undefined;
  /**
   * Changes the text that is stored as a session's record, without the store. If it is given, the suite also tests
   * corrupt records and those of later versions.
   */
  rewrite?(key: string, edit: (text: string) => string): Promise<void> | void;
  /**
   * Opens another store, with hooks around its writes. If it is given, the suite also tests lost answers and endless
   * contention.
   */
  openHooked?(options: { now: () => number }, hooks: WriteHooks): Promise<SessionStore> | SessionStore;
}

export const SECOND = 1000;
/** Milliseconds after its end when an engine's own clock has surely ended a session. */
const LATE = 300;
/** The largest error of times that an engine keeps by its own clock, in milliseconds. */
const TOLERANCE = 5 * SECOND;
/** The most times that a test runs, if each time it came too late. */
const TRIES = 5;

/** A test: its name, and what it does. */
export interface SuiteTest {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** The body of a test, which has two stores on the same sessions. */
type Play = (store: SessionStore, other: SessionStore) => Promise<void>;

/** Thrown if a busy machine was so slow that a session ended before the test could see it. */
class TooLate extends Error {}

/** Collects the tests of one store, and gives them their tools. */
export class Suite {
  readonly tests: SuiteTest[] = [];
  readonly subject: StoreSubject;
  /** Milliseconds after its end when a session is surely over. */
  readonly late: number;
  #time = 0;

  /** @param subject The store. */
  constructor(subject: StoreSubject) {
    this.subject = subject;
    this.late = subject.ownClock ? LATE : 0;
  }

  /** Adds a test with two stores, whose maximum of sessions is `max`. */
  readonly test = (behaviour: string, play: Play, max?: number): void => {
    this.tests.push({ name: `${this.subject.name}: ${behaviour}`, run: () => this.#run(play, max) });
  };

  /** The time. It stands still until `pass` moves it; if the engine has its own clock, it is the real time. */
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

  /** Asserts that a verb found a session that ends at the time `end`. If that time has passed, the test runs again. */
  readonly live = <T>(found: T, end: number): NonNullable<T> => {
    if (found) return found;
    assert(this.now() >= end, "the session ended before its time");
    throw new TooLate();
  };

  /** Asserts that two times are equal, or near each other if the engine has its own clock. */
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

/** A change that adds 1 to the value `n`. */
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
