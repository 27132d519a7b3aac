/** MemcachedEntries: one value per session. The value of a session that moved or ended is kept for a while. */
import { reasonOf } from "../../_reason.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { CALL_DEADLINE } from "../_deadline.ts";
import { readContent, versionOf } from "../_marks.ts";
import type { Entries, Entry, EntryWrite, NewEntry } from "../entries.ts";
import type { MemcachedClient, MemcachedConnection } from "./connection.ts";

/** The longest time to live, in seconds. Memcached reads a greater number as a date, in seconds since 1970. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60;

/** Sessions as values in memcached. */
export class MemcachedEntries implements Entries {
  #client: MemcachedClient;
  #own: MemcachedConnection | undefined;
  #prefix: string;
  #now: () => number;

  /**
   * @param client The client that the program gave, or the store's own connection.
   * @param prefix The prefix of the keys.
   * @param now The clock, in milliseconds since 1970.
   */
  constructor(
    client: { readonly given: MemcachedClient } | { readonly own: MemcachedConnection },
    prefix: string,
    now: () => number,
  ) {
    this.#own = "own" in client ? client.own : undefined;
    this.#client = "own" in client ? client.own : client.given;
    this.#prefix = prefix;
    this.#now = now;
  }

  reconnect(): void {
    this.#own?.reconnect();
  }

  close(): Promise<void> {
    this.#own?.close();
    return Promise.resolve();
  }

  async get(key: string): Promise<Entry | undefined> {
    const start = performance.now();
    const get = () => this.#client.gets(this.#prefix + key);
    const found = await get().catch((error) => {
      // The connection broke, perhaps long before this call. If there is time, the command is sent over a new one.
      if (isAnswer(error) || performance.now() - start > CALL_DEADLINE / 2) throw error;
      return get();
    }) as { value: unknown; casUniq: number | string } | undefined;
    return found && { key, content: String(found.value), version: found.casUniq };
  }

  async put({ entry, seen }: EntryWrite): Promise<boolean> {
    return await this.#store(seen === undefined ? "add" : "cas", entry, seen);
  }

  /** The new entry is written first, because no request knows its key yet. At worst it stays until it expires. */
  async putBoth(from: EntryWrite, to: EntryWrite): Promise<boolean> {
    const { key, content } = to.entry;
    if (!await this.put(to) && !await this.#replaceEarlier(to)) return false;
    if (await this.put(from)) return true;
    // An earlier try without an answer may have written the old entry.
    if ((await this.get(from.entry.key))?.content === from.entry.content) return true;
    const unused = await this.get(key);
    if (unused?.content === content) await this.#removeUnchanged(unused);
    return false;
  }

  /**
   * Replaces the new entry that an earlier try of the same move wrote. Returns whether the new entry is written. If
   * memcached was slow, the move may be long done, and the entry may have changed. Then the entry is not replaced.
   */
  async #replaceEarlier({ entry }: EntryWrite): Promise<boolean> {
    const found = await this.get(entry.key);
    if (found === undefined || found.content === entry.content) return found !== undefined;
    const [mark, ...others] = readContent(found.content)?.marks ?? [];
    const isEarlier = mark !== undefined && others.length === 0 && versionOf(mark) < entry.version;
    return isEarlier && await this.#store("cas", entry, found.version);
  }

  /** Stores an entry. Returns whether it was stored. */
  async #store(command: "add" | "cas", entry: NewEntry, casUniq?: Entry["version"]): Promise<boolean> {
    const options = { lifetime: this.#lifetime(entry.until), ...(casUniq === undefined ? {} : { casUniq }) };
    try {
      await this.#client.store(command, this.#prefix + entry.key, entry.content, options);
      return true;
    } catch (error) {
      if (isRefused(error)) return false;
      if (/too large/i.test(reasonOf(error))) {
        throw new RecordTooLargeError("Cannot store a session: it is larger than this memcached takes");
      }
      // A log-out must not fail because memcached has no space for the entry. So the entry is deleted instead.
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

  /** Removes an entry, if it has not changed since it was read. A value with a negative lifetime is removed immediately. */
  async #removeUnchanged({ key, version }: Entry): Promise<void> {
    const options = { lifetime: -1, casUniq: version };
    await this.#client.store("cas", this.#prefix + key, "", options).catch((error) => {
      if (!isRefused(error)) throw error;
    });
  }

  /** The seconds until memcached may remove an entry, rounded up. The record has the exact end of the session. */
  #lifetime(until: number): number {
    const left = Math.max(1, Math.ceil((until - this.#now()) / 1000) + 1);
    return left > LONGEST_RELATIVE ? Math.ceil(Date.now() / 1000) + left : left;
  }
}

/** Whether memcached refused a write: there is a value, there is none, or it has changed since it was read. */
function isRefused(error: unknown): boolean {
  return /^(NOT_STORED|EXISTS|NOT_FOUND)$/.test(reasonOf(error));
}

/** Whether an error is an answer of memcached. Another try would get the same answer. */
function isAnswer(error: unknown): boolean {
  return /^((SERVER_|CLIENT_)?ERROR)\b/.test(reasonOf(error));
}
