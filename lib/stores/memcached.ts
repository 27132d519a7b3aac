/** MemcachedStore: sessions in one memcached server; the only user of its client. */
// deno-lint-ignore no-import-prefix -- in deno.json, everybody would have to download it
import { MemcacheClient } from "npm:memcache-client@1.0.5";
import { type Log, silent } from "../log.ts";
import { type Apply, freeze, type SessionRecord, type SessionStore } from "../store.ts";
import type { OpenSharedStore } from "../server/open_store.ts";
import { compareAndSet, DEADLINE, fromText, logCorrupt, toText, within } from "./shared.ts";

/** What a {@linkcode MemcachedStore} is made of. */
export interface MemcachedStoreOptions {
  /** Where memcached is: `memcached://host:port`. One server only: over several, an old state could come back. */
  readonly url: string;
  /** Told of corrupt records; says nothing unless given. */
  readonly log?: Log;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: () => number;
}

/** The most a session may take as text, in bytes: what memcached itself allows, less what it adds. */
const MAX_BYTES = 1_000_000;
/** Memcached takes a longer time to live for a date, in seconds since 1970. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60;
/** Tells memcached to drop what it is given at once, so that it can delete what nobody changed meanwhile. */
const DROP = -1;
const PREFIX = "session:";

/** A session as memcached has it, and the number that tells whether somebody changed it since. */
interface Found {
  readonly record: SessionRecord;
  readonly casUniq: number | string;
}

/**
 * Sessions in memcached. It is a cache: when its memory is full it evicts live sessions, and when it ends all of them
 * are gone. Nor can it count them, so there is no maximum. What it does keep it keeps right: no change is lost, and no
 * ended session comes back.
 */
export class MemcachedStore implements SessionStore {
  #client: MemcacheClient;
  #server: string;
  #log: Log;
  #now: () => number;

  /**
   * Makes a store; connects when it is used.
   *
   * @param options The address, and what differs from the defaults.
   */
  constructor(options: MemcachedStoreOptions) {
    const { hostname, port } = new URL(options.url);
    const server = `${hostname}:${port || 11211}`;
    this.#server = `memcached at ${server}`;
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    // One connection, over which commands follow each other without waiting. When it breaks or stays silent, all that
    // wait fail, and the next command makes a new one.
    const timeouts = { connectTimeout: DEADLINE / 2, cmdTimeout: DEADLINE / 2 };
    this.#client = new MemcacheClient({ server: { server, maxConnections: 1 }, noDelay: true, ...timeouts });
  }

  /**
   * Tries out whether memcached answers.
   *
   * @throws {Error} if it cannot be reached.
   */
  async check(): Promise<void> {
    await within(this.#server, this.#client.version());
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const outcome = await within(this.#server, this.#store("add", id, record));
    if (outcome !== "STORED") throw new Error("Cannot create a session: its id is already there");
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return (await within(this.#server, this.#find(id)))?.record;
  }

  async update(id: string, apply: Apply, expires: number): Promise<SessionRecord | undefined> {
    return await this.#replace(id, (record) => ({ ...record, data: apply(record.data), expires }));
  }

  async touch(id: string, expires: number): Promise<boolean> {
    return await this.#replace(id, (record) => ({ ...record, expires })) !== undefined;
  }

  async delete(id: string): Promise<SessionRecord | undefined> {
    return await within(
      this.#server,
      compareAndSet(async () => {
        const found = await this.#find(id);
        if (found === undefined) return undefined;
        const outcome = await this.#store("cas", id, found.record, { lifetime: DROP, casUniq: found.casUniq });
        return outcome === "STORED" ? found.record : "again";
      }),
    );
  }

  // deno-lint-ignore require-await -- a failure rejects
  async close(): Promise<void> {
    this.#client.shutdown();
  }

  async #replace(id: string, change: (record: SessionRecord) => SessionRecord): Promise<SessionRecord | undefined> {
    return await within(
      this.#server,
      compareAndSet(async () => {
        const found = await this.#find(id);
        if (found === undefined) return undefined;
        const changed = change(found.record);
        const updated = freeze({ ...changed, expires: Math.min(changed.expires, changed.ends) });
        const outcome = await this.#store("cas", id, updated, { casUniq: found.casUniq });
        return outcome === "STORED" ? updated : "again";
      }),
    );
  }

  async #find(id: string): Promise<Found | undefined> {
    const found = await this.#client.gets<string>(PREFIX + id) as { value: string; casUniq: string } | undefined;
    if (found === undefined) return undefined;
    const record = fromText(found.value);
    if (record === undefined) {
      logCorrupt(this.#log, this.#server);
      return undefined;
    }
    return this.#now() < Math.min(record.expires, record.ends) ? { record, casUniq: found.casUniq } : undefined;
  }

  /** Stores a record with the time that is left to it; returns how memcached answered. */
  async #store(
    command: "add" | "cas",
    id: string,
    record: SessionRecord,
    options: { lifetime?: number; casUniq?: number | string } = {},
  ): Promise<string> {
    // The record says to the millisecond when it ends. Memcached drops it in the second or two after that.
    const left = Math.ceil((Math.min(record.expires, record.ends) - this.#now()) / 1000) + 1;
    const lifetime = left > LONGEST_RELATIVE ? Math.ceil(Date.now() / 1000) + left : Math.max(1, left);
    try {
      await this.#client.store(command, PREFIX + id, toText(record, MAX_BYTES), { lifetime, ...options });
      return "STORED";
    } catch (error) {
      const { message } = error as Error;
      if (/^(NOT_STORED|EXISTS|NOT_FOUND)$/.test(message)) return message;
      throw error;
    }
  }
}

/** Opens the store for `SESSION_TYPE=memcached`. */
export const open: OpenSharedStore = async (options) => {
  const store = new MemcachedStore(options);
  try {
    await store.check();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
};
