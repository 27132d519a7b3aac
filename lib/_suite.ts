/** Tools for the suite's tests: two stores on the same sessions, a clock, and records. */
import { assert } from "@std/assert";
import { newId } from "./id.ts";
import type { SessionData, SessionRecord } from "./record.ts";
import type { SessionStore } from "./store.ts";

/** Called around each write of a store. If a hook throws, the store gets its error in place of the engine's answer. */
export interface WriteHooks {
  /** Called before the write. */
  before(): Promise<void>;
  /** Called after the write, before the store gets the answer. */
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
  /** Whether the engine expires sessions by its own clock. If so, the tests wait in real time. */
  readonly ownClock?: boolean | undefined;
  /** Whether the store counts its sessions exactly, and refuses new ones above its maximum. */
  readonly counts?: boolean | undefined;
  /** Whether the tests are skipped, for example because the engine is missing. Their names are still listed. */
  readonly ignore?: boolean | undefined;
  /**
   * Changes the stored string of a session's record, without the store. If it is given, the suite also tests corrupt
   * records and those of later versions.
   */
  rewrite?(key: string, edit: (text: string) => string): Promise<void> | void;
  /**
   * Opens another store, with hooks around its writes. If it is given, the suite also tests lost answers and endless
   * contention.
   */
  openHooked?(options: { now: () => number }, hooks: WriteHooks): Promise<SessionStore> | SessionStore;
}

export const SECOND = 1000;
/** How long after its end an engine with its own clock may still return a session, in milliseconds. */
const LATE = 300;
/** The largest error of a time that an engine with its own clock returns, in milliseconds. */
const TOLERANCE = 5 * SECOND;
/** The most times that a test runs, if a busy machine makes it too late each time. */
const TRIES = 5;

/** A test: its name, and what it does. */
export interface SuiteTest {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** The body of a test. It gets two stores on the same sessions. */
type TestBody = (store: SessionStore, other: SessionStore) => Promise<void>;

/** Thrown if a busy machine was so slow that a session ended before the test could read it. */
class TooLate extends Error {}

/** Collects the tests of one store, and gives them their tools. */
export class Suite {
  readonly tests: SuiteTest[] = [];
  readonly subject: StoreSubject;
  /** How long after its end a store may still return a session, in milliseconds. */
  readonly late: number;
  #time = 0;

  /** @param subject The store. */
  constructor(subject: StoreSubject) {
    this.subject = subject;
    this.late = subject.ownClock ? LATE : 0;
  }

  /** Adds a test with two stores. `max` is their maximum of sessions. */
  readonly test = (behaviour: string, body: TestBody, max?: number): void => {
    this.tests.push({ name: `${this.subject.name}: ${behaviour}`, run: () => this.#run(body, max) });
  };

  /** The time: the real time if the engine has its own clock, else a time that only `pass` moves. */
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

  /** Asserts that a verb found a session that ends at `end`. If the time is past `end`, the test runs again. */
  readonly assertLive = <T>(found: T, end: number): NonNullable<T> => {
    if (found) return found;
    assert(this.now() >= end, "the session ended before its time");
    throw new TooLate();
  };

  /** Asserts that two times are equal, or near each other if the engine has its own clock. */
  readonly assertNear = (a: number, b: number): void => {
    assert(Math.abs(a - b) <= (this.subject.ownClock ? TOLERANCE : 0), `off by ${a - b} ms`);
  };

  /** Opens another store on the same sessions. */
  readonly open = async (max?: number): Promise<SessionStore> => await this.subject.open({ now: this.now, max });

  async #run(body: TestBody, max: number | undefined): Promise<void> {
    for (let tries = 1;; tries++) {
      this.#time = Date.now();
      const [store, other] = [await this.open(max), await this.open(max)];
      try {
        return await body(store, other);
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
