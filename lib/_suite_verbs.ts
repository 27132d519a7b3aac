/** The suite's tests of the verbs: what each does, and what happens if several run at the same time. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { keyIn, same, SECOND, set, type Suite } from "./_suite.ts";
import { newId } from "./id.ts";
import type { Json, SessionData, SessionRecord } from "./record.ts";
import { KeyTakenError } from "./store.ts";

/** Tests the verbs. */
export function testVerbs({ test, now, record, assertNear }: Suite): void {
  test("a new session is read as it was created, also by another process", async (store, other) => {
    const key = await keyIn(store, "Zoë 👋");
    const made: SessionRecord = {
      ...record({ name: "Zoë 👋", cart: [1, { two: null }], flag: true }),
      user: "Zoë 👋",
      overrides: { permanent: true, absolute: 600 * SECOND },
      flashes: [{ id: "1", category: "message", message: "hello" }],
    };
    await store.create(key, made);
    for (const reader of [store, other]) {
      const { expires, ...rest } = (await reader.read(key))!;
      const { expires: madeExpires, ...madeRest } = made;
      assertEquals(rest, madeRest);
      assertNear(expires, madeExpires);
    }
  });

  test("an unknown key has no session, and no verb but create makes one", async (store) => {
    const key = newId();
    assertEquals(await store.read(key), undefined);
    assertEquals(await store.update(key, same), undefined);
    assertEquals(await store.touch(key, now() + SECOND), false);
    assertEquals(await store.delete(key), false);
    const to = newId();
    assertEquals(await store.move(key, to, same), undefined);
    for (const one of [key, to]) assertEquals(await store.read(one), undefined);
  });

  test("create refuses a key that is already there", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    for (const one of [store, other]) await assertRejects(() => one.create(key, record({ n: 2 })), KeyTakenError);
    assertEquals((await store.read(key))?.data, { n: 1 });
  });

  test("data can have keys such as __proto__ and constructor", async (store) => {
    const key = newId();
    const data = JSON.parse('{"__proto__": {"admin": true}, "constructor": 1, "toString": "x"}');
    await store.create(key, record(data));
    assertEquals(JSON.stringify((await store.read(key))?.data), JSON.stringify(data));
    assertEquals(({} as Record<string, unknown>)["admin"], undefined);
    const more = (record: SessionRecord) => ({
      ...record,
      data: Object.assign(Object.create(null), record.data, { more: 1 }) as SessionData,
    });
    const updated = await store.update(key, more);
    assertEquals(Object.keys(updated!.data), ["__proto__", "constructor", "toString", "more"]);
  });

  test("a record that was read is frozen at every depth", async (store) => {
    const key = newId();
    await store.create(key, record({ list: [{ a: 1 }] }));
    const { data } = (await store.read(key))!;
    const list = data["list"] as Json[];
    assert(Object.isFrozen(data) && Object.isFrozen(list) && Object.isFrozen(list[0]));
  });

  test("update changes the record stored at that moment, and returns the new one", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    await store.read(key);
    await other.update(key, set({ m: 1 }));
    const updated = await store.update(key, set({ n: 2 }));
    assertEquals(updated?.data, { n: 2, m: 1 });
    assertEquals((await other.read(key))?.data, { n: 2, m: 1 });
  });

  test("the next read sees a change that another process made", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 0 }));
    for (let n = 1; n <= 30; n++) {
      assertEquals((await other.read(key))?.data, { n: n - 1 });
      await store.update(key, set({ n }));
    }
    assertEquals((await other.read(key))?.data, { n: 30 });
  });

  test("none of 8 × 50 increments in two processes is lost", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 0 }));
    const increment = (record: SessionRecord) => ({ ...record, data: { n: record.data["n"] as number + 1 } });
    await Promise.all(Array.from({ length: 8 }, async (_, client) => {
      for (let i = 0; i < 50; i++) assert(await (client % 2 ? store : other).update(key, increment));
    }));
    assertEquals((await store.read(key))?.data, { n: 400 });
  });

  test("an error that a change throws reaches the caller, and nothing is stored", async (store) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    const own = new RangeError("sold out");
    const fail = () => {
      throw own;
    };
    const to = newId();
    for (const verb of [() => store.update(key, fail), () => store.move(key, to, fail)]) {
      const thrown = await assertRejects(verb);
      assert(thrown === own, "the change's own error is thrown");
    }
    assertEquals((await store.read(key))?.data, { n: 1 });
    assertEquals(await store.read(to), undefined);
    assert(await store.update(key, same), "the session is not left locked");
  });

  test("delete ends a session immediately in every process, and returns true", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    await other.read(key);
    assertEquals(await store.delete(key), true);
    for (const one of [store, other]) {
      assertEquals(await one.read(key), undefined);
      assertEquals(await one.update(key, same), undefined);
      assertEquals(await one.touch(key, now() + SECOND), false);
      assertEquals(await one.delete(key), false);
    }
  });

  test("no update, touch or move revives an ended session", async (store, other) => {
    for (let round = 0; round < 50; round++) {
      const [key, to] = [newId(), newId()];
      await store.create(key, record({ n: 0 }));
      const [, , isEnded, , , moved] = await Promise.all([
        store.update(key, set({ n: 1 })),
        other.touch(key, now() + 60 * SECOND),
        round % 2 ? other.delete(key) : store.delete(key),
        other.update(key, set({ n: 1 })),
        store.touch(key, now() + 60 * SECOND),
        round % 3 ? undefined : store.move(key, to, same),
      ]);
      assertEquals([await store.read(key), await other.read(key)], [undefined, undefined]);
      assertEquals(isEnded, moved === undefined, "it was ended or moved, never both");
      assertEquals(await other.read(to) === undefined, moved === undefined);
    }
  });

  test("of several concurrent deletes, exactly one returns true", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    const all = await Promise.all([store.delete(key), other.delete(key), store.delete(key), other.delete(key)]);
    assertEquals(all.filter(Boolean).length, 1);
  });

  test("move gives a session a new key, and keeps all data stored by then", async (store, other) => {
    const [key, to] = [newId(), await keyIn(store, "Ada")];
    await store.create(key, record({ n: 1 }));
    await store.read(key);
    await other.update(key, set({ m: 1 }));
    const moved = await store.move(key, to, (record) => ({ ...set({ n: 2 })(record), user: "Ada" }));
    assertEquals([moved?.data, moved?.user], [{ n: 2, m: 1 }, "Ada"]);
    for (const one of [store, other]) {
      assertEquals((await one.read(to))?.data, { n: 2, m: 1 });
      assertEquals(await one.read(key), undefined);
      assertEquals(await one.update(key, same), undefined);
      assertEquals(await one.touch(key, now() + SECOND), false);
      assertEquals(await one.delete(key), false);
    }
  });

  test("of several concurrent moves, one succeeds and one session is left", async (store, other) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    const targets = Array.from({ length: 4 }, () => newId());
    const all = await Promise.all(targets.map((to, i) => (i % 2 ? store : other).move(key, to, same)));
    assertEquals(all.filter(Boolean).length, 1);
    for (const [i, to] of targets.entries()) assertEquals(await store.read(to) === undefined, all[i] === undefined);
  });

  test("a move loses no concurrent update", async (store, other) => {
    for (let round = 0; round < 20; round++) {
      const [key, to] = [newId(), newId()];
      await store.create(key, record({ n: 0 }));
      const [updated] = await Promise.all([other.update(key, set({ n: 1 })), store.move(key, to, same)]);
      assertEquals((await store.read(to))?.data, { n: updated === undefined ? 0 : 1 });
    }
  });
}
