/** The connection of RedisStore: it is replaced if it is silent, and closed once; a given client's errors are logged. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { Cluster, until } from "./redis_engines.ts";
import { fresh, idsOf, scoped, set, type SharedOptions } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("redis");

function test(behaviour: string, fn: () => Promise<void>): void {
  Deno.test({ name: `redis: ${behaviour}`, ignore, fn });
}

const open = (options: SharedOptions) => scoped("redis", options);
const through = (engine: Engine, proxy: LossyProxy) => engine.url.replace(`:${engine.port}`, `:${proxy.port}`);

/** A connected client; each `get` and `eval` passes the two functions. */
async function hookedClient(engine: Engine) {
  const name = "npm:@redis/client@6.3.1";
  const client = (await import(name)).createClient({ url: engine.url });
  await client.connect();
  const really = { get: client.get.bind(client), eval: client.eval.bind(client) };
  return { client, really };
}

test("a silent connection is replaced after the first failure", async () => {
  await using engine = await Engine.start("redis");
  await using proxy = new LossyProxy(engine.port);
  const logged: unknown[] = [];
  await using store = await open({ url: through(engine, proxy), log: (...line) => logged.push(line) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  proxy.silence();
  await assertRejects(() => store.read(id), Error, "no answer in");
  assertEquals((await store.read(id))?.data, { n: 1 });
  assertEquals(logged, [["error", "The connection to the session store failed", "no answer"]]);
});

test("a connection that falls silent when idle is replaced before the next verb", async () => {
  await using engine = await Engine.start("redis");
  await using proxy = new LossyProxy(engine.port);
  const logged: unknown[] = [];
  await using store = await open({ url: through(engine, proxy), log: (_, ...line) => logged.push(line.join()) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  proxy.silence();
  await until("its silence is logged", () => Promise.resolve(logged.length > 0));
  assertEquals((await store.read(id))?.data, { n: 1 });
  assertEquals(logged.length, 1, logged.join());
});

test("a closed store refuses verbs, and a refused connection is not logged", async () => {
  await using engine = await Engine.start("redis");
  const store = await open({ url: engine.url });
  await store.create(newId(), fresh());
  await store.close!();
  await assertRejects(() => store.read(newId()), Error, "the store was closed");
  await engine.kill();
  const logged: string[] = [];
  await using other = await open({ url: engine.url, log: (_, event) => logged.push(event) });
  await assertRejects(() => other.read(newId()), Error, "Redis at 127.0.0.1");
  assertEquals(logged, []);
});

test("errors of a given client are logged until the store is closed", async () => {
  await using engine = await Engine.start("redis");
  const { client } = await hookedClient(engine);
  const logged: unknown[] = [];
  const store = await open({ client, log: (...line) => logged.push(line) });
  client.emit("error", new Error("Socket closed"));
  assertEquals(logged, [["error", "The connection to the session store failed", "Socket closed"]]);
  await store.close!();
  assertEquals(client.listenerCount("error"), 0);
  client.destroy();
});

test("after an error reply to a given client, nothing is sent again", async () => {
  class ErrorReply extends Error {}
  let evals = 0;
  const client = {
    isOpen: true,
    connect: () => Promise.resolve(),
    get: () => Promise.resolve(null),
    zScan: () => Promise.resolve({ cursor: "0", members: [] }),
    eval: () => (evals++, Promise.reject(new ErrorReply("ERR no such thing"))),
    sendCommand: () => Promise.resolve(0),
    on() {},
    off() {},
  };
  await using store = await open({ client });
  await assertRejects(() => store.create(newId(), fresh()), Error, "ERR no such thing");
  assertEquals(evals, 2);
});

test("a delete that Redis does late, during the next read, is reported", async () => {
  await using engine = await Engine.start("redis");
  const { client, really } = await hookedClient(engine);
  {
    await using store = await open({ client });
    const id = newId();
    await store.create(id, fresh());
    let late: (() => Promise<unknown>) | undefined;
    client.eval = (script: string, options: unknown) => {
      client.eval = really.eval;
      late = () => really.eval(script, options);
      // After this answer of Redis, the command is not sent again.
      return Promise.reject(Object.assign(new (class ErrorReply extends Error {})("ERR late")));
    };
    client.get = async (name: string) => {
      const value = await really.get(name);
      await late?.();
      late = undefined;
      return value;
    };
    assertEquals(await store.delete(id), true);
  }
  client.destroy();
});

test("a user's session is in the user's set, even if adding it failed first", async () => {
  await using engine = await Engine.start("redis");
  const { client, really } = await hookedClient(engine);
  {
    await using store = await open({ client });
    const failNext = () => {
      client.eval = (script: string, options: { keys: string[] }) => {
        if (!options.keys[0]!.startsWith("session:user:")) return really.eval(script, options);
        client.eval = really.eval;
        return Promise.reject(new (class ErrorReply extends Error {})("ERR not now"));
      };
    };
    const [id, to] = [newId(), newId()];
    failNext();
    await store.create(id, { ...fresh(), user: "Ada" });
    assertEquals(await idsOf(store.sessionsOf!("Ada")), [id]);
    failNext();
    assertEquals((await store.update(id, set({ n: 1 })))?.data, { n: 1 });
    failNext();
    assert(await store.move(id, to, (record) => record));
    assertEquals(await idsOf(store.sessionsOf!("Ada")), [to]);
    failNext();
    assertEquals(await store.delete(to), true);
  }
  client.destroy();
});

test("in a Cluster, a moved session lives as long as its record says", async () => {
  await using cluster = await Cluster.start();
  const name = "npm:@redis/client@6.3.1";
  const rootNodes = cluster.engines.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` }));
  const client = (await import(name)).createCluster({ rootNodes, defaults: { password: PASSWORD } });
  await client.connect();
  {
    await using store = await open({ client });
    const [from, to] = [newId(), newId()];
    await store.create(from, fresh({}, 600_000));
    assert(await store.move(from, to, (record) => record));
    assert(await client.pTTL(`session:${to}`) > 500_000);
  }
  client.destroy();
});
