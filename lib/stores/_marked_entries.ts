/** MarkedEntries: reads and writes the entries of an engine. Marks in the entries show which writes were done. */
import { SessionError } from "../errors.ts";
import { decode, endOf, isLive, type SessionRecord } from "../record.ts";
import { CALL_DEADLINE, DEADLINE, DeadlineError, within } from "./_deadline.ts";
import { isPushedOut, type Mark, newWriter, readContent, versionOf, withMark, writeContent } from "./_marks.ts";
import { pause } from "./_pause.ts";
import { Turns } from "./_turns.ts";
import { hashOf } from "./_user_hash.ts";
import type { Entries, Entry, EntryWrite } from "./entries.ts";

/** How long the entry of a moved or ended session is kept, in milliseconds: longer than any verb takes. */
const ENDED_AGE = 60_000;
/** How long a verb tries again while other changes come first, in milliseconds. */
const CONTENTION = 2 * DEADLINE;
/** How long `ready` may take to connect, in milliseconds. No request waits for it. */
const OPEN_DEADLINE = 10_000;
/** The most entries that the engine reads or writes in one call. */
const BATCH = 100;
/** The longest pause before the next try, as a multiple of the time that the last try took. */
const MOST_PAUSE = 8;
/** How many times a write may throw. A write that was refused because another one came first does not count. */
const TRIES = 2;

/** An entry as the store read it, with its decoded content. */
export interface Seen {
  readonly version: Entry["version"] | undefined;
  readonly marks: readonly Mark[];
  /** The record; `undefined` if there is none, or the session moved or ended. */
  readonly record: SessionRecord | "corrupt" | "newer" | undefined;
  readonly movedTo?: string | undefined;
}

/** A write to do. For a live session it has a record and its text. For a session that moved or ended it has neither. */
export interface Draft {
  readonly key: string;
  /** The entry that it replaces. */
  readonly seen: Seen;
  readonly record?: SessionRecord;
  readonly text?: string;
  readonly movedTo?: string;
}

/** The decision of a verb after a read: its outcome, and the writes that it needs. A move needs two. */
export interface Step<T> {
  readonly outcome: T;
  readonly drafts?: readonly [Draft] | readonly [Draft, Draft];
}

/** A write that may have been done. */
interface Attempt<T> {
  readonly seen: Seen;
  readonly outcome: T;
  readonly mark: Mark;
  readonly writes: readonly EntryWrite[];
  /** Whether a read of this store has shown that it was done. */
  isDone: boolean;
}

/** The result of a read if there is no entry. */
export const NOTHING: Seen = { version: undefined, marks: [], record: undefined };

/**
 * Reads and writes entries for one store object, which is a writer. Every write has a mark. If a write gets no answer,
 * the next read of the entry finds out by the mark whether the write was done.
 */
export class MarkedEntries {
  #entries: Entries;
  #name: string;
  #now: () => number;
  #turns: Turns;
  #writer = newWriter();
  #number = 0;
  /** The writes of the running verbs, by the numbers of their marks. */
  #attempts = new Map<number, { isDone: boolean }>();
  #isClosed = false;

  /**
   * @param entries The engine.
   * @param name The name of the engine, for messages.
   * @param now The clock, in milliseconds since 1970.
   * @param connections The number of the engine's connections, see {@linkcode Turns}.
   */
  constructor(entries: Entries, name: string, now: () => number, connections: number) {
    this.#entries = entries;
    this.#name = name;
    this.#now = now;
    this.#turns = new Turns(connections);
  }

  /**
   * Reads an entry, decides what to write, and writes. Repeats this until the outcome is known.
   *
   * @param key The key of the entry.
   * @param first The entry, if the caller knows it. Then there is no read before the first write.
   * @param decide Decides what to write. It is called again if the entry has changed before the write.
   */
  async settle<T>(key: string, first: Seen | undefined, decide: (seen: Seen) => Step<T>): Promise<T> {
    // The wait for a turn counts to the time of the verb.
    const start = performance.now();
    return await this.#turn(() => this.#settle(key, first, decide, start));
  }

  async #settle<T>(
    key: string,
    first: Seen | undefined,
    decide: (seen: Seen) => Step<T>,
    start: number,
  ): Promise<T> {
    const isPast = (milliseconds: number) => performance.now() - start > milliseconds;
    const isLate = () => isPast(DEADLINE - CALL_DEADLINE);
    const attempts: Attempt<T>[] = [];
    let isUnknown = false;
    let failures = 0;
    let failure: unknown;
    try {
      for (let tries = 1;; tries++) {
        const begun = performance.now();
        let seen: Seen;
        try {
          seen = tries === 1 && first ? first : await this.#get(key);
          const done = attempts.find(({ isDone }) => isDone);
          if (done !== undefined) {
            // An engine that writes the two entries in several steps does the missing ones when the new one is read.
            if (done.writes[1] !== undefined) await this.#get(done.writes[1].entry.key);
            return done.outcome;
          }
        } catch (error) {
          // A failed read ends the verb, unless the outcome of a write is still unknown. Even if an engine was silent
          // for a write and for the first read after it, there is time for a second read.
          if (!isUnknown || isPast(DEADLINE) || this.#isClosed) throw isUnknown ? failure : error;
          await pause(50);
          continue;
        }
        let attempt = attempts.at(-1);
        if (attempt !== undefined && isPushedOut(this.#writer, attempt.seen.marks, seen.marks)) {
          throw new Error(`${this.#name}: whether a session was changed is unknown: over eight processes change it`);
        }
        // If a write got no answer and the entry has not changed, the engine may still do the write later. So the same
        // write is repeated, instead of another one.
        const isRepeated = isUnknown && attempt?.seen.version === seen.version;
        if (!isRepeated || attempt === undefined) {
          const { outcome, drafts } = decide(seen);
          if (drafts === undefined) return outcome;
          const mark = this.#newMark();
          const writes = drafts.map((draft) => this.#toWrite(draft, mark));
          attempts.push(attempt = { seen, outcome, mark, writes, isDone: false });
          this.#attempts.set(mark.number, attempt);
        }
        if (failures === TRIES || (failures > 0 && isLate()) || (isRepeated && isOver(seen, this.#now()))) {
          throw failure;
        }
        if (isPast(CONTENTION)) throw new Error(`${this.#name}: too many processes change a session at the same time`);
        isUnknown = false;
        try {
          if (await this.#write(attempt.writes)) return attempt.outcome;
          // The pause is random. Its limit grows with the number of tries, so that each of several writers succeeds.
          const took = performance.now() - begun;
          await pause(Math.random() * took * Math.min(tries, MOST_PAUSE));
        } catch (error) {
          if (error instanceof SessionError || this.#isClosed) throw error;
          isUnknown = true;
          failure = error;
          failures++;
        }
      }
    } finally {
      for (const { mark } of attempts) this.#attempts.delete(mark.number);
    }
  }

  /** Connects, and checks the engine if it has a check. */
  async open(): Promise<void> {
    const opening = this.#entries.check?.() ?? this.#entries.open?.();
    await within(this.#name, Promise.resolve(opening), OPEN_DEADLINE);
  }

  /** Connects, unless there is a connection. */
  async connect(): Promise<void> {
    const opening = this.#entries.open?.();
    if (opening !== undefined) await within(this.#name, opening);
  }

  /** Closes the connection. After this, verbs fail immediately. */
  async close(): Promise<void> {
    try {
      if (this.#entries.close) await within(this.#name, this.#entries.close());
    } finally {
      this.#isClosed = true;
    }
  }

  /** Does a write. Returns whether the engine answered that it was done. */
  async put(draft: Draft): Promise<boolean> {
    return await this.#turn(() => this.#write([this.#toWrite(draft, this.#newMark())]));
  }

  /**
   * Does several writes. Returns the keys of the entries that were written.
   *
   * @param again Called with each key whose write was refused, or is late. It reads the entry, writes it if needed, and
   * returns whether it did.
   */
  async putMany(drafts: readonly Draft[], again: (key: string) => Promise<boolean>): Promise<string[]> {
    const done: string[] = [];
    for (const batch of batches(drafts)) {
      const mark = this.#newMark();
      const writes = batch.map((draft) => this.#toWrite(draft, mark));
      const keys = batch.map(({ key }) => key);
      const isDone = await this.#turn(() => this.#call(() => this.#entries.putMany!(writes))).catch(() => false);
      const isOwn = ({ writer, number }: Mark) => writer === mark.writer && number === mark.number;
      const isWritten = ([, { marks }]: readonly [string, Seen]) => marks.some(isOwn);
      const written = isDone ? keys : (await this.getMany(keys)).filter(isWritten).map(([key]) => key);
      done.push(...written);
      for (const key of keys.filter((key) => !written.includes(key))) {
        // If the late write comes before that of `again`, the entry has its mark.
        if (await again(key) || isWritten([key, await this.get(key)])) done.push(key);
      }
    }
    return done;
  }

  /** Reads the entry under a key. */
  async get(key: string): Promise<Seen> {
    return await this.#turn(() => this.#get(key));
  }

  async #get(key: string): Promise<Seen> {
    return this.#see(await this.#call(() => this.#entries.get(key)));
  }

  /** Reads the entries under some keys. */
  async getMany(keys: readonly string[]): Promise<(readonly [key: string, seen: Seen])[]> {
    const found: (readonly [string, Seen])[] = [];
    for (const batch of batches(keys)) {
      const entries = await this.#turn(() => this.#call(() => this.#entries.getMany!(batch)));
      found.push(...entries.map((entry) => [entry.key, this.#see(entry)] as const));
    }
    return found;
  }

  /** Reads all entries of a list, one after the other. */
  async *each(list: () => AsyncIterable<Entry | undefined>): AsyncGenerator<readonly [key: string, seen: Seen]> {
    const iterator = await this.#call(() => Promise.resolve(list()[Symbol.asyncIterator]()));
    let isOpen = true;
    try {
      while (true) {
        isOpen = false;
        const { done, value } = await this.#turn(() => this.#call(() => iterator.next()));
        if (done) return;
        isOpen = true;
        if (value !== undefined) yield [value.key, this.#see(value)];
      }
    } finally {
      // The caller stopped before the end of the list.
      if (isOpen) await iterator.return?.();
    }
  }

  #see(entry: Entry | undefined): Seen {
    if (entry === undefined) return NOTHING;
    const { version } = entry;
    const content = readContent(entry.content);
    if (content === undefined) return { version, marks: [], record: "corrupt" };
    const { marks, text, movedTo } = content;
    // Every read of this store notes the write as done: another verb may replace the mark before the verb that wrote it
    // reads the entry again.
    const own = marks.find(({ writer }) => writer === this.#writer);
    const attempt = own && this.#attempts.get(own.number);
    if (attempt !== undefined) attempt.isDone = true;
    return { version, marks, record: text === "" ? undefined : decode(text), movedTo };
  }

  #newMark(): Mark {
    return { writer: this.#writer, number: ++this.#number };
  }

  #toWrite({ key, seen, record, text = "", movedTo }: Draft, mark: Mark): EntryWrite {
    const content = writeContent({ marks: withMark(seen.marks, mark), text, movedTo });
    const until = record === undefined ? this.#now() + ENDED_AGE : endOf(record);
    const owned = record ?? seen.record;
    const user = typeof owned === "object" && owned.user !== undefined ? hashOf(owned.user) : undefined;
    return { entry: { key, content, version: versionOf(mark), until, user, record, movedTo }, seen: seen.version };
  }

  async #write([first, second]: readonly EntryWrite[]): Promise<boolean> {
    return await this.#call(() => second ? this.#entries.putBoth(first!, second) : this.#entries.put(first!));
  }

  /** Does something with the engine when a turn is free. So the deadline of a call does not include the wait. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(this.#name, work);
  }

  /** Makes one call of the engine, with a deadline. */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    await this.connect();
    try {
      return await within(this.#name, work(), CALL_DEADLINE);
    } catch (error) {
      if (error instanceof DeadlineError) this.#entries.reconnect?.();
      throw error;
    }
  }
}

/** Splits items into batches, so that no call of the engine takes long. */
function batches<T>(items: readonly T[]): T[][] {
  const count = Math.ceil(items.length / BATCH);
  return Array.from({ length: count }, (_, index) => items.slice(index * BATCH, (index + 1) * BATCH));
}

/** Whether an entry has the record of a session that is over. */
export function isOver({ record }: Seen, now: number): boolean {
  return typeof record === "object" && !isLive(record, now);
}
