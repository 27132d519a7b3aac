/**
 * NullStore: stores nothing and refuses new sessions. It is for servers whose pages must work without sessions.
 *
 * @module
 */
import type { SessionRecord } from "../record.ts";
import type { SessionStore } from "../store.ts";
import { checkStoreOptions, type StoreOptions } from "./_options.ts";

/**
 * A store that has no sessions and refuses new ones, like the null session of Flask-Session.
 *
 * @example
 * ```ts
 * import { newId, NullStore } from "sessions";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const store = new NullStore();
 * assertEquals(await store.read(newId()), undefined);
 * await assertRejects(() => store.create(), Error, "stores nothing");
 * ```
 */
export class NullStore implements SessionStore {
  /**
   * Makes a store.
   *
   * @param options The options that every store has. They have no effect here.
   * @throws {TypeError} if an option is unknown or invalid; the message names it.
   * @throws {RangeError} if a number is out of range.
   */
  constructor(options: StoreOptions = {}) {
    checkStoreOptions("NullStore", options);
  }

  /**
   * Refuses the new session.
   *
   * @throws {Error} always.
   */
  create(): Promise<void> {
    return Promise.reject(new Error("Cannot create a session: the null store stores nothing; choose another store"));
  }

  read(_key: string): Promise<SessionRecord | undefined> {
    return Promise.resolve(undefined);
  }

  update(): Promise<SessionRecord | undefined> {
    return Promise.resolve(undefined);
  }

  touch(): Promise<boolean> {
    return Promise.resolve(false);
  }

  delete(): Promise<boolean> {
    return Promise.resolve(false);
  }

  move(): Promise<SessionRecord | undefined> {
    return Promise.resolve(undefined);
  }

  async *sessionsOf(): AsyncGenerator<readonly [string, SessionRecord]> {}

  async *list(): AsyncGenerator<readonly [string, SessionRecord]> {}
}
