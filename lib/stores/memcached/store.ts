/**
 * MemcachedStore: sessions in one memcached server.
 *
 * @module
 */
import { type Log, silent } from "../../log.ts";
import { RecordTooLargeError } from "../../errors.ts";
import { decode, encode, endOf, isLive, type SessionRecord } from "../../record.ts";
import type { Change, SessionStore } from "../../store.ts";
import { type MemcachedClient, MemcachedConnection, type MemcachedTarget, NotConnectedError } from "./connection.ts";
import { reasonOf } from "../../_reason.ts";
import { checkParameters, parseAddress } from "../_address.ts";
import { applyChange, ChangeError } from "../_change.ts";
import { compareAndSet } from "../_compare_and_set.ts";
import { logCorrupt } from "../_corrupt.ts";
import { DEADLINE, within } from "../_deadline.ts";
import { pause } from "../_pause.ts";
import { checkPrefix } from "../_names.ts";
import { STORES } from "../table.ts";

export type { MemcachedClient };

/** The options of a {@linkcode MemcachedStore}: where memcached is, or a client of it. */
export interface MemcachedStoreOptions {
  /**
   * Where memcached is: `memcached://host:port`, or `memcached+unix:///path` for a socket. One server only: over
   * several, an old state could come back.
   */
  readonly url?: string | undefined;
  /** A client that the program has already, of the package `memcache-client`; the store does not close it. */
  readonly client?: MemcachedClient | undefined;
  /** What the keys begin with: `session:` unless given. Another one for each application that shares this server. */
  readonly prefix?: string | undefined;
  /** Told of corrupt records. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: (() => number) | undefined;
}

/** The most a session may take as text, in bytes: what memcached itself allows, less what it adds. */
const MAX_BYTES = 1_000_000;
/** Memcached takes a longer time to live for a date, in seconds since 1970. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60;
/** How long the mark of an ended session is kept, in seconds: longer than any verb may take. */
const MARK_AGE = 10;

/** What is stored under an id: a session, or the mark of the verb that ended or moved it. */
interface Found {
  readonly record?: SessionRecord;
  readonly mark?: string;
  readonly casUniq: number | string;
}

/**
 * Sessions in memcached. It is a cache: when its memory is full it evicts live sessions, and when it ends all of them
 * are gone. Nor can it count or find them, so there is no maximum, no list, and no `sessionsOf`. What it does keep it
 * keeps right: no change is lost, and no ended session comes back.
 *
 * @example
 * ```ts ignore
 * import { MemcachedStore } from "sessions/memcached";
 *
 * const store = new MemcachedStore({ url: "memcached://localhost" });
 * ```
 */
export class MemcachedStore implements SessionStore {
  #client: MemcachedClient;
  #own: MemcachedConnection | undefined;
  #server: string;
  #prefix: string;
  #log: Log;
  #now: () => number;

  /**
   * Makes a store; it connects when it is first used.
   *
   * @param options Where memcached is, and what differs from the defaults.
   * @throws {TypeError} if the address cannot be used or has a part that would not be, or the prefix cannot be one.
   */
  constructor(options: MemcachedStoreOptions) {
    this.#prefix = checkPrefix(options.prefix ?? "session:");
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
    if (options.client !== undefined) {
      this.#server = "memcached";
      this.#client = options.client;
    } else {
      const { name, target } = parse(options.url ?? "");
      this.#server = `memcached at ${name}`;
      this.#client = this.#own = new MemcachedConnection(target);
    }
  }

  /**
   * Connects, and tries out whether memcached answers.
   *
   * @throws {Error} if it cannot be reached.
   */
  async ready(): Promise<void> {
    await within(this.#server, this.#untilAnswered(() => this.#client.version()));
  }

  async create(id: string, record: SessionRecord): Promise<void> {
    const text = encode(record, MAX_BYTES);
    const outcome = await within(this.#server, this.#store("add", id, text, this.#lifetime(record)));
    if (outcome !== "STORED") throw new Error(`${this.#server}: Cannot create a session: its id is already there`);
  }

  async read(id: string): Promise<SessionRecord | undefined> {
    return (await within(this.#server, this.#find(id)))?.record;
  }

  async update(id: string, change: Change): Promise<SessionRecord | undefined> {
    return await within(this.#server, this.#replace(id, change));
  }

  async touch(id: string, expires: number): Promise<boolean> {
    // Done twice, it is done once.
    const touch = () => this.#replace(id, (record) => ({ ...record, expires }));
    return await within(this.#server, this.#untilAnswered(touch)) !== undefined;
  }

  async delete(id: string): Promise<boolean> {
    return await within(this.#server, this.#release(id, crypto.randomUUID(), () => Promise.resolve(true))) === true;
  }

  async move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    return await within(this.#server, this.#move(from, to, change));
  }

  // deno-lint-ignore require-await -- a failure rejects
  async close(): Promise<void> {
    this.#own?.close();
  }

  async #move(from: string, to: string, change: Change): Promise<SessionRecord | undefined> {
    let isMade = false;
    let moved: SessionRecord | undefined;
    try {
      // The new one comes first; nobody knows its id yet.
      moved = await this.#release(from, crypto.randomUUID(), async (record) => {
        const next = changed(change, record);
        isMade = true;
        await this.#untilAnswered(() => this.#store("set", to, next.text, this.#lifetime(next.record)));
        return next.record;
      });
      return moved;
    } finally {
      // So that nothing is there that nobody knows; at worst it stays until it ends.
      if (isMade && moved === undefined) await this.#client.delete(this.#prefix + to).catch(() => {});
    }
  }

  /**
   * Ends a session by putting the mark of this verb in its place. After a lost answer, the mark tells whether it was done.
   *
   * @param prepare Called with the session before that; again, if it changed meanwhile.
   * @returns What `prepare` returned last, or `undefined` if somebody else ended the session.
   */
  async #release<T>(
    id: string,
    mark: string,
    prepare: (record: SessionRecord) => Promise<T>,
  ): Promise<T | undefined> {
    let prepared: T | undefined;
    let lost: unknown;
    const attempt = async () => {
      const found = await this.#find(id);
      if (found?.mark === mark) return prepared;
      if (found?.record === undefined) return undefined;
      prepared = await prepare(found.record);
      try {
        const outcome = await this.#store("cas", id, mark, MARK_AGE, found.casUniq);
        return outcome === "STORED" ? prepared : "again";
      } catch (error) {
        // Whoever wants to end a session needs no space for it.
        if (isAnswer(error)) return await this.#drop(id) ? prepared : undefined;
        lost = error;
        await pause(50);
        return "again";
      }
    };
    return await compareAndSet<T | undefined>(attempt).catch((error) => {
      throw isAnswer(error) ? error : lost ?? error;
    });
  }

  async #drop(id: string): Promise<boolean> {
    try {
      await this.#client.delete(this.#prefix + id);
      return true;
    } catch (error) {
      if (reasonOf(error) === "NOT_FOUND") return false;
      throw error;
    }
  }

  async #replace(id: string, change: Change): Promise<SessionRecord | undefined> {
    return await compareAndSet(async () => {
      const found = await this.#find(id);
      if (found?.record === undefined) return undefined;
      const { record, text } = changed(change, found.record);
      const outcome = await this.#store("cas", id, text, this.#lifetime(record), found.casUniq);
      return outcome === "STORED" ? record : "again";
    });
  }

  async #find(id: string): Promise<Found | undefined> {
    const found = await this.#untilAnswered(() => this.#client.gets(this.#prefix + id)) as
      | { value: string; casUniq: number | string }
      | undefined;
    if (found === undefined) return undefined;
    const { value, casUniq } = found;
    if (!value.startsWith("{")) return { mark: value, casUniq };
    const record = decode(value);
    if (record === "corrupt") logCorrupt(this.#log, this.#server);
    return typeof record === "object" && isLive(record, this.#now()) ? { record, casUniq } : undefined;
  }

  /** Stores something; returns how memcached answered. */
  async #store(
    command: "add" | "set" | "cas",
    id: string,
    text: string,
    lifetime: number,
    casUniq?: number | string,
  ): Promise<string> {
    try {
      const options = casUniq === undefined ? { lifetime } : { lifetime, casUniq };
      await this.#client.store(command, this.#prefix + id, text, options);
      return "STORED";
    } catch (error) {
      const reason = reasonOf(error);
      if (/^(NOT_STORED|EXISTS|NOT_FOUND)$/.test(reason)) return reason;
      if (!/too large/i.test(reason)) throw error;
      throw new RecordTooLargeError("Cannot store a session: it is larger than this memcached takes");
    }
  }

  /** Seconds until memcached may drop a session: the record says to the millisecond when it ends. */
  #lifetime(record: SessionRecord): number {
    const left = Math.max(1, Math.ceil((endOf(record) - this.#now()) / 1000) + 1);
    return left > LONGEST_RELATIVE ? Math.ceil(Date.now() / 1000) + left : left;
  }

  /** Asks again, on a new connection, when an answer was lost, until the deadline is near. */
  async #untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    const start = performance.now();
    let isLost = false;
    for (let tries = 1;; tries++) {
      try {
        return await ask();
      } catch (error) {
        isLost ||= !(error instanceof NotConnectedError);
        const isLate = performance.now() - start > DEADLINE - 500;
        // When nothing is known to be under way, memcached is away, and whoever waits is told so.
        if (isAnswer(error) || isLate || (!isLost && tries > 1)) throw error;
        if (tries > 1) await pause(50);
      }
    }
  }
}

/** What a change makes of a record, and its text. */
function changed(change: Change, record: SessionRecord): { record: SessionRecord; text: string } {
  const text = encode(applyChange(change, record), MAX_BYTES);
  return { text, record: decode(text) as SessionRecord };
}

/** Whether an error is an answer of memcached, or our own: asking again would give the same. */
function isAnswer(error: unknown): boolean {
  return /^((SERVER_|CLIENT_)?ERROR)\b/.test(reasonOf(error)) || error instanceof RecordTooLargeError ||
    error instanceof ChangeError;
}

function parse(address: string): { name: string; target: MemcachedTarget } {
  const example = "memcached://host:11211";
  const url = parseAddress(address, example, STORES.memcached.schemes);
  checkParameters(url, []);
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("the address of memcached cannot have a user name or a password: its text protocol knows none");
  }
  if (url.protocol === "memcached+unix:") {
    const path = decodeURIComponent(url.pathname);
    const isPath = ["", "localhost"].includes(url.host) && path.length > 1;
    if (!isPath) throw new TypeError("the address of a socket must be like memcached+unix:///path/to/memcached.sock");
    return { name: path, target: { path } };
  }
  if (url.hostname === "") throw new TypeError(`the address must name a host, as in ${example}`);
  if (!["", "/"].includes(url.pathname)) {
    throw new TypeError(`the address of memcached has no use for a path: received "${url.pathname}"`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return { name: url.host, target: { host, port: Number(url.port || 11211) } };
}
