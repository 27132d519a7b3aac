/** Faults without a visible effect, each with the reason. They are not planted. */
import type { Kind } from "./mutants.ts";

/** A fault without a visible effect. */
export interface Equivalent {
  readonly file: string;
  /** The line as it is, trimmed. */
  readonly before: string;
  readonly kind: Kind;
  readonly why: string;
}

/** The known faults without a visible effect. */
export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: "lib/_user_sessions.ts",
    before: "b[time] - a[time] || (a.key < b.key ? 1 : -1);",
    kind: "comparison changed",
    why: "no two sessions have the same key",
  },
  {
    file: "lib/_user_sessions.ts",
    before: "emptyPasses = found === 0 ? emptyPasses + 1 : 0;",
    kind: "lines swapped",
    why: "only one listing more",
  },
  {
    file: "lib/_user_sessions.ts",
    before: "const EMPTY_PASSES = 2;",
    kind: "constant off",
    why: "only one listing more",
  },
  {
    file: "lib/_user_sessions.ts",
    before: "batch.push(key);",
    kind: "lines swapped",
    why: "a full batch is ended when the next key is found, or after the last one",
  },
  {
    file: "lib/_user_sessions.ts",
    before:
      "for (let at = 0; at < surplus.length; at += BATCH) await endMany(access, user, surplus.slice(at, at + BATCH));",
    kind: "comparison changed",
    why: "a batch of nothing more",
  },
  {
    file: "lib/_stored_sessions.ts",
    before: "return changes.length > 0 || renews || keepsEmpty || endedBy !== undefined || signedByOlderKey ||",
    kind: "comparison changed",
    why: "save stores nothing either if there is nothing to store: the check only saves time",
  },
  {
    file: "lib/_session_state.ts",
    before:
      "const { id, key, record, isLifeShortened = false, signedByOlderKey = false, cookieDeletions = NO_COOKIES } = origin;",
    kind: "constant off",
    why: "it counts only for a record that was read, which comes with it",
  },
  {
    file: "lib/server/app.ts",
    before: "answeredAt = undefined;",
    kind: "lines swapped",
    why: "the answer comes later than both lines",
  },
  {
    file: "lib/_watcher.ts",
    before: "for (let at = 0; at < keys.length; at += BATCH) {",
    kind: "comparison changed",
    why: "a batch of nothing more",
  },
  {
    file: "lib/stores/file/reader.ts",
    before: "if (stat.birth === undefined || Date.now() <= stat.birth + SETTLED) return this.forget(key);",
    kind: "comparison changed",
    why: "a millisecond of a time that was chosen with room",
  },
  {
    file: "lib/stores/file/queue.ts",
    before: "await pause(first === ticket?.path ? 1 : 1 + Math.random() * 4);",
    kind: "comparison changed",
    why: "only how often a lock is tried",
  },
  {
    file: "lib/server/protection.ts",
    before: 'const slash = url.indexOf("/", url.indexOf("://") + 3);',
    kind: "constant off",
    why: "a host has one character or more",
  },
  {
    file: "lib/server/app.ts",
    before: 'return request.method === "HEAD" ? await toHeadResponse(response) : response;',
    kind: "await dropped",
    why: "the caller waits for the answer as well",
  },
  {
    file: "lib/server/pages.ts",
    before: 'session.set("user", username);',
    kind: "lines swapped",
    why: "the order of two values in a record means nothing",
  },
  {
    file: "lib/server/serve.ts",
    before: "Deno.exit(0);",
    kind: "line dropped",
    why: "the deadline ends the process all the same, with the same code, four seconds later",
  },
  {
    file: "lib/commands/sessions.ts",
    before: "await store.close?.();",
    kind: "await dropped",
    why: "the process ends only after the store has closed",
  },
  {
    file: "lib/_headers.ts",
    before: 'if (headers.get("x-accel-expires") !== null) headers.set("x-accel-expires", "0");',
    kind: "lines swapped",
    why: "the order of headers of different names means nothing",
  },
  {
    file: "lib/stores/file/sweep.ts",
    before: "const NAMES_PER_CREATE = 12;",
    kind: "constant off",
    why: "one look more than what was chosen: sweeping is a little earlier",
  },
  {
    file: "lib/stores/_marked_entries.ts",
    before: "await pause(50);",
    kind: "constant off",
    why: "a millisecond of a pause that was chosen with room",
  },
  {
    file: "lib/stores/_pause.ts",
    before: "const SLICE = 4;",
    kind: "constant off",
    why: "a millisecond of a time that was chosen",
  },
  {
    file: "lib/stores/deno_kv/entries.ts",
    before: "atomic.set(this.#session(key), new TextEncoder().encode(content), options);",
    kind: "lines swapped",
    why: "the writes of one atomic operation have no order",
  },
  {
    file: "lib/stores/sqlite/store.ts",
    before:
      "if (!isKept) throw new StoreFullError(`Cannot create a session: ${this.#name} may hold ${this.#max} live sessions`);",
    kind: "lines swapped",
    why: "a full store sweeps a little more often",
  },
  {
    file: "lib/stores/file/sweep.ts",
    before: "if (stat === undefined || !stat.isFile) return false;",
    kind: "constant off",
    why: "only a file can be locked, and only what was locked is removed",
  },
  {
    file: "lib/stores/file/store.ts",
    before: "if (error instanceof ChangeError) return error.cause;",
    kind: "lines swapped",
    why: "no error is of both kinds",
  },
  {
    file: "lib/stores/sqlite/store.ts",
    before: "if (length > BATCH_LENGTH) break;",
    kind: "comparison changed",
    why: "one character of a length that was chosen",
  },
  {
    file: "lib/stores/file/sweep.ts",
    before: "if (isRemoved) left--;",
    kind: "lines swapped",
    why: "the count is looked at after the last name",
  },
  {
    file: "lib/stores/_update_batcher.ts",
    before: "if (error instanceof RecordTooLargeError) return await this.#makeEach(key, batch);",
    kind: "await dropped",
    why: "the caller waits for it as well",
  },
  {
    file: "lib/stores/_estimate.ts",
    before: "const SHARE = 20;",
    kind: "constant off",
    why: "a twenty-first of the time does as well",
  },
  {
    file: "lib/_wrap.ts",
    before: "if (session === undefined) return response;",
    kind: "lines swapped",
    why: "an answer that is returned is withheld by nothing that fails later",
  },
  {
    file: "lib/_stored_sessions.ts",
    before: "let isBound = false;",
    kind: "constant off",
    why: "it counts only after an update, which sets it",
  },
  {
    file: "lib/session.ts",
    before: "state.user = user;",
    kind: "lines swapped",
    why: "neither line reads what the other sets",
  },
  {
    file: "lib/commands/arguments.ts",
    before: 'if (infoWords.includes("help") && !options.has("version")) return { name: "help" };',
    kind: "lines swapped",
    why: "no command line fits both",
  },
  {
    file: "lib/session.ts",
    before: "state.willCommit = false;",
    kind: "lines swapped",
    why: "what waits for the commit goes on after both lines",
  },
  {
    file: "lib/stores/sqlite/store.ts",
    before: "removed += some;",
    kind: "lines swapped",
    why: "the progress and the sum get the same number",
  },
  {
    file: "lib/adapters/_held_response.ts",
    before: "callOrHold(() => isFull = callOriginal(write, ...args) === false);",
    kind: "lines swapped",
    why: "the kept call does not read the number of held bytes",
  },
  {
    file: "lib/stores/file/store.ts",
    before: "await this.#files.make(to, moved);",
    kind: "lines swapped",
    why: "an end that is noted too early only makes the sweep look earlier",
  },
  {
    file: "lib/stores/_pause.ts",
    before: "return pause(0);",
    kind: "constant off",
    why: "any time gives others their turn",
  },
  {
    file: "lib/server/answers.ts",
    before: "const MAX_RENEWING = 128;",
    kind: "constant off",
    why: "a bound: any number near it does as well",
  },
  {
    file: "lib/stores/file/store.ts",
    before: "if (ended.length > 0) await this.#roster.waitAfterChange();",
    kind: "comparison changed",
    why: "ending nothing only takes longer, and only where the roster cannot be joined",
  },
  {
    file: "lib/adapters/_held_response.ts",
    before: "let isFull = false;",
    kind: "constant off",
    why: "without a held write, no writer waits",
  },
  {
    file: "lib/adapters/_held_response.ts",
    before: "replaceHeaders(headersOf(response), answer.headers);",
    kind: "lines swapped",
    why: "the headers and the status do not depend on each other",
  },
  {
    file: "lib/adapters/_held_response.ts",
    before:
      'return new ServerResponse({ method: "GET", httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage);',
    kind: "constant off",
    why: "an answer that is never sent may be of any version",
  },
  {
    file: "lib/adapters/_held_response.ts",
    before: "let heldBytes = 0;",
    kind: "constant off",
    why: "a bound: a byte more or less does as well",
  },
  {
    file: "lib/stores/file/files.ts",
    before: "if (performance.now() - start > LEFTOVER / 2) {",
    kind: "constant off",
    why: "any part of the time before a sweep does as well",
  },
  {
    file: "lib/_session_state.ts",
    before: "state.id = id;",
    kind: "lines swapped",
    why: "neither line reads what the other writes",
  },
  {
    file: "lib/stores/file/roster.ts",
    before: "removeIfThere(this.#path);",
    kind: "lines swapped",
    why: "a file that is unlocked for a moment may be removed by another process, and is removed here anyway",
  },
  {
    file: "lib/stores/file/calls.ts",
    before: "mtime: mtime?.getTime() ?? 0,",
    kind: "constant off",
    why: "every file system has this time",
  },
  {
    file: "lib/events.ts",
    before: 'if (type === "failed") return log("error", `The session store failed to ${verb}`, reason);',
    kind: "lines swapped",
    why: "no event is of both types",
  },
  {
    file: "lib/stores/file/store.ts",
    before: "this.#folder = new Folder(this.#settings.dir);",
    kind: "lines swapped",
    why: "neither part is given the other",
  },
  {
    file: "lib/_cache.ts",
    before: "if (this.#youngBytes + bytes > this.#half) {",
    kind: "comparison changed",
    why: "a bound that need not be exact",
  },
  {
    file: "lib/server/serve.ts",
    before: "const LISTEN_AGAIN = 100;",
    kind: "constant off",
    why: "a wait: any time near it does as well",
  },
  {
    file: "lib/adapters/_held_response.ts",
    before: 'overrideGetter(response, "headersSent", () => state === "held" ? true : undefined);',
    kind: "lines swapped",
    why: "the two properties do not depend on each other",
  },
  {
    file: "lib/commands/copy.ts",
    before: "let failedInARow = 0;",
    kind: "constant off",
    why: "a bound: one failure more or less does as well",
  },
  {
    file: "lib/commands/copy.ts",
    before: "outcome.failed++;",
    kind: "lines swapped",
    why: "neither line reads what the other sets",
  },
  {
    file: "lib/stores/sqlite/connection.ts",
    before: "} else if (code !== BUSY || performance.now() - start > DEADLINE) throw this.#failure(error);",
    kind: "comparison changed",
    why: "a deadline that need not be exact",
  },
  {
    file: "lib/stores/sqlite/store.ts",
    before: "let length = 0;",
    kind: "constant off",
    why: "a bound: a character more or less does as well",
  },
  {
    file: "lib/stores/file/sweep.ts",
    before: "this.#earliest = Math.min(this.#earliest, end);",
    kind: "lines swapped",
    why: "the two times do not depend on each other",
  },
  {
    file: "lib/stores/sqlite/store.ts",
    before: "const SLICE = 2;",
    kind: "constant off",
    why: "a time: any near it does as well",
  },
  {
    file: "lib/server/secret_key.ts",
    before:
      'if (problem !== undefined) throw new Error(`"${path}" ${problem}: replace the file, or remove it to get a new key`);',
    kind: "lines swapped",
    why: "the warning is right for a key of no use, too",
  },
  {
    file: "lib/stores/file/store.ts",
    before: "return await this.#withLock(key, (_, found) => found);",
    kind: "await dropped",
    why: "nothing follows",
  },
];
