/** The suite that every store passes: what the contract in lib/store.ts promises, as tests. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Json, type SessionData, type SessionRecord, type SessionStore, StoreFullError } from "../../lib/store.ts";
import { newId } from "./server.ts";

/** How the suite makes the stores it tests. */
export interface Subject {
  /** What the store is called in the tests' names. */
  readonly name: string;
  /** Opens a store; called again, it opens another one on the same sessions, as a second process would. */
  open(options: { now: () => number; max?: number }): Promise<SessionStore>;
  /** Removes every session; called after each test. */
  clear(): Promise<void>;
  /** Whether the engine expires by its own clock, so that only real waiting shows it. */
  readonly ownClock?: boolean;
  /** Whether the store counts sessions and refuses those past its maximum. */
  readonly counts?: boolean;
  /** Whether the store can list its sessions: it can unless this is false. */
  readonly lists?: boolean;
  /** Whether to leave the tests out, by name: what they need is missing. */
  readonly ignore?: boolean;
}

const SECOND = 1000;

/** Declares the suite's tests for one store. */
export function testStore(subject: Subject): void {
  // A clock that stands still until it is moved, or the engine's own, which can only be waited for.
  let time = 0;
  const now = () => subject.ownClock ? Date.now() : time;
  const pass = async (milliseconds: number) => {
    if (subject.ownClock) await new Promise((resolve) => setTimeout(resolve, milliseconds));
    else time += milliseconds;
  };
  const record = (data: SessionData = {}, idle = 60 * SECOND, absolute = 600 * SECOND): SessionRecord => {
    const created = now();
    return { data, created, ends: created + absolute, expires: created + Math.min(idle, absolute) };
  };

  const test = (behaviour: string, fn: (store: SessionStore, other: SessionStore) => Promise<void>, max?: number) =>
    Deno.test({
      name: `${subject.name}: ${behaviour}`,
      ignore: subject.ignore ?? false,
      async fn() {
        time = Date.now();
        const options = max === undefined ? { now } : { now, max };
        const store = await subject.open(options);
        const other = await subject.open(options);
        try {
          await fn(store, other);
        } finally {
          await store.close?.();
          await other.close?.();
          await subject.clear();
        }
      },
    });

  test("a session that was created is read back as it was, by another process too", async (store, other) => {
    const id = newId();
    const data = { user: "Zoë 👋", cart: [1, { two: null }], flag: true };
    const made = record(data);
    await store.create(id, made);
    for (const reader of [store, other]) {
      const read = await reader.read(id);
      assertEquals(read?.data, data);
      assertEquals([read?.created, read?.ends], [made.created, made.ends]);
      assert(Math.abs(read!.expires - made.expires) < 50, `off by ${read!.expires - made.expires} ms`);
    }
  });

  test("an unknown id reads as nothing, and reading it makes nothing", async (store) => {
    const id = newId();
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, (data) => data, now() + SECOND), undefined);
    assertEquals(await store.touch(id, now() + SECOND), false);
    assertEquals(await store.delete(id), undefined);
    assertEquals(await store.read(id), undefined);
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
    const read = await store.read(id);
    assertEquals(JSON.stringify(read?.data), JSON.stringify(data));
    assertEquals(({} as Record<string, unknown>).admin, undefined);
    const updated = await store.update(
      id,
      (now) => Object.assign(Object.create(null), now, { more: 1 }),
      now() + SECOND,
    );
    assertEquals(Object.keys(updated!.data), ["__proto__", "constructor", "toString", "more"]);
  });

  test("what is read is frozen, however deep", async (store) => {
    const id = newId();
    await store.create(id, record({ list: [{ a: 1 }] }));
    const { data } = (await store.read(id))!;
    assert(Object.isFrozen(data) && Object.isFrozen(data.list) && Object.isFrozen((data.list as Json[])[0]));
  });

  test("update applies to what is stored now and returns it", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    await store.read(id);
    await other.update(id, (data) => ({ ...data, m: 1 }), now() + 60 * SECOND);
    const updated = await store.update(id, (data) => ({ ...data, n: 2 }), now() + 60 * SECOND);
    assertEquals(updated?.data, { n: 2, m: 1 });
    assertEquals((await other.read(id))?.data, { n: 2, m: 1 });
  });

  test("a change made elsewhere is seen at the next read", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 0 }));
    for (let n = 1; n <= 30; n++) {
      assertEquals((await other.read(id))?.data, { n: n - 1 });
      await store.update(id, () => ({ n }), now() + 60 * SECOND);
    }
    assertEquals((await other.read(id))?.data, { n: 30 });
  });

  test("of 8 × 50 increments at once, in two processes, none is lost", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 0 }));
    await Promise.all(Array.from({ length: 8 }, async (_, client) => {
      for (let i = 0; i < 50; i++) {
        const updated = await (client % 2 ? store : other).update(
          id,
          (data) => ({ ...data, n: data.n as number + 1 }),
          now() + 60 * SECOND,
        );
        assert(updated !== undefined);
      }
    }));
    assertEquals((await store.read(id))?.data, { n: 400 });
  });

  test("an update whose change throws leaves the session as it was", async (store) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    await assertRejects(() =>
      store.update(id, () => {
        throw new Error("no");
      }, now() + SECOND)
    );
    assertEquals((await store.read(id))?.data, { n: 1 });
    assert(await store.update(id, (data) => data, now() + 60 * SECOND), "it is not left locked");
  });

  test("delete ends a session everywhere at once and returns its last state", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    await other.read(id);
    await store.update(id, () => ({ n: 2 }), now() + 60 * SECOND);
    assertEquals((await store.delete(id))?.data, { n: 2 });
    for (const one of [store, other]) {
      assertEquals(await one.read(id), undefined);
      assertEquals(await one.update(id, (data) => data, now() + SECOND), undefined);
      assertEquals(await one.touch(id, now() + SECOND), false);
      assertEquals(await one.delete(id), undefined);
    }
  });

  test("an ended session is never revived by updates and touches under way", async (store, other) => {
    for (let round = 0; round < 50; round++) {
      const id = newId();
      await store.create(id, record({ n: 0 }));
      const change = (data: SessionData) => ({ ...data, n: 1 });
      await Promise.all([
        store.update(id, change, now() + 60 * SECOND),
        other.touch(id, now() + 60 * SECOND),
        round % 2 ? other.delete(id) : store.delete(id),
        other.update(id, change, now() + 60 * SECOND),
        store.touch(id, now() + 60 * SECOND),
      ]);
      assertEquals([await store.read(id), await other.read(id)], [undefined, undefined]);
    }
  });

  test("of several deletes at once, one gets the record", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }));
    const all = await Promise.all([store.delete(id), other.delete(id), store.delete(id), other.delete(id)]);
    assertEquals(all.filter((one) => one !== undefined).length, 1);
  });

  test("a session is there a millisecond before its idle limit, and gone at it", async (store) => {
    const id = newId();
    const made = record({}, SECOND);
    await store.create(id, made);
    await pass(made.expires - 1 - now() - (subject.ownClock ? 300 : 0));
    assert(await store.read(id));
    await pass(made.expires - now() + (subject.ownClock ? 300 : 0));
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, (data) => data, now() + SECOND), undefined);
    assertEquals(await store.touch(id, now() + SECOND), false);
    assertEquals(await store.delete(id), undefined);
  });

  test("touch moves the idle limit and nothing else", async (store, other) => {
    const id = newId();
    await store.create(id, record({ n: 1 }, 2 * SECOND));
    const expires = now() + 5 * SECOND;
    assertEquals(await store.touch(id, expires), true);
    await pass(3 * SECOND);
    const read = await other.read(id);
    assertEquals(read?.data, { n: 1 });
    assert(Math.abs(read!.expires - expires) < 50);
  });

  test("update moves the idle limit", async (store) => {
    const id = newId();
    await store.create(id, record({ n: 1 }, 2 * SECOND));
    await store.update(id, (data) => data, now() + 5 * SECOND);
    await pass(3 * SECOND);
    assert(await store.read(id));
  });

  test("no touch or update carries a session past its absolute limit", async (store) => {
    const [touched, updated] = [newId(), newId()];
    for (const id of [touched, updated]) await store.create(id, record({}, SECOND, 2 * SECOND));
    await store.touch(touched, now() + 60 * SECOND);
    await store.update(updated, (data) => data, now() + 60 * SECOND);
    for (const id of [touched, updated]) assert(await store.read(id));
    await pass(2 * SECOND + (subject.ownClock ? 300 : 0));
    for (const id of [touched, updated]) {
      assertEquals(await store.touch(id, now() + 60 * SECOND), false);
      assertEquals(await store.update(id, (data) => data, now() + 60 * SECOND), undefined);
      assertEquals(await store.read(id), undefined);
    }
  });

  if (subject.lists ?? true) {
    test("it lists the live sessions, and sweeps those that are over", async (store, other) => {
      const [dead, live, used] = [newId(), newId(), newId()];
      await store.create(dead, record({ n: 1 }, SECOND));
      await store.create(live, record({ n: 2 }));
      await store.create(used, record({ n: 3 }, SECOND));
      await other.touch(used, now() + 60 * SECOND);
      await pass(SECOND + (subject.ownClock ? 300 : 0));
      const listed = new Map(await Array.fromAsync(other.list!()));
      assertEquals([listed.size, listed.get(live)?.data, listed.get(used)?.data], [2, { n: 2 }, { n: 3 }]);
      if (other.sweepAll !== undefined) assertEquals([await other.sweepAll(), await store.sweepAll!()], [1, 0]);
      assertEquals((await Array.fromAsync(store.list!())).length, 2);
    });
  }

  if (subject.counts) {
    const MAX = 5;
    test("past its maximum it refuses new sessions, and the others go on", async (store) => {
      const ids = Array.from({ length: MAX }, newId);
      for (const id of ids) await store.create(id, record({ n: 1 }));
      await assertRejects(() => store.create(newId(), record()), StoreFullError);
      for (const id of ids) assert(await store.update(id, () => ({ n: 2 }), now() + 60 * SECOND));
      await store.create(newId(), record(), true);
      await store.delete(ids[0]!);
      await assertRejects(() => store.create(newId(), record()), StoreFullError);
      await store.delete(ids[1]!);
      await store.create(newId(), record());
    }, MAX);
  }
}
