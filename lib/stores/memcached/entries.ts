/** The entries of a memcached store: a value for each session, and for a while for each that moved or ended. */
import { reasonOf } from "../../_reason.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { CALL_DEADLINE } from "../_deadline.ts";
import type { Entries, Entry, EntryWrite, NewEntry } from "../entries.ts";
import type { MemcachedClient } from "./connection.ts";

/** Memcached takes a longer time to live for a date, in seconds since 1970. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60;

/** Sessions as values in memcached. */
export class MemcachedEntries implements Entries {
  #client: MemcachedClient;
  #prefix: string;
  #now: () => number;

  /**
   * @param client Where they are.
   * @param prefix What their keys begin with.
   * @param now The clock.
   */
  constructor(client: MemcachedClient, prefix: string, now: () => number) {
    this.#client = client;
    this.#prefix = prefix;
    this.#now = now;
  }

  async get(key: string): Promise<Entry | undefined> {
    const start = performance.now();
    const get = () => this.#client.gets(this.#prefix + key);
    const found = await get().catch((error) => {
      // The connection broke, perhaps long ago. A new one is tried while there is time.
      if (isAnswer(error) || performance.now() - start > CALL_DEADLINE / 2) throw error;
      return get();
    }) as { value: unknown; casUniq: number | string } | undefined;
    return found && { key, content: String(found.value), version: found.casUniq };
  }

  async put({ entry, seen }: EntryWrite): Promise<boolean> {
    return await this.#store(seen === undefined ? "add" : "cas", entry, seen);
  }

  /** The new entry comes first, because no request knows its key yet. At worst it stays until it ends. */
  async swap(from: EntryWrite, to: EntryWrite): Promise<boolean> {
    await this.#store("set", to.entry);
    if (await this.put(from)) return true;
    // An earlier try may have been done after its answer was missed.
    if ((await this.get(from.entry.key))?.content === from.entry.content) return true;
    await this.#delete(to.entry.key);
    return false;
  }

  /** Stores an entry. Returns whether it did. */
  async #store(command: "add" | "set" | "cas", entry: NewEntry, casUniq?: Entry["version"]): Promise<boolean> {
    const options = { lifetime: this.#lifetime(entry.until), ...(casUniq === undefined ? {} : { casUniq }) };
    try {
      await this.#client.store(command, this.#prefix + entry.key, entry.content, options);
      return true;
    } catch (error) {
      const reason = reasonOf(error);
      if (/^(NOT_STORED|EXISTS|NOT_FOUND)$/.test(reason)) return false;
      if (/too large/i.test(reason)) {
        throw new RecordTooLargeError("Cannot store a session: it is larger than this memcached takes");
      }
      // A visitor who logs out needs no space for it.
      if (entry.record === undefined && isAnswer(error)) return await this.#delete(entry.key);
      throw error;
    }
  }

  async #delete(key: string): Promise<boolean> {
    try {
      await this.#client.delete(this.#prefix + key);
      return true;
    } catch (error) {
      if (reasonOf(error) === "NOT_FOUND") return false;
      throw error;
    }
  }

  /** Seconds until memcached may drop an entry: a record says to the millisecond when it ends. */
  #lifetime(until: number): number {
    const left = Math.max(1, Math.ceil((until - this.#now()) / 1000) + 1);
    return left > LONGEST_RELATIVE ? Math.ceil(Date.now() / 1000) + left : left;
  }
}

/** Whether an error is an answer of memcached: another try would get the same. */
function isAnswer(error: unknown): boolean {
  return /^((SERVER_|CLIENT_)?ERROR)\b/.test(reasonOf(error));
}
