/**
 * The suite that every store passes: what the contract in store.ts promises, as tests. It loads `@std/assert`.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test as nodeTest } from "node:test";
import { newId } from "./id.ts";
import type { Json, SessionData, SessionRecord } from "./record.ts";
import { type SessionStore, StoreFullError } from "./store.ts";

/** How the suite makes the stores it tests. */
export interface StoreSubject {
  /** What the store is called in the tests' names. */
  readonly name: string;
  /** Opens a store; called again, it opens another one on the same sessions, as a second process would. */
  open(options: { now: () => number; max?: number | undefined }): Promise<SessionStore> | SessionStore;
  /** Removes every session; called after each test. */
  clear(): Promise<void> | void;
  /** Whether the engine expires by its own clock, so that only real waiting shows it. */
  readonly ownClock?: boolean | undefined;
  /** Whether the store counts sessions and refuses those past its maximum, exactly. */
  readonly counts?: boolean | undefined;
  /** Whether to leave the tests out, by name: what they need is missing. */
  readonly ignore?: boolean | undefined;
}

const SECOND = 1000;
/** How far off an engine's own clock may be, in milliseconds. */
const TOLERANCE = 50;

/**
 * Declares the tests that every store passes, for one store: with `Deno.test`, or with `node:test` where there is no
 * Deno. What a store leaves out (`list`, `sessionsOf`) is not tested.
 *
 * @param subject The store's name, and how stores on the same sessions are opened.
 *
 * @example
 * ```ts ignore
 * import { MemoryStore } from "sessions";
 * import { testStore } from "sessions/testing";
 *
 * let store: MemoryStore | undefined;
 * testStore({
 *   name: "memory store",
 *   open: (options) => store ??= new MemoryStore(options),
 *   clear: () => store = undefined,
 *   counts: true,
 * });
 * ```
 */
export function testStore(subject: StoreSubject): void {
  // A clock that stands still until it is moved, or the engine's own, which can only be waited for.
  let time = 0;
  const ownClock = subject.ownClock ?? false;
  const now = () => ownClock ? Date.now() : time;
  const late = ownClock ? 300 : 0;
  const pass = async (milliseconds: number) => {
    if (ownClock) await new Promise((resolve) => setTimeout(resolve, milliseconds));
    else time += milliseconds;
  };
  const record = (data: SessionData = {}, idle = 60 * SECOND, absolute = 600 * SECOND): SessionRecord => {
    const created = now();
    return { data, created, idle, expires: created + idle, deadline: created + absolute };
  };
  const set = (data: SessionData) => (record: SessionRecord) => ({ ...record, data: { ...record.data, ...data } });
  const same = (record: SessionRecord) => record;
  const isNear = (a: number, b: number) => assert(Math.abs(a - b) < TOLERANCE, `off by ${a - b} ms`);

  const test = (behaviour: string, fn: (store: SessionStore, other: SessionStore) => Promise<void>, max?: number) =>
    declare(`${subject.name}: ${behaviour}`, subject.ignore ?? false, async () => {
      time = Date.now();
      const store = await subject.open({ now, max });
      const other = await subject.open({ now, max });
      try {
        await fn(store, other);
      } finally {
        await store.close?.();
        await other.close?.();
        await subject.clear();
      }
    });

  test("a new session is read back as it was, elsewhere too", async (store, other) => {
    const id = await keyIn(store, "Zoë 👋");
    const made: SessionRecord = {
      ...record({ name: "Zoë 👋", cart: [1, { two: null }], flag: true }),
      user: "Zoë 👋",
      terms: { permanent: true, absolute: 600 * SECOND },
      flashes: [{ id: "1", category: "message", message: "hello" }],
    };
    await store.create(id, made);
    for (const reader of [store, other]) {
      const { expires, ...rest } = (await reader.read(id))!;
      const { expires: madeExpires, ...madeRest } = made;
      assertEquals(rest, madeRest);
      isNear(expires, madeExpires);
    }
  });

  test("an unknown id reads as nothing, and no verb makes it", async (store) => {
    const id = newId();
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, same), undefined);
    assertEquals(await store.touch(id, now() + SECOND), false);
    assertEquals(await store.delete(id), false);
    const to = newId();
    assertEquals(await store.move(id, to, same), undefined);
    for (const one of [id, to]) assertEquals(await store.read(one), undefined);
  });

  test("create refuses an id that is already there", async (store) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    await assertRejects(() => store.create(id, record({ n: 2 })));
    assertEquals((await store.read(id))?.data, { n: 1 });
  });

  test("keys like __proto__ and constructor are just keys", async (store) => {
    const id = newId();
    const data = JSON.parse('{"__proto__": {"admin": true}, "constructor": 1, "toString": "x"}');
    await store.create(id, record(data));
    assertEquals(JSON.stringify((await store.read(id))?.data), JSON.stringify(data));
    assertEquals(({} as Record<string, unknown>)["admin"], undefined);
    const more = (record: SessionRecord) => ({
      ...record,
      data: Object.assign(Object.create(null), record.data, { more: 1 }) as SessionData,
    });
    const updated = await store.update(id, more);
    assertEquals(Object.keys(updated!.data), ["__proto__", "constructor", "toString", "more"]);
  });

  test("what is read is frozen, however deep", async (store) => {
    const id = newId();
    await store.create(id, record({ list: [{ a: 1 }] }));
    const { data } = (await store.read(id))!;
    const list = data["list"] as Json[];
    assert(Object.isFrozen(data) && Object.isFrozen(list) && Object.isFrozen(list[0]));
  });

  test("update applies to what is stored now and returns it", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    await store.read(id);
    await other.update(id, set({ m: 1 }));
    const updated = await store.update(id, set({ n: 2 }));
    assertEquals(updated?.data, { n: 2, m: 1 });
    assertEquals((await other.read(id))?.data, { n: 2, m: 1 });
  });

  test("a change made elsewhere is seen at the next read", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 0 }));
    for (let n = 1; n <= 30; n++) {
      assertEquals((await other.read(id))?.data, { n: n - 1 });
      await store.update(id, set({ n }));
    }
    assertEquals((await other.read(id))?.data, { n: 30 });
  });

  test("of 8 × 50 increments in two processes none is lost", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 0 }));
    const increment = (record: SessionRecord) => ({ ...record, data: { n: record.data["n"] as number + 1 } });
    await Promise.all(Array.from({ length: 8 }, async (_, client) => {
      for (let i = 0; i < 50; i++) assert(await (client % 2 ? store : other).update(id, increment));
    }));
    assertEquals((await store.read(id))?.data, { n: 400 });
  });

  test("an error of the change itself comes out, and nothing is stored", async (store) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    const own = new RangeError("sold out");
    const fail = () => {
      throw own;
    };
    const to = newId();
    for (const verb of [() => store.update(id, fail), () => store.move(id, to, fail)]) {
      const thrown = await assertRejects(verb);
      assert(thrown === own, "the very same error");
    }
    assertEquals((await store.read(id))?.data, { n: 1 });
    assertEquals(await store.read(to), undefined);
    assert(await store.update(id, same), "it is not left locked");
  });

  test("delete ends a session everywhere at once, and says so", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    await other.read(id);
    assertEquals(await store.delete(id), true);
    for (const one of [store, other]) {
      assertEquals(await one.read(id), undefined);
      assertEquals(await one.update(id, same), undefined);
      assertEquals(await one.touch(id, now() + SECOND), false);
      assertEquals(await one.delete(id), false);
    }
  });

  test("no update, touch or move revives an ended session", async (store, other) => {
    for (let round = 0; round < 50; round++) {
      const [id, to] = [newId(), newId()];
      await store.create(id, record({ n: 0 }));
      const [, , isEnded, , , moved] = await Promise.all([
        store.update(id, set({ n: 1 })),
        other.touch(id, now() + 60 * SECOND),
        round % 2 ? other.delete(id) : store.delete(id),
        other.update(id, set({ n: 1 })),
        store.touch(id, now() + 60 * SECOND),
        round % 3 ? undefined : store.move(id, to, same),
      ]);
      assertEquals([await store.read(id), await other.read(id)], [undefined, undefined]);
      assertEquals(isEnded, moved === undefined, "it was ended or moved, never both");
      assertEquals(await other.read(to) === undefined, moved === undefined);
    }
  });

  test("of several deletes at once, one ended the session", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    const all = await Promise.all([store.delete(id), other.delete(id), store.delete(id), other.delete(id)]);
    assertEquals(all.filter(Boolean).length, 1);
  });

  test("move gives a new id, with all that was stored by then", async (store, other) => {
    const [id, to] = [newId(), await keyIn(store, "Ada")];
    await store.create(id, record({ n: 1 }));
    await store.read(id);
    await other.update(id, set({ m: 1 }));
    const moved = await store.move(id, to, (record) => ({ ...set({ n: 2 })(record), user: "Ada" }));
    assertEquals([moved?.data, moved?.user], [{ n: 2, m: 1 }, "Ada"]);
    for (const one of [store, other]) {
      assertEquals((await one.read(to))?.data, { n: 2, m: 1 });
      assertEquals(await one.read(id), undefined);
      assertEquals(await one.update(id, same), undefined);
      assertEquals(await one.touch(id, now() + SECOND), false);
      assertEquals(await one.delete(id), false);
    }
  });

  test("of several moves at once, one wins and one session is left", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    const targets = Array.from({ length: 4 }, () => newId());
    const all = await Promise.all(targets.map((to, i) => (i % 2 ? store : other).move(id, to, same)));
    assertEquals(all.filter(Boolean).length, 1);
    for (const [i, to] of targets.entries()) assertEquals(await store.read(to) === undefined, all[i] === undefined);
  });

  test("a move loses no update that comes in between", async (store, other) => {
    for (let round = 0; round < 20; round++) {
      const [id, to] = [newId(), newId()];
      await store.create(id, record({ n: 0 }));
      const [updated] = await Promise.all([other.update(id, set({ n: 1 })), store.move(id, to, same)]);
      assertEquals((await store.read(to))?.data, { n: updated === undefined ? 0 : 1 });
    }
  });

  test("a session ends at its idle limit, and not before", async (store) => {
    const id = newId();
    const made = record({}, SECOND);
    await store.create(id, made);
    await pass(made.expires - 1 - now() - late);
    assert(await store.read(id));
    await pass(made.expires - now() + late);
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, same), undefined);
    assertEquals(await store.touch(id, now() + SECOND), false);
    assertEquals(await store.delete(id), false);
    assertEquals(await store.move(id, newId(), same), undefined);
  });

  test("touch moves the idle limit and nothing else", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }, 2 * SECOND));
    await pass(SECOND);
    const expires = now() + 2 * SECOND;
    assertEquals(await store.touch(id, expires), true);
    await pass(1.5 * SECOND);
    const read = await other.read(id);
    assertEquals(read?.data, { n: 1 });
    isNear(read!.expires, expires);
  });

  test("update can lengthen a life, and cut it short", async (store) => {
    const id = newId();
    await store.create(id, record({ n: 1 }, 2 * SECOND));
    const live = (idle: number) => (record: SessionRecord) => ({ ...record, idle, expires: now() + idle });
    await store.update(id, live(5 * SECOND));
    await pass(3 * SECOND);
    assert(await store.read(id));
    await store.update(id, live(SECOND));
    await pass(SECOND + late);
    assertEquals(await store.read(id), undefined);
  });

  test("no touch or update carries a session past its deadline", async (store) => {
    const [touched, updated] = [newId(), newId()];
    for (const id of [touched, updated]) await store.create(id, record({}, 60 * SECOND, 2 * SECOND));
    await store.touch(touched, now() + 60 * SECOND);
    await store.update(updated, (record) => ({ ...record, expires: now() + 60 * SECOND }));
    for (const id of [touched, updated]) assert(await store.read(id));
    await pass(2 * SECOND + late);
    for (const id of [touched, updated]) {
      assertEquals(await store.touch(id, now() + 60 * SECOND), false);
      assertEquals(await store.update(id, same), undefined);
      assertEquals(await store.read(id), undefined);
    }
  });

  test("of a user it knows every live session, and nobody else's", async (store, other) => {
    if (store.sessionsOf === undefined) return;
    const names = ["Ada", "../Bob", "", "\0", "x".repeat(2000), "🧑‍🚀"];
    const ids = new Map<string, string>();
    for (const user of names) {
      const id = await keyIn(store, user);
      await store.create(id, { ...record({ user }), user });
      ids.set(user, id);
    }
    const guest = newId();
    await store.create(guest, record());
    const moved = await keyIn(store, "Ada");
    await other.move(guest, moved, (record) => ({ ...record, user: "Ada" }));
    for (const one of [store, other]) {
      for (const user of names) {
        const found = (await Array.fromAsync(one.sessionsOf!(user))).map(([id]) => id).sort();
        assertEquals(found, user === "Ada" ? [ids.get(user)!, moved].sort() : [ids.get(user)!]);
      }
    }
    await other.delete(moved);
    assertEquals((await Array.fromAsync(store.sessionsOf("Ada"))).map(([id]) => id), [ids.get("Ada")!]);
    assertEquals(await Array.fromAsync(store.sessionsOf("nobody")), []);
  });

  test("it lists the live sessions, and sweeps those that are over", async (store, other) => {
    if (other.list === undefined) return;
    const [dead, live, used, future] = [newId(), newId(), newId(), newId()];
    await store.create(dead, record({ n: 1 }, SECOND));
    await store.create(live, record({ n: 2 }));
    await store.create(used, record({ n: 3 }, 2 * SECOND));
    if (!ownClock) await store.create(future, { ...record({ n: 4 }), created: now() + 86_400 * SECOND });
    await pass(SECOND + late);
    await other.touch(used, now() + 2 * SECOND);
    await pass(SECOND + late);
    const listed = new Map(await Array.fromAsync(other.list!()));
    assertEquals([listed.size, listed.get(live)?.data, listed.get(used)?.data], [2, { n: 2 }, { n: 3 }]);
    if (other.sweepAll !== undefined) {
      assertEquals(await other.sweepAll() + await store.sweepAll!(), ownClock ? 1 : 2);
    }
    assertEquals((await Array.fromAsync(store.list!())).length, 2);
  });

  test("past its maximum it refuses new ones, and the others go on", async (store) => {
    if (!subject.counts) return;
    const ids = Array.from({ length: 5 }, () => newId());
    for (const id of ids) await store.create(id, record({ n: 1 }));
    await assertRejects(() => store.create(newId(), record()), StoreFullError);
    for (const id of ids) assert(await store.update(id, set({ n: 2 })));
    assert(await store.move(ids[0]!, newId(), same), "a move is no new session");
    await assertRejects(() => store.create(newId(), record()), StoreFullError);
    await store.delete(ids[1]!);
    await store.create(newId(), record());
    await assertRejects(() => store.create(newId(), record()), StoreFullError);
    if (ownClock) return;
    await pass(60 * SECOND);
    // The room of those that are over is found at once, or by the next count.
    for (let attempts = 1;; attempts++) {
      try {
        return await store.create(newId(), record());
      } catch (error) {
        if (!(error instanceof StoreFullError) || attempts === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }, 5);
}

/** A new key for a session of a user. */
async function keyIn(store: SessionStore, user: string): Promise<string> {
  return newId(await store.groupOf?.(user));
}

/** Deno's own runner looks for leaks; Node and Bun have theirs. */
function declare(name: string, ignore: boolean, fn: () => Promise<void>): void {
  if ("Deno" in globalThis) Deno.test({ name, ignore, fn });
  else nodeTest(name, { skip: ignore }, fn);
}
