/** Together: changes of one session that wait in this process are made in one write. */
import { RecordTooLargeError } from "../errors.ts";
import { freeze, type SessionRecord } from "../record.ts";
import type { Change } from "../store.ts";

/**
 * Changes what is stored under a key, as `update` of a store does. It resolves to the very record that `change` made:
 * `change` may run more than once, and this tells which run was stored.
 */
export type Write = (key: string, change: Change) => Promise<SessionRecord | undefined>;

/** A change that waits, and the promise that its caller has. */
interface Waiting {
  readonly change: Change;
  readonly resolve: (record: SessionRecord | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** What a change came to: the record it made, or the error it threw. */
type Outcome = { readonly record: SessionRecord | undefined } | { readonly error: unknown };

/**
 * A queue for each session. While a write of a session is under way, its further changes wait; the next write makes them
 * all, in order. So many changes of one session cost few round trips, and none gives up because others were first.
 *
 * Each caller gets the record that its own change made. A change that throws is refused alone.
 *
 * @example
 * ```ts
 * import { type SessionRecord, Together } from "sessions/store";
 * import { assertEquals } from "@std/assert";
 *
 * let stored: SessionRecord = { data: { n: 0 }, created: 0, idle: 500, expires: 500, deadline: 1000 };
 * let writes = 0;
 * const together = new Together(async (_key, change) => {
 *   await new Promise((resolve) => setTimeout(resolve, 1)); // a round trip
 *   writes++;
 *   return stored = change(stored);
 * });
 * const add = (record: SessionRecord) => ({ ...record, data: { n: record.data.n as number + 1 } });
 * await Promise.all(Array.from({ length: 100 }, () => together.update("key", add)));
 * assertEquals([stored.data, writes], [{ n: 100 }, 2]);
 * ```
 */
export class Together {
  #write: Write;
  #queues = new Map<string, Waiting[]>();

  /**
   * Makes queues for the sessions of one store.
   *
   * @param write Does one write.
   */
  constructor(write: Write) {
    this.#write = write;
  }

  /**
   * Makes a change, with those that wait for the same session.
   *
   * @param key The session's key.
   * @param change The change.
   * @returns The record it made, or `undefined` if the session is gone.
   */
  update(key: string, change: Change): Promise<SessionRecord | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = { change, resolve, reject };
      const queue = this.#queues.get(key);
      if (queue === undefined) this.#run(key, waiting);
      else queue.push(waiting);
    });
  }

  async #run(key: string, first: Waiting): Promise<void> {
    const queue = [first];
    this.#queues.set(key, queue);
    while (queue.length > 0) {
      const batch = queue.splice(0);
      if (batch.length === 1) await this.#makeEach(key, batch);
      else await this.#makeAll(key, batch);
    }
    this.#queues.delete(key);
  }

  /** Makes several changes in one write. Never rejects. */
  async #makeAll(key: string, batch: readonly Waiting[]): Promise<void> {
    let last: Outcome[] = [];
    const runs = new Map<SessionRecord, Outcome[]>();
    const change: Change = (record) => {
      last = [];
      for (const { change } of batch) {
        try {
          record = freeze(change(record));
          last.push({ record });
        } catch (error) {
          last.push({ error });
        }
      }
      if (isRefused(last)) throw last[0]!.error;
      runs.set(record, last);
      return record;
    };
    try {
      const stored = await this.#write(key, change);
      settle(batch, stored === undefined ? batch.map(() => ({ record: stored })) : runs.get(stored)!);
    } catch (error) {
      if (error instanceof RecordTooLargeError) return await this.#makeEach(key, batch);
      const isOwn = isRefused(last) && last.some((one) => one.error === error);
      settle(batch, isOwn ? last : batch.map(() => ({ error })));
    }
  }

  /** Makes changes one by one. After a failure of the store, the rest is refused with it. Never rejects. */
  async #makeEach(key: string, batch: readonly Waiting[]): Promise<void> {
    for (const [index, waiting] of batch.entries()) {
      let isRefused = false;
      const change: Change = (record) => {
        isRefused = true;
        const made = waiting.change(record);
        isRefused = false;
        return made;
      };
      try {
        waiting.resolve(await this.#write(key, change));
      } catch (error) {
        waiting.reject(error);
        if (isRefused || error instanceof RecordTooLargeError) continue;
        return settle(batch.slice(index + 1), batch.slice(index + 1).map(() => ({ error })));
      }
    }
  }
}

/** Whether every change threw. */
function isRefused(outcomes: readonly Outcome[]): outcomes is { readonly error: unknown }[] {
  return outcomes.every((outcome) => "error" in outcome);
}

function settle(batch: readonly Waiting[], outcomes: readonly Outcome[]): void {
  for (const [index, { resolve, reject }] of batch.entries()) {
    const outcome = outcomes[index]!;
    if ("error" in outcome) reject(outcome.error);
    else resolve(outcome.record);
  }
}
