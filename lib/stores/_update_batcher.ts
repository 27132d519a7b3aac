/** UpdateBatcher: if several changes of one session wait in this process, makes all of them in one write. */
import { RecordTooLargeError } from "../errors.ts";
import { freeze, type SessionRecord } from "../record.ts";
import type { Change } from "../store.ts";

/**
 * Changes the record under a key, as `update` of a store does. It resolves to the same object that `change` returned.
 * `change` may run more than once. The object shows which run was stored.
 */
export type Write = (key: string, change: Change) => Promise<SessionRecord | undefined>;

/** A change that waits, and the functions that settle its caller's promise. */
interface Waiting {
  readonly change: Change;
  readonly resolve: (record: SessionRecord | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** The result of a change: the record that it made, or the error that it threw. */
type Outcome = { readonly record: SessionRecord | undefined } | { readonly error: unknown };

/**
 * Keeps a queue per session. While a write of a session is running, further changes of this session wait. The next
 * write makes all of them, in order. So many changes of one session cost few round trips, and no change fails because
 * others came first.
 *
 * Each caller gets the record that its own change made. If a change throws, only its own caller gets the error.
 *
 * @example
 * ```ts
 * import { type SessionRecord, UpdateBatcher } from "sessions/store";
 * import { assertEquals } from "@std/assert";
 *
 * let stored: SessionRecord = { data: { n: 0 }, created: 0, idle: 500, expires: 500, deadline: 1000 };
 * let writes = 0;
 * const batcher = new UpdateBatcher(async (_key, change) => {
 *   await new Promise((resolve) => setTimeout(resolve, 1)); // a round trip
 *   writes++;
 *   return stored = change(stored);
 * });
 * const add = (record: SessionRecord) => ({ ...record, data: { n: record.data.n as number + 1 } });
 * await Promise.all(Array.from({ length: 100 }, () => batcher.update("key", add)));
 * assertEquals([stored.data, writes], [{ n: 100 }, 2]);
 * ```
 */
export class UpdateBatcher {
  #write: Write;
  #queues = new Map<string, Waiting[]>();

  /**
   * Makes the queues for the sessions of one store.
   *
   * @param write Stores one change.
   */
  constructor(write: Write) {
    this.#write = write;
  }

  /**
   * Makes a change, together with other changes that wait for the same session.
   *
   * @param key The session's key.
   * @param change The change.
   * @returns The record that the change made, or `undefined` if the session is gone.
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

  /** Makes changes one by one. If the store fails, the remaining changes get the same error. Never rejects. */
  async #makeEach(key: string, batch: readonly Waiting[]): Promise<void> {
    for (const [index, waiting] of batch.entries()) {
      let hasThrown = false;
      const change: Change = (record) => {
        hasThrown = true;
        const made = waiting.change(record);
        hasThrown = false;
        return made;
      };
      try {
        waiting.resolve(await this.#write(key, change));
      } catch (error) {
        waiting.reject(error);
        if (hasThrown || error instanceof RecordTooLargeError) continue;
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
