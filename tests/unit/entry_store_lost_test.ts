/** The base of stores with compare-and-set: writes whose answers are lost. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { KeyTakenError } from "../../lib/store.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { clock, fresh, increment, loseNext, nOf, place } from "./entry_place.ts";

Deno.test("entry store: an update without an answer is made once, even under others", async () => {
  for (const says of [undefined, false]) {
    const { engine, store, other } = place();
    const [key, to] = [newId(), newId()];
    await store.create(key, fresh({ n: 0 }));
    loseNext(engine, () => other().update(key, increment), says);
    assertEquals(nOf(await store.update(key, increment)), 1);
    assertEquals(nOf(await store.read(key)), 2);
    loseNext(engine, () => other().touch(key, clock.time + 60_000), says);
    assertEquals(nOf(await store.update(key, increment)), 3);
    loseNext(engine, () => other().delete(key), says);
    assertEquals(nOf(await store.update(key, increment)), 4);
    await store.create(to, fresh({ n: 0 }));
    loseNext(engine, () => other().move(to, newId(), increment), says);
    assertEquals(nOf(await store.update(to, increment)), 1);
  }
});

Deno.test("entry store: other verbs of the same store can follow a lost answer", async () => {
  const { engine, store } = place();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  loseNext(engine, async () => {
    const moved = newId();
    assertEquals(nOf(await store.move(key, moved, increment)), 2);
    assertEquals(await store.delete(moved), true);
  });
  assertEquals(nOf(await store.update(key, increment)), 1);
});

Deno.test("entry store: creates, moves and deletes without an answer are found", async () => {
  for (const says of [undefined, false]) {
    const { engine, store, other } = place();
    const [key, to, next] = [newId(), newId(), newId()];
    loseNext(engine, () => other().update(key, increment), says);
    await store.create(key, fresh({ n: 0 }));
    loseNext(engine, () => other().move(to, next, increment), says);
    assertEquals(nOf(await store.move(key, to, increment)), 2);
    assertEquals(nOf(await store.read(next)), 3);
    loseNext(engine, async () => assertEquals(await other().delete(next), false), says);
    assertEquals(await store.delete(next), true);
    assertEquals(await store.delete(next), false);
  }
});

Deno.test("entry store: work of another process is not reported as its own", async () => {
  const { engine, store, other } = place();
  const [key, to] = [newId(), newId()];
  await store.create(key, fresh({ n: 0 }));
  engine.around = async () => {
    await other().delete(key);
    throw new Error("connection reset");
  };
  assertEquals(await store.delete(key), false);
  assertEquals(await store.move(key, to, increment), undefined);
  await other().create(to, fresh({ n: 0 }));
  await assertRejects(() => store.create(to, fresh()), KeyTakenError);
});

Deno.test("entry store: a late write is repeated unchanged, and is done once", async () => {
  const { engine, store } = place();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  let late = () => false;
  let runs = 0;
  const counted = (record: SessionRecord) => ({ ...record, data: { n: ++runs } });
  const { around } = engine;
  engine.around = (write) => {
    late = write;
    engine.around = async (write) => {
      assertEquals(late(), true, "the first one arrives just before the second");
      engine.around = around;
      return await around(write, []);
    };
    return Promise.reject(new Error("no answer"));
  };
  assertEquals(nOf(await store.update(key, counted)), 1);
  assertEquals([runs, nOf(await store.read(key))], [1, 1]);
});

Deno.test("entry store: no session is written again after its end", async () => {
  const { engine, store } = place();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  const { around } = engine;
  engine.around = () => {
    engine.around = around;
    clock.pass(60);
    return Promise.reject(new Error("no answer"));
  };
  await assertRejects(() => store.touch(key, clock.time + 120_000), Error, "no answer");
  assertEquals(await store.read(key), undefined);
});

Deno.test("entry store: a move without an answer is finished before it is reported", async () => {
  const { engine, store } = place();
  const [key, to] = [newId(), newId()];
  await store.create(key, fresh({ n: 0 }));
  const looked: string[] = [];
  const get = engine.get.bind(engine);
  engine.get = async (key) => {
    const entry = await get(key);
    await new Promise((resolve) => setTimeout(resolve)); // a step of the engine's
    looked.push(key);
    return entry;
  };
  loseNext(engine, () => Promise.resolve());
  assertEquals(nOf(await store.move(key, to, increment)), 1);
  assertEquals(looked, [key, key, to]);
});

Deno.test("entry store: after eight other writers, a verb fails and says why", async () => {
  const { engine, store, other } = place();
  const increments = async (key: string, writers: number) => {
    for (let n = 0; n < writers; n++) assert(await other().update(key, increment));
  };
  for (const before of [0, 3, 9]) {
    const key = newId();
    await store.create(key, fresh({ n: 0 }));
    await increments(key, before);
    loseNext(engine, () => increments(key, 7));
    assertEquals(nOf(await store.update(key, increment)), before + 1);
    loseNext(engine, () => increments(key, 8));
    await assertRejects(() => store.update(key, increment), Error, "a map: whether a session was changed is unknown");
  }
});

Deno.test("entry store: a refused write is tried again, even under eight old marks", async () => {
  const { engine, store, other } = place();
  const key = newId();
  await other().create(key, fresh({ n: 0 }));
  for (let n = 1; n <= 9; n++) await other().update(key, increment);
  const { around } = engine;
  engine.around = async (write) => {
    engine.around = around;
    await other().update(key, increment);
    return write();
  };
  assertEquals(nOf(await store.update(key, increment)), 11);
});

Deno.test("entry store: after a lost answer, it reads again every 50 milliseconds", async () => {
  const { engine, store } = place();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  let looks = 0;
  engine.around = () => {
    engine.get = () => (looks++, Promise.reject(new Error("away")));
    return Promise.reject(new Error("connection reset"));
  };
  await inSimulatedTime(() => assertRejects(() => store.update(key, increment), Error, "connection reset"));
  assert(looks > 40 && looks <= 51, `${looks} looks`);
});

Deno.test("entry store: after a lost answer and a silent read, it reads once more", async () => {
  for (const isDone of [true, false]) {
    const { engine, store } = place();
    const key = newId();
    await store.create(key, fresh({ n: 0 }));
    const get = engine.get.bind(engine);
    const never = new Promise<never>(() => {});
    let looks = 0;
    engine.around = (write) => {
      if (isDone) write();
      engine.get = (key) => looks++ === 0 ? never : get(key);
      return never;
    };
    const ended = inSimulatedTime(() => store.delete(key));
    // If the write was not done, there is no time left for another try.
    if (isDone) assertEquals(await ended, true);
    else await assertRejects(() => ended, Error, "a map: no answer in 1 seconds");
    assertEquals(looks, 2);
  }
});
