/** The tests of every shared store, besides the suite: several processes, and races with the end, on a real engine. */
import { assert, assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { Log } from "../../lib/log.ts";
import type { SessionRecord } from "../../lib/record.ts";
import type { SessionStore } from "../../lib/store.ts";
import { type StoreSubject, testStore } from "../../lib/store_suite.ts";
import { type StoreName, STORES } from "../../lib/stores/table.ts";

/** The options of shared stores. Not every store has all of them. */
export interface SharedOptions {
  readonly url?: string | undefined;
  readonly client?: unknown;
  readonly prefix?: string | undefined;
  readonly table?: string | undefined;
  readonly collection?: string | undefined;
  readonly max?: number | undefined;
  readonly log?: Log | undefined;
  readonly now?: (() => number) | undefined;
}

/** The class of a shared store. The computed name keeps the client out of the module graph of the tests. */
export async function storeClass(type: string): Promise<new (options: SharedOptions) => SessionStore> {
  const { module, className } = STORES[type as StoreName];
  return (await import(new URL(`../../lib/stores/${module}`, import.meta.url).href))[className];
}

/** Makes a shared store that is ready. */
export async function openShared(type: string, options: SharedOptions): Promise<SessionStore> {
  const store = new (await storeClass(type))(options);
  // A busy machine takes longer to load a client than a store waits.
  for (let tries = 1;; tries++) {
    try {
      await store.ready?.();
      return store;
    } catch (error) {
      if (tries === 5 || !/no answer in/.test(String(error))) throw error;
    }
  }
}

/** Makes a shared store that is closed at the end of the block. It connects at its first use. */
export async function scoped(type: string, options: SharedOptions): Promise<SessionStore & AsyncDisposable> {
  const store = new (await storeClass(type))(options);
  return Object.assign(store, { [Symbol.asyncDispose]: async () => await store.close?.() });
}

/** The ids of sessions, sorted. */
export async function idsOf(sessions: AsyncIterable<readonly [string, unknown]>): Promise<string[]> {
  return (await Array.fromAsync(sessions)).map(([id]) => id).sort();
}

/** A new session's record. */
export function fresh(data: SessionRecord["data"] = {}, idle = 60_000): SessionRecord {
  const created = Date.now();
  return { data, created, idle, expires: created + idle, deadline: created + 600_000 };
}

/** A change that sets some data. */
export function set(data: SessionRecord["data"]): (record: SessionRecord) => SessionRecord {
  return (record) => ({ ...record, data: { ...record.data, ...data } });
}

/** The differences between the engines. */
export interface Shared extends Partial<StoreSubject> {
  /** The address. If it is `undefined`, the tests are reported as ignored. */
  readonly url: string | undefined;
  /** Options that keep these sessions apart from others, such as a prefix. */
  readonly options?: SharedOptions | undefined;
}

/** Declares the suite's tests and those of this file for one shared store. */
export function testSharedStore(type: string, { url, options, ...differences }: Shared): void {
  const subject: StoreSubject = {
    name: `${type} store`,
    // A store that cannot count takes no maximum.
    open: ({ now, max }) => openShared(type, { url, ...options, now, max: differences.counts ? max : undefined }),
    clear: () => removeAll(type, { url, ...options }),
    ignore: url === undefined,
    ...differences,
  };
  testStore(subject);

  const test = (behaviour: string, fn: (store: SessionStore, other: SessionStore) => Promise<void>) =>
    Deno.test({
      name: `${subject.name}: ${behaviour}`,
      ignore: subject.ignore!,
      async fn() {
        const store = await subject.open({ now: Date.now });
        const other = await subject.open({ now: Date.now });
        try {
          // On a busy machine, an engine may answer after the store's deadline. Then the test is made once more.
          await fn(store, other).catch((error) => {
            if (!/no answer in/.test(String(error))) throw error;
            return fn(store, other);
          });
        } finally {
          await store.close?.();
          await other.close?.();
          await subject.clear();
        }
      },
    });

  test("1,000 changes that end after a log-out revive no session", async (store, other) => {
    for (let round = 0; round < 50; round++) {
      await Promise.all(Array.from({ length: 20 }, async () => {
        const id = newId();
        await store.create(id, fresh({ n: 0 }));
        const [, isEnded] = await Promise.all([
          later(() => store.update(id, set({ saved: true }))),
          later(() => other.delete(id)),
        ]);
        assert(isEnded);
        assertEquals([await store.read(id), await other.read(id)], [undefined, undefined]);
      }));
    }
  });

  test("1,000 concurrent changes in one process are made in order", async (store) => {
    const key = newId();
    await store.create(key, fresh({ n: 0 }));
    const increment = (record: SessionRecord) => ({ ...record, data: { n: record.data["n"] as number + 1 } });
    const made = await Promise.all(Array.from({ length: 1000 }, () => store.update(key, increment)));
    assertEquals(made.map((record) => record?.data["n"]), Array.from({ length: 1000 }, (_, index) => index + 1));
    assertEquals((await store.read(key))?.data, { n: 1000 });
  });

  test("1,000 changes from four real processes are all made", async (store) => {
    const id = newId();
    await store.create(id, fresh({ n: 0 }));
    const script = new URL("increment.ts", import.meta.url).pathname;
    const root = new URL("../../", import.meta.url).pathname;
    const lock = ["sqlite", "memcached", "denokv"].includes(type)
      ? "tests/deno.lock"
      : `lib/stores/${type}/client.lock`;
    const args = [script, type, id, JSON.stringify({ url, ...options })];
    const processes = [1, 2, 3, 4].map(() =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-check", `--lock=${root}${lock}`, "--allow-all", ...args],
        stderr: "inherit",
      }).output()
    );
    for (const { success } of await Promise.all(processes)) assert(success);
    assertEquals((await store.read(id))?.data, { n: 1000 });
  });

  test("a user's sessions that get new keys during a listing are found", async (store, other) => {
    if (store.sessionsOf === undefined) return;
    const keys = Array.from({ length: 450 }, () => newId());
    await createAll(store, keys.map((key, n) => [key, { ...fresh({ n }), user: "Ada" }]));
    const found = new Set<unknown>();
    let next = 0;
    for await (const [, record] of store.sessionsOf("Ada")) {
      found.add(record?.data["n"]);
      // Each session moves once, before or after it is found.
      if (found.size % 30 === 0 && next < keys.length) {
        const moving = keys.slice(next, next += 30);
        await Promise.all(moving.map((key) => other.move(key, newId(), (record) => record)));
      }
    }
    assertEquals(found.size, keys.length);
  });

  test("one call ends many sessions, and returns their keys", async (store, other) => {
    if (store.deleteMany === undefined) return;
    const keys = Array.from({ length: 500 }, () => newId());
    await createAll(store, keys.map((key) => [key, { ...fresh(), user: "Ada" }]));
    assert(await other.delete(keys[3]!));
    const [first, second] = await Promise.all([store.deleteMany(keys), other.deleteMany!(keys)]);
    assertEquals([...first, ...second].sort(), keys.filter((key) => key !== keys[3]).sort());
    assertEquals([await store.deleteMany(keys), await Array.fromAsync(other.sessionsOf!("Ada"))], [[], []]);
  });

  test("of 1,000 sessions used near their end, no extended one is lost", async (store, other) => {
    let extended = 0;
    // How much slower this machine is than a quick one. The times are scaled so that some sessions end before they are
    // used, and some do not.
    let scale = 1;
    for (let round = 0; round < 20; round++) {
      const before = extended;
      const ids = Array.from({ length: 50 }, () => newId());
      const made = ids.map((_, index) => fresh({}, scale * (2 + index % 25)));
      await Promise.all(ids.map((id, index) => store.create(id, made[index]!)));
      const sweepers = [store, other].map(async (one) => {
        for (let step = 0; step < 5; step++) await later(() => one.sweepAll?.() ?? Promise.resolve(0), scale * 10);
      });
      await Promise.all(ids.map(async (id, index) => {
        const one = index % 2 ? store : other;
        const use = (): Promise<unknown> =>
          index % 4 < 2 ? one.touch(id, Date.now() + 60_000) : one.update(id, (record) => ({
            ...record,
            idle: 60_000,
            expires: Date.now() + 60_000,
          }));
        const used = Boolean(await later(use, scale * 20));
        if (!used) assert(Date.now() >= made[index]!.expires, "it ended before its time");
        await Promise.all(sweepers);
        assertEquals(await other.read(id) !== undefined, used);
        if (used) extended++;
      }));
      if (extended === before) scale = Math.min(2 * scale, 64);
      else if (extended === before + 50) scale = Math.max(1, scale / 2);
    }
    assert(extended > 0 && extended < 1000, `only the boundary tests anything: ${extended} were extended`);
  });
}

/** Makes many sessions, some at a time. */
async function createAll(store: SessionStore, sessions: [key: string, record: SessionRecord][]): Promise<void> {
  while (sessions.length > 0) await Promise.all(sessions.splice(0, 50).map((session) => store.create(...session)));
}

/** Does some work after a random time of at most some milliseconds. */
async function later<T>(work: () => Promise<T>, milliseconds = 3): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * milliseconds));
  return await work();
}

/** Removes the sessions that the tests left. The engine removes expired ones. */
async function removeAll(type: string, options: SharedOptions): Promise<void> {
  const store = await openShared(type, options);
  for await (const [id] of store.list?.() ?? []) await store.delete(id);
  await store.sweepAll?.();
  await store.close?.();
}
