/**
 * NullStore: stores nothing and refuses new sessions, for servers whose pages must work without sessions.
 *
 * @module
 */
import type { SessionRecord } from "../record.ts";
import type { SessionStore } from "../store.ts";
import { checkStoreOptions, type StoreOptions } from "./_options.ts";

/**
 * A store that reads as empty and refuses to store, as Flask-Session's null session does.
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
   * @param options Those of every store. They make no difference.
   * @throws {TypeError} if an option is unknown or invalid; {@linkcode RangeError} if a number is.
   */
  constructor(options: StoreOptions = {}) {
    checkStoreOptions("NullStore", options);
  }

  /**
   * Refuses.
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
