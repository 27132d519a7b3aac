/** The base of stores with compare-and-set: more verbs than the engine has connections. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { fresh, increment, nOf, place } from "./entry_place.ts";

Deno.test("entry store: the deadline of a call does not include the wait for a turn", async () => {
  const { engine, store } = place({ connections: 2 });
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  let running = 0;
  let most = 0;
  const slowly = async <T>(work: () => Promise<T>) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 400));
    running--;
    return await work();
  };
  for (const verb of ["get", "getMany"] as const) {
    const plain = engine[verb].bind(engine) as (input: unknown) => Promise<never>;
    engine[verb] = (input: unknown) => slowly(() => plain(input));
  }
  const { around, list } = engine;
  engine.around = (write, writes) => slowly(() => around(write, writes));
  engine.list = async function* () {
    yield* await slowly(() => Array.fromAsync(list.call(engine)));
  };
  await inSimulatedTime(async () => {
    const read = await Promise.allSettled(Array.from({ length: 20 }, () => store.read(key)));
    // Two verbs run at a time. Those of the seventh pair wait for 2.4 seconds.
    assertEquals(read.map(({ status }) => status), [...Array(14).fill("fulfilled"), ...Array(6).fill("rejected")]);
    const { reason } = read[14] as PromiseRejectedResult;
    assertEquals(reason.message, "a map: no connection was free in 2.5 seconds");
    const keys = [newId(), newId(), newId(), newId()];
    await Promise.all(keys.map((key) => store.create(key, fresh({ n: 0 }, "Ada"))));
    assertEquals((await Promise.all(keys.map((key) => store.update(key, increment)))).map(nOf), [1, 1, 1, 1]);
    await Promise.all(keys.map(() => Array.fromAsync(store.list!())));
    await Promise.all(keys.map(() => store.ready()));
    assertEquals((await Promise.all(keys.map((key) => store.deleteMany!([key])))).flat(), keys);
  });
  assertEquals(most, 2);
});

Deno.test("entry store: a fast engine gets many calls at once, until it becomes slow", async () => {
  const { engine, store } = place({ connections: 2 });
  let [running, most, milliseconds] = [0, 0, 10];
  engine.get = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    running--;
    return undefined;
  };
  const readAll = async (count: number) => {
    most = 0;
    await Promise.all(Array.from({ length: count }, () => store.read(newId())));
    return most;
  };
  await inSimulatedTime(async () => {
    assert(await readAll(200) >= 50);
    milliseconds = 300;
    await readAll(1);
    assertEquals(await readAll(10), 2);
    milliseconds = 10;
    assert(await readAll(200) >= 50);
    // Single calls need no more turns than there are connections.
    for (let n = 0; n < 200; n++) await readAll(1);
    milliseconds = 300;
    assertEquals(await readAll(10), 2);
  });
});

Deno.test("entry store: a verb that waited for its turn has less time to try again", async () => {
  const { engine, store } = place({ connections: 1 });
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  const get = engine.get.bind(engine);
  engine.get = async (key) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return await get(key);
  };
  let writes = 0;
  engine.around = () => (writes++, Promise.reject(new Error("connection reset")));
  for (const [before, tries] of [[0, 2], [5, 1]]) {
    writes = 0;
    await inSimulatedTime(async () => {
      const reads = Array.from({ length: before! }, () => store.read(key));
      await assertRejects(() => store.update(key, increment), Error, "connection reset");
      await Promise.all(reads);
    });
    assertEquals(writes, tries);
  }
});
