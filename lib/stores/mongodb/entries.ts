/** MongoEntries: one document per entry. */
// deno-lint-ignore no-import-prefix -- an entry in deno.json would make every program download it
import type { Filter } from "npm:mongodb@7.9.0";
import { CLOCK_SKEW, endOf } from "../../record.ts";
import type { Entries, Entry, EntryWrite, NewEntry } from "../entries.ts";
import type { Document, MongoCollection } from "./collection.ts";

/** The deadline of operations on the whole collection, in milliseconds. No request waits for them. */
const LONG = { timeoutMS: 60_000 };
/** How many documents one request of a listing returns. */
const BATCH = 500;
/** MongoDB's error code for "the key is already there". */
const DUPLICATE = 11000;
/** The latest time that a date in MongoDB can be. */
const LAST_DATE = 8.64e15;

/** Sessions as documents in MongoDB. */
export class MongoEntries implements Entries {
  #collection: MongoCollection;
  #now: () => number;

  /**
   * @param collection The collection of the documents.
   * @param now The clock, in milliseconds since 1970.
   */
  constructor(collection: MongoCollection, now: () => number) {
    this.#collection = collection;
    this.#now = now;
  }

  open(): Promise<unknown> | undefined {
    return this.#collection.open();
  }

  async close(): Promise<void> {
    await this.#collection.close();
  }

  async get(key: string): Promise<Entry | undefined> {
    const document = await this.#documents.findOne({ _id: key });
    return document === null ? undefined : await this.#shown(document);
  }

  async put({ entry, seen }: EntryWrite): Promise<boolean> {
    if (seen === undefined) return await unlessThere(this.#documents.insertOne(toDocument(entry)));
    const filter = { _id: entry.key, version: String(seen) };
    return (await this.#documents.replaceOne(filter, toDocument(entry))).matchedCount === 1;
  }

  /** The new entry is hidden until the old one is written. That write decides that the session has moved. */
  async putBoth(from: EntryWrite, { entry }: EntryWrite): Promise<boolean> {
    const hidden = { ...toDocument(entry), from: from.entry.key, sweepAt: toDate(from.entry.until) };
    // This replaces the hidden entry of an earlier try. The version of an earlier try is smaller, so its write does not
    // replace this entry if it arrives late.
    const earlier = { _id: entry.key, from: from.entry.key, version: { $lte: entry.version } };
    const isHidden = await unlessThere(this.#documents.replaceOne(earlier, hidden, { upsert: true }));
    if (!isHidden || !await this.put(from)) return false;
    await this.#show(hidden);
    return true;
  }

  async *list(): AsyncGenerator<Entry> {
    yield* this.#find({ expires: { $exists: true } });
  }

  async *ofUser(user: string): AsyncGenerator<Entry> {
    yield* this.#find({ user });
  }

  async getMany(keys: readonly string[]): Promise<Entry[]> {
    return await Array.fromAsync(this.#find({ _id: { $in: [...keys] } }));
  }

  async putMany(writes: readonly EntryWrite[]): Promise<boolean> {
    const operations = writes.map(({ entry, seen }) => ({
      replaceOne: { filter: { _id: entry.key, version: String(seen) }, replacement: toDocument(entry) },
    }));
    const { matchedCount } = await this.#documents.bulkWrite(operations, { ordered: false });
    return matchedCount === writes.length;
  }

  async count(): Promise<number> {
    const now = this.#now();
    const late = { $lte: now + CLOCK_SKEW };
    const live = { expires: { $gt: now }, deadline: { $gt: now }, created: late, used: late };
    return await this.#documents.countDocuments({ ...live, from: { $exists: false } }, LONG);
  }

  async sweep(): Promise<number> {
    const now = this.#now();
    const early = { $gt: now + CLOCK_SKEW };
    const over = [{ expires: { $lte: now } }, { deadline: { $lte: now } }, { created: early }, { used: early }];
    const swept = await this.#documents.deleteMany({ from: { $exists: false }, $or: over }, LONG);
    // The entries of moved and ended sessions do not count as removed sessions.
    await this.#documents.deleteMany({ sweepAt: { $lte: new Date(now) } }, LONG);
    return swept.deletedCount;
  }

  get #documents() {
    return this.#collection.documents;
  }

  async *#find(filter: Filter<Document>): AsyncGenerator<Entry> {
    // The deadline applies to each request for more documents, not to the whole iteration.
    for await (const document of this.#documents.find(filter, { timeoutMode: "iteration", batchSize: BATCH })) {
      const entry = await this.#shown(document);
      if (entry !== undefined) yield entry;
    }
  }

  /**
   * The entry of a document. A document with `from` belongs to a move. If the old entry was written, the rest of the
   * move is done here. If not, there is no entry yet.
   */
  async #shown(document: Document): Promise<Entry | undefined> {
    const { _id: key, content, version, from } = document;
    if (from !== undefined) {
      if ((await this.#documents.findOne({ _id: from }))?.version !== version) return undefined;
      await this.#show(document);
    }
    return { key, content, version };
  }

  /** Shows the new entry of a move. */
  async #show({ _id, version, expires, deadline }: Document): Promise<void> {
    const sweepAt = toDate(endOf({ expires: expires!, deadline: deadline! }));
    await this.#documents.updateOne({ _id, version }, { $set: { sweepAt }, $unset: { from: 1 } });
  }
}

function toDocument({ key, content, version, until, user, record }: NewEntry): Document {
  const entry = { _id: key, content, version, sweepAt: toDate(until), user };
  if (record === undefined) return entry;
  const { created, idle, expires, deadline } = record;
  return { ...entry, created, used: expires - idle, expires, deadline };
}

/** Whether a new document was written; `false` if there is already a document with its key. */
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
