/** The suite's tests of faults: contention, lost answers, corrupt records, and records of later versions. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { increment, keyIn, same, SECOND, set, type Suite } from "./_suite.ts";
import { RecordTooLargeError } from "./errors.ts";
import { newId } from "./id.ts";
import { MAX_RECORD_BYTES, type SessionRecord } from "./record.ts";
import type { SessionStore, StoredSession } from "./store.ts";

/** The most milliseconds that a verb may take: some seconds, and more for a busy machine. */
const SOME_SECONDS = 15 * SECOND;

/** Tests faults. */
export function testFaults({ test, now, record, open, subject }: Suite): void {
  const change1000Times = async (stores: readonly SessionStore[]) => {
    const key = newId();
    await stores[0]!.create(key, record({ n: 0 }));
    const changes = Array.from({ length: 1000 }, (_, n) => stores[n % stores.length]!.update(key, increment));
    const made = (await Promise.all(changes)).map((changed) => changed?.data["n"] as number);
    assertEquals(
      made.sort((a, b) => a - b),
      Array.from({ length: 1000 }, (_, n) => n + 1),
      "each change was made once",
    );
    assertEquals((await stores[0]!.read(key))?.data, { n: 1000 });
  };

  test("1,000 concurrent changes of one session are all made", async (store) => await change1000Times([store]));

  test("1,000 concurrent changes from four processes are all made", async (store, other) => {
    const more = [await open(), await open()];
    try {
      await change1000Times([store, other, ...more]);
    } finally {
      for (const one of more) await one.close?.();
    }
  });

  test("of concurrent changes, only one that throws is refused", async (store) => {
    const key = newId();
    await store.create(key, record({ n: 0 }));
    const own = new RangeError("sold out");
    const fail = () => {
      throw own;
    };
    const changes = [increment, fail, increment, fail, increment].map((change) => store.update(key, change));
    const outcomes = await Promise.allSettled(changes);
    assertEquals(outcomes.map(({ status }) => status === "fulfilled"), [true, false, true, false, true]);
    for (const outcome of outcomes) if (outcome.status === "rejected") assert(outcome.reason === own);
    assertEquals((await store.read(key))?.data, { n: 3 });
  });

  test("a record that is too large is refused, and the old one stays", async (store) => {
    const key = newId();
    await store.create(key, record({ n: 1 }));
    const large = set({ text: "x".repeat(MAX_RECORD_BYTES) });
    const to = newId();
    await assertRejects(() => store.create(to, large(record())), RecordTooLargeError);
    await assertRejects(() => store.update(key, large), RecordTooLargeError);
    await assertRejects(() => store.move(key, to, large), RecordTooLargeError);
    assertEquals([(await store.read(key))?.data, await store.read(to)], [{ n: 1 }, undefined]);
    assert(await store.update(key, same), "the session is not left locked");
  });

  const { rewrite, openHooked } = subject;
  if (rewrite !== undefined) {
    test("a corrupt record reads as no session, and harms no other session", async (store, other) => {
      for (const text of ["", "{", "[]", "null", '{"version":1}', "\ufffd"]) {
        const user = `Ada ${text}`;
        const [corrupt, kept] = [await keyIn(store, user), await keyIn(store, user)];
        for (const key of [corrupt, kept]) await store.create(key, { ...record({ n: 0 }), user });
        await rewrite(corrupt, () => text);
        for (const one of [store, other]) {
          assertEquals(await one.read(corrupt), undefined, text);
          assertEquals(await one.update(corrupt, same), undefined, text);
          assertEquals(await one.touch(corrupt, now() + SECOND), false, text);
          assertEquals(await one.move(corrupt, newId(), same), undefined, text);
          assertEquals(await found(one.sessionsOf?.(user)), one.sessionsOf && [kept], text);
          assertEquals(await found(one.list?.()), one.list && [kept], text);
        }
        await store.sweepAll?.();
        await other.deleteMany?.([corrupt]);
        await store.delete(corrupt); // The result depends on the engine.
        assert(await store.delete(kept), text);
      }
    });

    test("a later version's record stays unchanged until its session is ended", async (store, other) => {
      const keys = await Promise.all([1, 2].map(() => keyIn(store, "Ada")));
      for (const key of keys) await store.create(key, { ...record({ n: 0 }), user: "Ada" });
      for (const key of keys) await rewrite(key, (text) => text.replace(/"version":\s*1\b/, '"version":1000000'));
      for (const one of [store, other]) {
        for (const key of keys) {
          assertEquals(await one.read(key), undefined);
          assertEquals(await one.update(key, same), undefined);
          assertEquals(await one.touch(key, now() + SECOND), false);
          assertEquals(await one.move(key, newId(), same), undefined);
        }
        assertEquals(await found(one.list?.()), one.list && []);
        await one.sweepAll?.();
        const theirs = one.sessionsOf && await Array.fromAsync<StoredSession>(one.sessionsOf("Ada"));
        const unknown = keys.map((key) => [key, undefined] as const).sort();
        assertEquals(theirs?.sort(), theirs && unknown, "endAll must find its sessions");
      }
      assertEquals(await store.delete(keys[0]!), true);
      assertEquals(await other.delete(keys[0]!), false);
      if (other.deleteMany) assertEquals(await other.deleteMany(keys), [keys[1]!]);
      else assertEquals(await other.delete(keys[1]!), true);
      assertEquals(await found(store.sessionsOf?.("Ada")), store.sessionsOf && []);
    });
  }

  if (openHooked !== undefined) {
    test("a verb works once even if its answer is lost and others write next", async (_, other) => {
      // The work of another process between the next write and the loss of its answer.
      let inBetween: (() => Promise<unknown>) | undefined;
      const lossy = await openHooked({ now }, {
        before: () => Promise.resolve(),
        async after() {
          if (inBetween === undefined) return;
          const work = inBetween;
          inBetween = undefined;
          await work();
          throw new Error("the connection was lost");
        },
      });
      /** Calls a verb and loses the answer of its first write. The verb may fail. A result, if any, must be correct. */
      const loseAnswer = async <T>(call: () => Promise<T>, work: () => Promise<unknown>): Promise<[T] | []> => {
        inBetween = work;
        const outcome = await call().then((value): [T] => [value], (): [] => []);
        assertEquals(inBetween, undefined, "an answer was lost");
        return outcome;
      };
      const dataOf = async (key: string) => (await other.read(key))?.data["n"] as number;
      try {
        for (const otherChange of [increment, same]) {
          const [key, to] = [newId(), newId()];
          let added = 0;
          /** The change that another process makes in between, if the session is there. */
          const makeOtherChange = (key: string) => async () => {
            const made = await other.update(key, otherChange);
            if (made !== undefined && otherChange === increment) added++;
          };
          await loseAnswer(() => lossy.create(key, record({ n: 0 })), makeOtherChange(key));
          assertEquals(await dataOf(key), added);
          const before = added;
          const updated = await loseAnswer(() => lossy.update(key, increment), makeOtherChange(key));
          assertEquals(await dataOf(key), added + 1);
          if (updated.length > 0) assertEquals(updated[0]?.data, { n: before + 1 });
          await loseAnswer(() => lossy.touch(key, now() + 50 * SECOND), makeOtherChange(key));
          assertEquals(await dataOf(key), added + 1);
          await loseAnswer(() => lossy.move(key, to, increment), makeOtherChange(key));
          assertEquals([await other.read(key), await dataOf(to)], [undefined, added + 2]);
          const ended = await loseAnswer(() => lossy.delete(to), () => other.delete(to));
          if (ended.length > 0) assertEquals(ended, [true]);
          assertEquals(await other.read(to), undefined);
        }
      } finally {
        await lossy.close?.();
      }
    });

    test("a verb settles within seconds even if others always write first", async (_, other) => {
      const [key, to] = [newId(), newId()];
      let others = 0;
      let isOver = false;
      const hooked = await openHooked({ now }, {
        async before() {
          if (!isOver && await other.update(key, increment)) others++;
        },
        after: () => Promise.resolve(),
      });
      await other.create(key, record({ n: 0, made: 0 }));
      let verbs: Promise<unknown>[] = [];
      try {
        const change = (record: SessionRecord) => ({ ...record, data: { ...record.data, made: 1 } });
        verbs = [hooked.update(key, change), hooked.move(key, to, same)];
        const outcomes = await withTimeout(Promise.allSettled(verbs), SOME_SECONDS);
        isOver = true;
        const [updated, moved] = outcomes;
        const isMoved = moved?.status === "fulfilled" && moved.value !== undefined;
        const { n, made } = (await other.read(isMoved ? to : key))!.data;
        assertEquals(n, others);
        if (updated?.status === "fulfilled") assertEquals(made, updated.value ? 1 : 0);
        else assertEquals(made, 0);
      } finally {
        isOver = true;
        await withTimeout(Promise.allSettled(verbs), SECOND).catch(() => {}); // The test has failed already.
        await hooked.close?.();
      }
    });
  }
}

/** The keys that were found, sorted. */
async function found(sessions: AsyncIterable<readonly [string, unknown]> | undefined): Promise<string[] | undefined> {
  return sessions && (await Array.fromAsync(sessions)).map(([key]) => key).sort();
}

async function withTimeout<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("a verb took longer than some seconds")), milliseconds);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
