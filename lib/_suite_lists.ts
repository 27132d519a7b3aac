/** The suite's tests of ends and lists: when sessions end, which a user has, and how many there may be. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { keyIn, keysOf, same, SECOND, set, type Suite } from "./_suite.ts";
import { newId } from "./id.ts";
import { endOf, type SessionRecord } from "./record.ts";
import { StoreFullError } from "./store.ts";

/** Tests when sessions end. */
export function testEnds({ test, now, pass, late, record, assertNear, assertLive }: Suite): void {
  test("a session ends at its idle limit, and not before", async (store) => {
    const key = newId();
    const made = record({}, SECOND);
    await store.create(key, made);
    await pass(made.expires - 1 - now() - late);
    assertLive(await store.read(key), made.expires);
    await pass(made.expires - now() + late);
    assertEquals(await store.read(key), undefined);
    assertEquals(await store.update(key, same), undefined);
    assertEquals(await store.touch(key, now() + SECOND), false);
    assertEquals(await store.delete(key), false);
    assertEquals(await store.move(key, newId(), same), undefined);
  });

  test("touch moves the idle limit and nothing else", async (store, other) => {
    const key = newId();
    const made = record({ n: 1 }, 2 * SECOND);
    await store.create(key, made);
    await pass(SECOND);
    const expires = now() + 2 * SECOND;
    assertLive(await store.touch(key, expires), made.expires);
    await pass(1.5 * SECOND);
    const read = assertLive(await other.read(key), expires);
    assertEquals(read.data, { n: 1 });
    assertNear(read.expires, expires);
  });

  test("update can extend and shorten the life of a session", async (store) => {
    const key = newId();
    const made = record({ n: 1 }, 2 * SECOND);
    await store.create(key, made);
    const idle = (idle: number) => (record: SessionRecord) => ({ ...record, idle, expires: now() + idle });
    const { expires } = assertLive(await store.update(key, idle(5 * SECOND)), made.expires);
    await pass(3 * SECOND);
    assertLive(await store.read(key), expires);
    assertLive(await store.update(key, idle(SECOND)), expires);
    await pass(SECOND + late);
    assertEquals(await store.read(key), undefined);
  });

  test("no touch or update extends a session beyond its deadline", async (store) => {
    const [touched, updated] = [newId(), newId()];
    const made = record({}, 60 * SECOND, 2 * SECOND);
    for (const key of [touched, updated]) await store.create(key, made);
    assertLive(await store.touch(touched, now() + 60 * SECOND), endOf(made));
    assertLive(await store.update(updated, (record) => ({ ...record, expires: now() + 60 * SECOND })), endOf(made));
    for (const key of [touched, updated]) assertLive(await store.read(key), endOf(made));
    await pass(2 * SECOND + late);
    for (const key of [touched, updated]) {
      assertEquals(await store.touch(key, now() + 60 * SECOND), false);
      assertEquals(await store.update(key, same), undefined);
      assertEquals(await store.read(key), undefined);
    }
  });
}

/** Tests the lists, the sweep and the maximum. */
export function testLists({ test, now, pass, late, record, assertLive, subject }: Suite): void {
  const { ownClock = false, counts = false } = subject;

  test("sessionsOf finds every live session of a user, and no other user's", async (store, other) => {
    if (store.sessionsOf === undefined) return;
    // An engine could confuse two of these names, or use one of them as a pattern or a path.
    const names = [
      "Ada",
      "ada",
      "ADA",
      "Ada ",
      "\u00c5sa",
      "A\u030asa",
      "stra\u00dfe",
      "strasse",
      "A%",
      "%",
      "_da",
      "*",
    ]
      .concat(["../Bob", "", "\0", "x".repeat(2000), `${"x".repeat(2000)}y`, "🧑‍🚀", "\ud800"]);
    const keys = new Map<string, string>();
    for (const user of names) {
      const key = await keyIn(store, user);
      await store.create(key, { ...record({ user }), user });
      keys.set(user, key);
    }
    const guest = newId();
    await store.create(guest, record());
    const moved = await keyIn(store, "Ada");
    await other.move(guest, moved, (record) => ({ ...record, user: "Ada" }));
    for (const one of [store, other]) {
      for (const user of names) {
        const there = user === "Ada" ? [keys.get(user)!, moved].sort() : [keys.get(user)!];
        assertEquals(await keysOf(one, user), there, JSON.stringify(user.slice(0, 20)));
      }
    }
    await other.delete(moved);
    assertEquals(await keysOf(store, "Ada"), [keys.get("Ada")!]);
    assertEquals(await keysOf(store, "no one"), []);
  });

  test("sessionsOf finds no session that is over", async (store, other) => {
    if (store.sessionsOf === undefined) return;
    const keys = await Promise.all([1, 2, 3].map(() => keyIn(store, "Ada")));
    await store.create(keys[0]!, { ...record({}, SECOND), user: "Ada" });
    await store.create(keys[1]!, { ...record({}, 60 * SECOND, SECOND), user: "Ada" });
    await store.create(keys[2]!, { ...record(), user: "Ada" });
    await pass(SECOND + late);
    for (const one of [store, other]) assertEquals(await keysOf(one, "Ada"), [keys[2]!]);
  });

  test("sessionsOf misses no session that gets a new key during the listing", async (store, other) => {
    if (store.sessionsOf === undefined) return;
    const moves = new Map<string, string>();
    for (let n = 0; n < 40; n++) {
      const [key, to] = [await keyIn(store, "Ada"), await keyIn(store, "Ada")];
      await store.create(key, { ...record(), user: "Ada" });
      moves.set(key, to);
    }
    const found = new Set<string>();
    for await (const [key] of store.sessionsOf("Ada")) {
      // When the first one is found, all others move: those before it in the store's order, and those after it.
      if (found.size === 0) {
        for (const [from, to] of moves) if (from !== key) assert(await other.move(from, to, same));
      }
      found.add(key);
    }
    for (const [from, to] of moves) assert(found.has(from) || found.has(to), "a session that moved is missing");
  });

  test("list finds the live sessions, and sweepAll removes those that are over", async (store, other) => {
    if (other.list === undefined) return;
    const [dead, kept, used, future] = [newId(), newId(), newId(), newId()];
    await store.create(dead, record({ n: 1 }, SECOND));
    await store.create(kept, record({ n: 2 }));
    const made = record({ n: 3 }, 2 * SECOND);
    await store.create(used, made);
    if (!ownClock) await store.create(future, { ...record({ n: 4 }), created: now() + 86_400 * SECOND });
    await pass(SECOND + late);
    const expires = now() + 2 * SECOND;
    assertLive(await other.touch(used, expires), made.expires);
    await pass(SECOND + late);
    const listed = new Map(await Array.fromAsync(other.list!()));
    assertLive(listed.get(used), expires);
    assertEquals([listed.size, listed.get(kept)?.data, listed.get(used)?.data], [2, { n: 2 }, { n: 3 }]);
    if (other.sweepAll !== undefined) {
      let reported = 0;
      const onRemoved = (count: number) => reported += count;
      const removed = await other.sweepAll(onRemoved) + await store.sweepAll!(onRemoved);
      assertEquals(removed, ownClock ? 1 : 2);
      assert(reported <= removed, "it reports no more than it removed");
    }
    assertLive((await Array.fromAsync(store.list!())).length === 2, expires);
  });

  test("deleteMany ends the sessions that are there, and returns their keys", async (store, other) => {
    if (store.deleteMany === undefined) return;
    assertEquals(await store.deleteMany([]), []);
    const keys = Array.from({ length: 500 }, () => newId());
    const there = keys.filter((_, index) => index % 5 > 0);
    // The sessions are created in small groups: calls may wait for a connection of a pool, and a store may give up a
    // call after a second.
    for (let at = 0; at < there.length; at += 20) {
      await Promise.all(there.slice(at, at + 20).map((key) => store.create(key, record({ n: 1 }))));
    }
    const gone = there.slice(0, 10);
    for (const key of gone) await other.delete(key);
    const kept = newId();
    await store.create(kept, record());
    const ended = await store.deleteMany(keys);
    assertEquals([...ended].sort(), there.slice(10).sort());
    for (const key of [ended[0]!, ended.at(-1)!]) {
      assertEquals([await other.read(key), await other.update(key, same)], [undefined, undefined]);
    }
    assert(await other.read(kept));
    assertEquals(await other.deleteMany!(keys), []);
  });

  test("a full store refuses new sessions, and the others stay usable", async (store) => {
    if (!counts) return;
    const keys = Array.from({ length: 5 }, () => newId());
    for (const key of keys) await store.create(key, record({ n: 1 }));
    await assertRejects(() => store.create(newId(), record()), StoreFullError);
    for (const key of keys) assert(await store.update(key, set({ n: 2 })));
    assert(await store.move(keys[0]!, newId(), same), "a move is no new session");
    await assertRejects(() => store.create(newId(), record()), StoreFullError);
    await store.delete(keys[1]!);
    await store.create(newId(), record());
    await assertRejects(() => store.create(newId(), record()), StoreFullError);
    if (ownClock) return;
    await pass(60 * SECOND);
    // Sessions that are over make room for new ones immediately, or after the store's next count.
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
