/**
 * Session: one visitor's data during one request, and the record of what the request did to it.
 *
 * @module
 */
import { freeze, type Json, type SessionData, type SessionRecord } from "./store.ts";

/** The names a session of this type has values for. */
export type SessionKey<Data> = Extract<keyof Data, string>;
type Change = (data: Record<string, Json>) => void;

/**
 * One visitor's data during one request. It does no input or output: the {@linkcode SessionManager} that opened it
 * stores its changes when the request is answered.
 *
 * A session keeps what was done to it as a list of changes. They are applied to what is stored at that moment, so two
 * requests that change different keys at once both keep theirs.
 *
 * Values read from it are frozen: change them with `set` or `update`.
 *
 * @example
 * ```ts
 * import { Session } from "session-server";
 * import { assertEquals } from "@std/assert";
 *
 * const session = new Session<{ user: string; visits: number }>();
 * session.set("user", "Ada");
 * session.update("visits", (visits = 0) => visits + 1);
 * assertEquals(session.get("user"), "Ada");
 *
 * // What another request stored meanwhile is kept.
 * assertEquals(session.apply({ visits: 41 }), { user: "Ada", visits: 42 });
 * ```
 */
export class Session<Data extends object = Record<string, Json>> {
  #data: SessionData;
  #changes: Change[] = [];
  #renewed = false;
  #ended = false;

  /** The stored record the session started from; `undefined` for a visitor who has none. */
  readonly record: SessionRecord | undefined;

  /**
   * Starts from what is stored, or from nothing.
   *
   * @param record What is stored, if anything.
   */
  constructor(record?: SessionRecord) {
    this.record = record;
    this.#data = record?.data ?? {};
  }

  /**
   * The value of `key`, frozen, or `undefined` if there is none.
   *
   * @param key The name of the value.
   */
  get<K extends SessionKey<Data>>(key: K): Data[K] | undefined {
    return Object.hasOwn(this.#data, key) ? this.#data[key] as Data[K] : undefined;
  }

  /**
   * Whether there is a value for `key`.
   *
   * @param key The name of the value.
   */
  has(key: SessionKey<Data>): boolean {
    return Object.hasOwn(this.#data, key);
  }

  /** All values by name, frozen. */
  get data(): Readonly<Partial<Data>> {
    return this.#data as Readonly<Partial<Data>>;
  }

  /**
   * Stores a value.
   *
   * @param key Its name.
   * @param value The value. It is copied: changing the original afterwards changes nothing here.
   * @throws {TypeError} if JSON cannot say the value (a function, a `bigint`, a cycle, `undefined`).
   */
  set<K extends SessionKey<Data>>(key: K, value: Data[K]): void {
    const copy = toJson(key, value);
    this.#do((data) => void (data[key] = copy));
  }

  /**
   * Computes a value from the one that is stored: the way to count, or to add to a list, without losing what another
   * request does at the same time.
   *
   * @param key Its name.
   * @param change Gets the value, or `undefined`, and returns the new one. It may run more than once, so it should do
   * nothing else, and must not change what it gets.
   * @throws {TypeError} if JSON cannot say the new value.
   */
  update<K extends SessionKey<Data>>(key: K, change: (value: Data[K] | undefined) => Data[K]): void {
    this.#do((data) =>
      void (data[key] = toJson(
        key,
        change(Object.hasOwn(data, key) ? data[key] as Data[K] : undefined),
      ))
    );
  }

  /**
   * Removes a value; does nothing if there is none.
   *
   * @param key Its name.
   */
  delete(key: SessionKey<Data>): void {
    this.#do((data) => void delete data[key]);
  }

  /** Removes all values. The session itself goes on; `end` ends it. */
  clear(): void {
    this.#do((data) => {
      for (const key of Object.keys(data)) delete data[key];
    });
  }

  /**
   * Gives the session a new id when the request is answered, and ends the old one. Call it whenever what the session
   * is trusted with changes, as at log-in and log-out, so that an id planted beforehand is worth nothing (session
   * fixation; ASVS 5 7.2.4).
   */
  renew(): void {
    this.#renewed = true;
  }

  /** Ends the session: its data are deleted on the server and its cookie in the browser. Later changes do nothing. */
  end(): void {
    this.#ended = true;
    this.#data = {};
  }

  /** Whether a value was set, updated or removed. */
  get changed(): boolean {
    return this.#changes.length > 0;
  }

  /** Whether a new id was asked for. */
  get renewed(): boolean {
    return this.#renewed;
  }

  /** Whether the session was ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Does to `data` what was done to this session.
   *
   * @param data What is stored now; it is left as it is.
   * @returns The new data, frozen.
   */
  apply(data: SessionData): SessionData {
    // Without a prototype, so that "__proto__" is a key like any other under --unstable-unsafe-proto, too.
    const next: Record<string, Json> = Object.assign(Object.create(null), data);
    for (const change of this.#changes) change(next);
    return freeze(next);
  }

  #do(change: Change): void {
    if (this.#ended) return;
    const next: Record<string, Json> = Object.assign(Object.create(null), this.#data);
    change(next);
    // The values are frozen already.
    this.#data = Object.freeze(next);
    this.#changes.push(change);
  }
}

function toJson(key: string, value: unknown): Json {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`Cannot store "${key}" in a session: JSON cannot say its value`, { cause });
  }
  if (text === undefined) {
    throw new TypeError(
      `Cannot store "${key}" in a session: needed a JSON value, received ${typeof value}`,
    );
  }
  return freeze(JSON.parse(text));
}
