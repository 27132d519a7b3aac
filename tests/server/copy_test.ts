/** Copying sessions between stores, and the progress that a terminal shows. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { copy, copyAll, targetOf } from "../../lib/commands/copy.ts";
import { Progress } from "../../lib/commands/output.ts";
import { newId } from "../../lib/id.ts";
import { silent } from "../../lib/log.ts";
import { MAX_RECORD_BYTES, type SessionRecord } from "../../lib/record.ts";
import { readConfig } from "../../lib/server/config.ts";
import { KeyTakenError, type SessionStore } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { replacing } from "../support/failing.ts";
import { withFolder } from "../support/server.ts";

const noop = () => {};

function record(user?: string): SessionRecord {
  const now = Date.now();
  const times = { created: now - 1000, idle: 60_000, expires: now + 50_000, deadline: now + 3_600_000 };
  return { data: { cart: ["tea"] }, ...times, user };
}

/** An empty store with this `create`. */
function target(create: () => Promise<void>): SessionStore {
  return { create, read: () => Promise.resolve(undefined) } as unknown as SessionStore;
}

/** A store with some sessions. */
async function filled(count: number): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (let n = 0; n < count; n++) await store.create(newId(), record(n % 2 === 0 ? "Ada" : undefined));
  return store;
}

Deno.test("copy: keys, lifetimes, users and data are the same afterwards", async () => {
  const [from, to] = [await filled(100), new MemoryStore()];
  let counted = 0;
  const outcome = await copyAll(from, to, () => counted++);
  assertEquals([outcome, counted], [{ copied: 100, left: 0, failed: 0, reason: "" }, 100]);
  const sorted = async (store: MemoryStore) => (await Array.fromAsync(store.list())).sort(([a], [b]) => a < b ? -1 : 1);
  assertEquals(await sorted(to), await sorted(from));
  assertEquals(await copyAll(from, to, noop), { copied: 0, left: 100, failed: 0, reason: "" });
});

Deno.test("copy: sessions that a full store already has are left", async () => {
  const from = await filled(3);
  const to = new MemoryStore({ max: 3 });
  await copyAll(from, to, noop);
  assertEquals(await copyAll(from, to, noop), { copied: 0, left: 3, failed: 0, reason: "" });
});

Deno.test("copy: sessions that are there already are left, and failures are counted", async () => {
  const from = await filled(30);
  let n = 0;
  const create = () => {
    n++;
    if (n % 3 === 0) return Promise.reject(new KeyTakenError());
    return n % 3 === 1 ? Promise.reject(new Error("no space")) : Promise.resolve();
  };
  const outcome = await copyAll(from, target(create), noop);
  assertEquals(outcome, { copied: 10, left: 10, failed: 10, reason: "no space" });
});

Deno.test("copy: it gives up if the store refuses every session", async () => {
  const from = await filled(1000);
  let calls = 0;
  const create = () => {
    calls++;
    return Promise.reject(new Error("away"));
  };
  const { failed } = await copyAll(from, target(create), noop);
  assert(failed === calls && calls < 100, `${calls} calls`);

  let n = 0;
  const everyOther = () => n++ % 2 === 0 ? Promise.reject(new Error("busy")) : Promise.resolve();
  const half = await copyAll(from, target(everyOther), noop);
  assertEquals([half.copied, half.failed], [500, 500], "a store that takes some sessions is not given up");
  const unlisted = target(create);
  await assertRejects(() => copyAll(unlisted, from, noop), Error, "cannot list");
});

Deno.test("copy: a session that cannot be copied is an error, after the others are copied", async () => {
  await withFolder(async (dir) => {
    const from = await filled(3);
    const tooLarge: SessionRecord = { ...record(), data: { blob: "x".repeat(MAX_RECORD_BYTES) } };
    const list = async function* () {
      yield [newId(), tooLarge] as const;
      yield* from.list();
    };
    const target = targetOf(readConfig({}), "sqlite", `sqlite:${dir}/sessions.db`);
    let printed = "";
    const write = (bytes: Uint8Array) => {
      printed += new TextDecoder().decode(bytes);
      return bytes.length;
    };
    await replacing(Deno.stdout, "writeSync", () => write, async () => {
      const copying = copy({ list } as unknown as SessionStore, target, silent);
      await assertRejects(() => copying, Error, "not every session was copied: ");
    });
    assertEquals(printed, "Copied 3, left 0 that were there already, failed 1\n");
  });
});

Deno.test("copy: the other store is closed, also after a failure", async () => {
  await withFolder(async (dir) => {
    const target = targetOf(readConfig({}), "sqlite", `sqlite:${dir}/sessions.db`);
    await replacing(Deno.stdout, "writeSync", () => ({ length }) => length, async () => {
      await copy(await filled(3), target, silent);
      assert(isClosed(dir));
      await assertRejects(() => copy({} as SessionStore, target, silent), Error, "cannot list");
      assert(isClosed(dir));
    });
  });
});

/** Whether the SQLite database in a folder is closed: SQLite then removes its log of writes. */
function isClosed(dir: string): boolean {
  return !Array.from(Deno.readDirSync(dir)).some(({ name }) => name.endsWith("-wal"));
}

Deno.test("progress: a terminal shows a line that is cleared, and nothing else does", async () => {
  for (const isTerminal of [true, false]) {
    let shown = "";
    const writeSync = (bytes: Uint8Array) => {
      shown += new TextDecoder().decode(bytes);
      return bytes.length;
    };
    const progress = new Progress("Copied", { isTerminal: () => isTerminal, writeSync });
    progress.add(7);
    while (isTerminal && shown === "") await new Promise((resolve) => setTimeout(resolve, 10));
    progress.end();
    const clear = "\r\x1b[K";
    if (!isTerminal) assertEquals(shown, "");
    else assert(shown.startsWith("\rCopied 7, ") && shown.endsWith(clear), shown);
  }
});
