/** Lost requests and answers of RedisStore: it reports what really happened. */
import { assert, assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { Cluster, say, until } from "./redis_engines.ts";
import { fresh, idsOf, scoped, set, type SharedOptions } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("redis");

function test(behaviour: string, fn: () => Promise<void>): void {
  Deno.test({ name: `redis: ${behaviour}`, ignore, fn });
}

const open = (options: SharedOptions) => scoped("redis", options);
const through = (engine: Engine, proxy: LossyProxy) => engine.url.replace(`:${engine.port}`, `:${proxy.port}`);

for (const what of ["request", "answer"] as const) {
  test(`a delete whose ${what} is lost is reported as it was`, async () => {
    await using engine = await Engine.start("redis");
    await using proxy = new LossyProxy(engine.port);
    await using store = await open({ url: through(engine, proxy) });
    await using other = await open({ url: engine.url });
    const id = newId();
    await store.create(id, fresh());
    proxy.loseNext(what, `session:${id}`);
    assertEquals(await store.delete(id), true);
    assertEquals(proxy.lost, 1);
    assertEquals(await other.read(id), undefined);
    assertEquals(await store.delete(id), false);
  });

  test(`a move whose ${what} is lost is reported, and loses no change`, async () => {
    await using engine = await Engine.start("redis");
    await using proxy = new LossyProxy(engine.port);
    await using store = await open({ url: through(engine, proxy) });
    await using other = await open({ url: engine.url });
    const [from, to] = [newId(), newId()];
    await store.create(from, fresh({ n: 1 }));
    await other.update(from, set({ m: 2 }));
    proxy.loseNext(what, `session:over:{session:${from}}`);
    const moved = await store.move(from, to, (record) => ({ ...record, user: "Ada" }));
    assertEquals(proxy.lost, 1);
    assertEquals([moved?.data, moved?.user], [{ n: 1, m: 2 }, "Ada"]);
    assertEquals((await other.read(to))?.data, { n: 1, m: 2 });
    assertEquals(await other.read(from), undefined);
    assertEquals(await idsOf(other.sessionsOf!("Ada")), [to]);
  });

  test(`a create whose ${what} is lost makes the session once`, async () => {
    await using engine = await Engine.start("redis");
    await using proxy = new LossyProxy(engine.port);
    await using store = await open({ url: through(engine, proxy) });
    await store.read(newId());
    const id = newId();
    proxy.loseNext(what, `session:${id}`);
    await store.create(id, fresh({ n: 1 }));
    assertEquals([proxy.lost, (await store.read(id))?.data], [1, { n: 1 }]);
  });
}

test("of a delete whose answer is lost and a move, one succeeds", async () => {
  await using engine = await Engine.start("redis");
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: through(engine, proxy) });
  await using other = await open({ url: engine.url });
  for (let round = 0; round < 20; round++) {
    const [id, to] = [newId(), newId()];
    await store.create(id, fresh());
    proxy.loseNext(round % 2 ? "request" : "answer", `session:over:{session:${id}}`);
    const [isEnded, moved] = await Promise.all([
      store.delete(id),
      new Promise((resolve) => setTimeout(resolve, Math.random() * 6)).then(() => other.move(id, to, (same) => same)),
    ]);
    assertEquals(isEnded, moved === undefined);
    assertEquals([await other.read(id), await other.read(to) !== undefined], [undefined, !isEnded]);
  }
});

test("a change whose answer is lost is made once, and found below others", async () => {
  await using engine = await Engine.start("redis");
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: through(engine, proxy) });
  await using other = await open({ url: engine.url });
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  const increment = (record: SessionRecord) => ({
    ...record,
    data: { ...record.data, n: record.data["n"] as number + 1 },
  });
  for (let n = 1; n <= 20; n++) {
    proxy.loseNext(n % 2 ? "request" : "answer", `"n":${n}`);
    const others = n > 4 ? other.update(key, set({ m: n })) : undefined;
    assertEquals([(await store.update(key, increment))?.data["n"], proxy.lost], [n, n]);
    await others;
  }
  assertEquals((await store.read(key))?.data, { n: 20, m: 20 });
});

test("in a Cluster, a move whose answers are lost is reported as it was", async () => {
  await using cluster = await Cluster.start();
  const name = "npm:@redis/client@6.3.1";
  const { createCluster } = await import(name);
  const client = createCluster({
    rootNodes: cluster.engines.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` })),
    defaults: { password: PASSWORD },
  });
  client.on("error", () => {});
  await client.connect();
  const really = client.eval.bind(client);
  let lost = 0;
  client.eval = async (script: string, options: unknown) => {
    const answer = await really(script, options);
    if (Math.random() < 0.4 && ++lost) throw new Error("Socket closed unexpectedly");
    return answer;
  };
  try {
    const store = await open({ client });
    for (let round = 0; round < 30; round++) {
      const [from, to] = [newId(), newId()];
      await store.create(from, { ...fresh({ n: 1 }), user: "Bob" });
      const moved = await store.move(from, to, set({ m: 2 }));
      assertEquals([moved?.data, await store.read(from)], [{ n: 1, m: 2 }, undefined]);
      assertEquals((await store.read(to))?.data, { n: 1, m: 2 });
      assertEquals(await store.move(from, newId(), set({ m: 3 })), undefined);
      assertEquals(await store.delete(to), true);
    }
    for (let round = 0; round < 30; round++) {
      const [from, to] = [newId(), newId()];
      await store.create(from, { ...fresh(), user: "Bob" });
      const [moved, isEnded] = await Promise.all([store.move(from, to, (record) => record), store.delete(from)]);
      assertEquals([moved === undefined, await store.read(to) === undefined], [isEnded, isEnded]);
      if (!isEnded) await store.delete(to);
    }
    assertEquals([await idsOf(store.list!()), await idsOf(store.sessionsOf!("Bob"))], [[], []]);
    assert(lost > 10);
    await store.close!();
  } finally {
    client.destroy();
  }
});

test("in a Cluster, the replica of a silent master is used while requests come", async () => {
  await using cluster = await Cluster.start(1);
  await using store = await open({ url: cluster.url });
  const keys = Array.from({ length: 20 }, () => newId());
  for (const key of keys) await store.create(key, fresh());
  // Replication is asynchronous. The replica could otherwise lack the last sessions.
  await until("the replica has the sessions", async () => {
    const info = await say(cluster.engines[0]!, "INFO", "replication");
    return /master_repl_offset:(\d+)/.exec(info)?.[1] === /,offset=(\d+)/.exec(info)?.[1];
  });
  await cluster.engines[0]!.freeze();
  // Requests come all the time: a connection to which nothing is sent is known to be silent after two seconds.
  let isOver = false;
  const requests = (async () => {
    while (!isOver) {
      for (const key of keys) store.read(key).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    await until("the sessions of the silent master are found", async () => {
      const reads = await Promise.allSettled(keys.map((key) => store.read(key)));
      return reads.every((read) => read.status === "fulfilled" && read.value !== undefined);
    });
  } finally {
    isOver = true;
    await requests;
    await cluster.engines[0]!.thaw();
  }
});

test("in a Cluster with an unreachable master, the keys of the others are counted", async () => {
  await using cluster = await Cluster.start();
  for (const engine of cluster.engines) await say(engine, "CONFIG", "SET", "cluster-require-full-coverage", "no");
  await cluster.engines[2]!.kill();
  const messages: string[] = [];
  {
    await using store = await open({ url: cluster.url, max: 5000, log: (_, message) => void messages.push(message) });
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => store.create(newId(), fresh())));
    assert(all.some(({ status }) => status === "fulfilled"));
  }
  assert(!messages.includes("The sessions could not be counted"));
  // After the close, the client's timer for its next attempt to connect goes on for a second.
  await new Promise((resolve) => setTimeout(resolve, 1500));
});
