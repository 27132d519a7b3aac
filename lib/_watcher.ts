/** Watcher: aborts the signals of a followed session within about a second after any process ended the session. */
import { SessionGoneError } from "./errors.ts";

/** Milliseconds between two checks of the store. */
const PAUSE = 1000;
/** How many sessions are read at the same time. */
const BATCH = 50;

/** Watches the sessions that open sockets and streams follow. Each session costs one read per second. */
export class Watcher {
  #isStored: (key: string) => Promise<boolean>;
  #watched = new Map<string, Set<AbortController>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** @param isStored Returns whether a session is stored. If it fails, the session counts as stored. */
  constructor(isStored: (key: string) => Promise<boolean>) {
    this.#isStored = isStored;
  }

  /** Watches a session, and aborts the controller's signal when the session ends. */
  add(key: string, controller: AbortController): void {
    if (this.#isClosed) return;
    const controllers = this.#watched.get(key) ?? new Set();
    this.#watched.set(key, controllers.add(controller));
    this.#schedule();
  }

  /** Forgets a signal. */
  remove(key: string, controller: AbortController): void {
    const controllers = this.#watched.get(key);
    controllers?.delete(controller);
    if (controllers?.size === 0) this.#watched.delete(key);
    if (this.#watched.size === 0) this.#stop();
  }

  /** Aborts the signals of sessions that have ended. */
  abort(keys: readonly string[]): void {
    for (const key of keys) {
      const controllers = this.#watched.get(key);
      if (controllers === undefined) continue;
      this.#watched.delete(key);
      const reason = new SessionGoneError("The session has ended, or has got a new id");
      for (const controller of controllers) controller.abort(reason);
    }
    if (this.#watched.size === 0) this.#stop();
  }

  /** Ends the checks. A signal that is added later, by a request that is still under way, starts none. */
  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    const timer: ReturnType<typeof setTimeout> = setTimeout(() => void this.#checkAll(timer), PAUSE);
    this.#timer = timer;
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #checkAll(timer: ReturnType<typeof setTimeout>): Promise<void> {
    const keys = [...this.#watched.keys()];
    for (let at = 0; at < keys.length; at += BATCH) {
      const batch = keys.slice(at, at + BATCH);
      const areStored = await Promise.all(batch.map((key) => this.#isStored(key).catch(() => true)));
      this.abort(batch.filter((_, index) => !areStored[index]));
      // All signals were removed during the read, or the watch was closed. Signals that were added since have a timer.
      if (this.#timer !== timer) return;
    }
    this.#timer = undefined;
    this.#schedule();
  }
}
