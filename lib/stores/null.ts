/**
 * NullStore: keeps nothing and says so, for servers whose pages must work without sessions.
 *
 * @module
 */
import type { SessionRecord, SessionStore } from "../store.ts";

/**
 * A store that reads as empty and refuses to store, as Flask-Session's null session does.
 *
 * @example
 * ```ts
 * import { NullStore } from "session-server";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const store = new NullStore();
 * assertEquals(await store.read("a1"), undefined);
 * await assertRejects(() => store.create(), Error, "SESSION_TYPE");
 * ```
 */
export class NullStore implements SessionStore {
  /**
   * Refuses.
   *
   * @throws {Error} always, naming the setting.
   */
  create(): Promise<void> {
    return Promise.reject(
      new Error('"SESSION_TYPE" is null, which stores nothing: set it to filesystem or another store'),
    );
  }

  read(_id: string): Promise<SessionRecord | undefined> {
    return Promise.resolve(undefined);
  }

  update(): Promise<SessionRecord | undefined> {
    return Promise.resolve(undefined);
  }

  touch(): Promise<boolean> {
    return Promise.resolve(false);
  }

  delete(): Promise<SessionRecord | undefined> {
    return Promise.resolve(undefined);
  }
}
