/**
 * MongoStore: sessions in a MongoDB collection.
 *
 * @module
 */
// deno-lint-ignore no-import-prefix -- in deno.json, everybody would have to download it
import type { Collection, Filter, UpdateFilter } from "npm:mongodb@7.9.0";
import { type Log, silent } from "../../log.ts";
import { CLOCK_SKEW, decode, encode, endOf, isLive, type SessionRecord } from "../../record.ts";
import type { Change, SessionStore } from "../../store.ts";
import { Estimate } from "../_estimate.ts";
import { MongoCollection, type MongoConnection, type Stored } from "./collection.ts";
import { newMark, settle } from "../settle.ts";
import { logCorrupt } from "../_corrupt.ts";
import { hashOf } from "../_user_hash.ts";

export type { MongoConnection };

/** The options of a {@linkcode MongoStore}. */
export interface MongoStoreOptions {
  /**
   * Where MongoDB is: `mongodb://user:password@host:port/database`, with more hosts after commas for a replica set, or
   * `mongodb+srv://…`. Its options may be any of the client's but those that would weaken what the store promises.
   */
  readonly url?: string | undefined;
  /** A client that the program has, instead of `url`; its default database is used, and the program closes it. */
  readonly client?: MongoConnection | undefined;
  /** The collection, made if missing; programs with different ones can share a database. `"sessions"` unless given. */
  readonly collection?: string | undefined;
  /** Live sessions at most: 1,000,000 unless given. Counted now and then, so that a few more may get in. */
  readonly max?: number | undefined;
  /** Told of corrupt records, missing indexes and counts that failed. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** How long the mark of an ended session is kept, in milliseconds: longer than anybody asks for it. */
const MARK_AGE = 60_000;
/** How long what goes through the whole collection may take, in milliseconds; no request waits for it. */
const LONG_DEADLINE = 60_000;
const DUPLICATE = 11000;
/** The latest time that a date in MongoDB can be. */
const LAST_DATE = 8.64e15;

/**
 * Sessions in MongoDB 4.4 or later, alone, as a replica set or sharded. What it answered is on most servers of the set,
 * so no failover loses it. MongoDB removes what is over by itself.
 *
 * @example
 * ```ts ignore
 * import { MongoStore } from "sessions/mongodb";
 *
 * const store = new MongoStore({ url: "mongodb://127.0.0.1:27017/app" });
 * ```
 */
export class MongoStore implements SessionStore {
  #collection: MongoCollection;
  #name: string;
  #log: Log;
  #now: () => number;
  #estimate: Estimate;

  /**
   * Makes a store; connects when it is used.
   *
   * @param options Where MongoDB is, and what differs from the defaults.
   * @throws {TypeError} if the address or the collection's name is none that can be used, saying which part of it.
   */
  constructor(options: MongoStoreOptions) {
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    this.#collection = new MongoCollection({ ...options, log: this.#log });
    this.#name = this.#collection.name;
    this.#estimate = new Estimate({
      count: () => this.#count(),
      max: options.max ?? 1_000_000,
      name: this.#name,
      log: this.#log,
    });
  }

  async ready(): Promise<void> {
    await this.#collection.ready();
    await this.#collection.call((sessions) => sessions.findOne({ _id: "" }));
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const mark = newMark();
    const fields = this.#fields(record, mark);
    await this.#estimate.check();
    let isFirst = true;
    // Nobody knows a new id, so the first look is left out.
    const read = async () => isFirst ? undefined : await this.#get(id);
    await settle(read, async (stored, write) => {
      isFirst = false;
      if (stored?.mark === mark) return;
      if (stored !== undefined) throw new Error("Cannot create a session: its id is already there");
      return await write(() => this.#insert({ _id: id, ...fields })) ? undefined : "again";
    });
    this.#estimate.add(1);
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return this.#live(await this.#get(id));
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    const mark = newMark();
    return await settle(() => this.#get(id), async (stored, write) => {
      if (stored?.mark === mark) return this.#record(stored);
      const record = this.#live(stored);
      if (record === undefined) return undefined;
      const fields = this.#fields(change(record), mark);
      const isDone = await write(() => this.#replace(stored!, { $set: fields }));
      return isDone ? decode(fields.text) as SessionRecord : "again";
    });
  }

  async touch(id: string, expires: number): Promise<boolean> {
    let isThere = false;
    // Done twice it is the same, so nobody needs to know who did it.
    const touch = async (sessions: Collection<Stored>) => {
      const now = this.#now();
      const $set = { expires, used: now, sweepAt: toDate(expires) };
      isThere = (await sessions.updateOne({ _id: id, ...live(now) }, { $set })).matchedCount === 1;
      return true;
    };
    await settle(
      async () => {},
      async (_, write) => await write(() => this.#collection.call(touch)) ? undefined : "again",
    );
    return isThere;
  }

  async delete(id: string): Promise<boolean> {
    const mark = newMark();
    const isEnded = await settle(() => this.#get(id), async (stored, write) => {
      if (stored?.mark === mark) return true;
      if (this.#live(stored) === undefined) return false;
      return await write(() => this.#replace(stored!, this.#ended(mark))) ? true : "again";
    });
    if (isEnded) this.#estimate.add(-1);
    return isEnded;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    const mark = newMark();
    const read = async () => {
      const stored = await this.#get(from);
      return { stored, moved: stored?.mark === mark ? await this.#get(to) : undefined };
    };
    let attempt = 0;
    return await settle(read, async ({ stored, moved }, write) => {
      if (moved !== undefined) return this.#record(moved);
      const record = this.#live(stored);
      if (record === undefined) return undefined;
      const fields = this.#fields(change(record), mark);
      // The new document is no session until the old one has this mark: that is the step in which the session moves.
      const coming = { ...fields, from, attempt: ++attempt, sweepAt: toDate(this.#now() + MARK_AGE) };
      const isDone = await write(() => this.#put(to, coming)) &&
        await write(() => this.#replace(stored!, this.#ended(mark))) &&
        await write(() => this.#arrive({ _id: to, ...coming }));
      return isDone ? decode(fields.text) as SessionRecord : "again";
    });
  }

  async *sessionsOf(user: string): AsyncGenerator<readonly [string, SessionRecord]> {
    for await (const entry of this.#find({ user: hashOf(user), ...live(this.#now()) })) {
      if (entry[1].user === user) yield entry;
    }
  }

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {
    yield* this.#find(live(this.#now()));
  }

  async sweepAll(): Promise<number> {
    const now = this.#now();
    const late = now + CLOCK_SKEW;
    const over = [{ expires: { $lte: now } }, { deadline: { $lte: now } }];
    const early = [{ created: { $gt: late } }, { used: { $gt: late } }];
    const sessions = await this.#collection.open();
    const options = { timeoutMS: LONG_DEADLINE };
    const swept = await sessions.deleteMany({ from: { $exists: false }, $or: [...over, ...early] }, options);
    // What is left of those that were ended or moved does not count.
    await sessions.deleteMany({ sweepAt: { $lte: new Date(now) } }, options);
    return swept.deletedCount;
  }

  async close(): Promise<void> {
    await this.#collection.close();
    await this.#estimate.close();
  }

  #fields(record: SessionRecord, mark: string) {
    const { created, idle, expires, deadline, user } = record;
    const times = { created, used: expires - idle, expires, deadline, sweepAt: toDate(endOf(record)) };
    return { mark, text: encode(record), ...times, ...(user === undefined ? {} : { user: hashOf(user) }) };
  }

  #record({ text, expires }: Stored): SessionRecord | undefined {
    if (text === undefined) return undefined;
    const record = decode(text, expires);
    if (record === "corrupt") logCorrupt(this.#log, this.#name);
    return typeof record === "string" ? undefined : record;
  }

  #live(stored: Stored | undefined): SessionRecord | undefined {
    const record = stored && this.#record(stored);
    return record !== undefined && isLive(record, this.#now()) ? record : undefined;
  }

  /** What is stored now; a move that got as far as its deciding step is finished, any other one is not seen. */
  async #get(id: string): Promise<Stored | undefined> {
    const stored = await this.#collection.call((sessions) => sessions.findOne({ _id: id })) ?? undefined;
    if (stored?.from === undefined) return stored;
    const { from, attempt: _, ...arrived } = stored;
    const old = await this.#collection.call((sessions) => sessions.findOne({ _id: from }));
    if (old?.mark !== stored.mark) return undefined;
    await this.#arrive(stored);
    return arrived;
  }

  /** Whether it was; not if the id is there already. */
  async #insert(stored: Stored): Promise<boolean> {
    return await this.#collection.call((sessions) => unlessThere(sessions.insertOne(stored)));
  }

  /** Writes what is to be a session once it has moved; an earlier attempt that comes late changes nothing any more. */
  async #put(id: string, coming: Omit<Stored, "_id"> & { attempt: number }): Promise<boolean> {
    const earlier = { _id: id, mark: coming.mark, attempt: { $lt: coming.attempt } };
    return await this.#collection.call((sessions) =>
      unlessThere(sessions.replaceOne(earlier, coming, { upsert: true }))
    );
  }

  async #arrive({ _id, mark, expires, deadline }: Stored): Promise<boolean> {
    const sweepAt = toDate(endOf({ expires: expires!, deadline: deadline! }));
    await this.#collection.call((sessions) =>
      sessions.updateOne({ _id, mark }, { $set: { sweepAt }, $unset: { from: 1, attempt: 1 } })
    );
    return true;
  }

  /** Changes a document if it is as it was seen. */
  async #replace({ _id, mark, expires }: Stored, update: UpdateFilter<Stored>): Promise<boolean> {
    const seen = { _id, mark, expires: expires! };
    return (await this.#collection.call((sessions) => sessions.updateOne(seen, update))).matchedCount === 1;
  }

  #ended(mark: string): UpdateFilter<Stored> {
    const $set = { mark, sweepAt: toDate(this.#now() + MARK_AGE) };
    return { $set, $unset: { text: 1, created: 1, used: 1, expires: 1, deadline: 1, user: 1 } };
  }

  async *#find(filter: Filter<Stored>): AsyncGenerator<readonly [string, SessionRecord]> {
    // Each look at the next ones has the deadline for itself.
    const cursor = await this.#collection.call((sessions) =>
      Promise.resolve(sessions.find(filter, { timeoutMode: "iteration" }))
    );
    try {
      while (true) {
        const stored = await this.#collection.call(() => cursor.next());
        if (stored === null) return;
        const record = this.#live(stored);
        if (record !== undefined) yield [stored._id, record];
      }
    } finally {
      await cursor.close().catch(() => {});
    }
  }

  async #count(): Promise<number> {
    const sessions = await this.#collection.open();
    return await sessions.countDocuments(live(this.#now()), { timeoutMS: LONG_DEADLINE });
  }
}

/** What the documents of live sessions are like. */
function live(now: number) {
  const late = now + CLOCK_SKEW;
  return {
    expires: { $gt: now },
    deadline: { $gt: now },
    created: { $lte: late },
    used: { $lte: late },
    from: { $exists: false },
  };
}

/** Whether a new document was written; not if its id is there. */
async function unlessThere(writing: Promise<unknown>): Promise<boolean> {
  try {
    await writing;
    return true;
  } catch (error) {
    if ((error as { code?: number }).code === DUPLICATE) return false;
    throw error;
  }
}

function toDate(time: number): Date {
  return new Date(Math.min(time, LAST_DATE));
}
