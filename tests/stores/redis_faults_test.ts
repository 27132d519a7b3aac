/** Faults of RedisStore: demoted masters, full memory, forbidden commands, other applications. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { CLOCK_SKEW } from "../../lib/record.ts";
import { StoreFullError } from "../../lib/store.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { Cluster, say, Sentinel, until } from "./redis_engines.ts";
import { fresh, idsOf, scoped, set, type SharedOptions } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("redis");

function test(behaviour: string, fn: () => Promise<void>): void {
  Deno.test({ name: `redis: ${behaviour}`, ignore, fn });
}

const open = (options: SharedOptions) => scoped("redis", options);

/** A client of a program, connected or not. */
async function clientOf(engine: Engine, isConnected = true) {
  const name = "npm:@redis/client@6.3.1";
  const { createClient } = await import(name);
  const client = createClient({ url: engine.url });
  client.on("error", () => {});
  if (isConnected) await client.connect();
  return client;
}

const through = (engine: Engine, proxy: LossyProxy) => engine.url.replace(`:${engine.port}`, `:${proxy.port}`);

test("after its master is demoted, the store looks up the new one immediately", async () => {
  await using one = await Engine.start("redis", ["--masterauth", PASSWORD]);
  const replicaOf = ["--masterauth", PASSWORD, "--replicaof", "127.0.0.1", `${one.port}`];
  await using two = await Engine.start("redis", replicaOf);
  await until("the replica follows", async () => (await say(two, "INFO", "replication")).includes("link_status:up"));
  await using name = new LossyProxy(one.port);
  await using store = await open({ url: through(one, name) });
  const all = [newId(), newId()];
  for (const id of all) await store.create(id, fresh({ n: 1 }));
  await until("both are copied", async () => (await say(two, "DBSIZE")) === "2");
  await say(two, "REPLICAOF", "NO", "ONE");
  await say(one, "REPLICAOF", "127.0.0.1", `${two.port}`);
  name.target = two.port;
  // The connection is still open, and reads work on it.
  assert(await store.read(all[0]!));
  const outcomes = await Promise.allSettled([
    store.delete(all[0]!),
    ...Array.from({ length: 20 }, () => store.update(all[1]!, set({ n: 2 }))),
  ]);
  for (const { status } of outcomes) assertEquals(status, "fulfilled");
  assertEquals(await say(two, "EXISTS", `session:${all[0]}`), "0");
});

test("a replica is not ready, and a server that became one is left", async () => {
  await using one = await Engine.start("redis", ["--masterauth", PASSWORD]);
  await using two = await Engine.start("redis", ["--masterauth", PASSWORD, "--replicaof", "127.0.0.1", `${one.port}`]);
  await until("the replica follows", async () => (await say(two, "INFO", "replication")).includes("link_status:up"));
  await using reader = await open({ url: two.url });
  await assertRejects(() => reader.ready!(), Error, "read only replica");
  await using name = new LossyProxy(one.port);
  await using store = await open({ url: through(one, name) });
  await store.ready!();
  await say(two, "REPLICAOF", "NO", "ONE");
  await say(one, "REPLICAOF", "127.0.0.1", `${two.port}`);
  name.target = two.port;
  await store.ready!();
});

test("with a full Redis visitors can log out, and a refused log-in fails", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url });
  const [ended, moved, used] = [newId(), newId(), newId()];
  for (const id of [ended, moved]) await store.create(id, { ...fresh({ n: 1 }), user: "Ada" });
  await store.create(used, fresh());
  await say(engine, "CONFIG", "SET", "maxmemory", "1");
  await store.ready!();
  await assertRejects(() => store.create(newId(), fresh()), Error, "maxmemory");
  await assertRejects(() => store.update(used, set({ text: "a longer record" })), Error, "maxmemory");
  const to = newId();
  const logOut = await store.move(moved, to, ({ user: _, ...record }) => ({ ...record, data: {} }));
  assertEquals([logOut?.data, await store.read(moved), (await store.read(to))?.user], [{}, undefined, undefined]);
  assertEquals([await store.delete(ended), await store.delete(ended)], [true, false]);
  assertEquals(await store.touch(used, Date.now() + 60_000), true);
});

test("a warning says that Redis may evict live sessions", async () => {
  await using engine = await Engine.start("redis");
  const memory = { "0": false, "100mb": true };
  for (const policy of ["noeviction", "allkeys-lru", "volatile-ttl"]) {
    for (const [most, isLimited] of Object.entries(memory)) {
      await say(engine, "CONFIG", "SET", "maxmemory", most, "maxmemory-policy", policy);
      const logged: string[] = [];
      await using store = await open({ url: engine.url, log: (...line) => logged.push(line.join(" ")) });
      await store.ready!();
      const mayEvict = isLimited && policy !== "noeviction";
      assertEquals(logged.filter((line) => /^warn .*evict/.test(line)).length, mayEvict ? 1 : 0, `${policy} ${most}`);
    }
  }
});

const ALLOWED = "PING GET SET DEL PEXPIRE EVAL TIME ZADD ZREM ZRANGE ZSCAN ZREMRANGEBYSCORE SCAN DBSIZE".split(" ");

test("the documented rights are enough, and a missing one is named", async () => {
  await using engine = await Engine.start("redis");
  const rules = ["resetkeys", "~app:*", "resetchannels", "-@all", ...ALLOWED.map((name) => `+${name}`)];
  await say(engine, "ACL", "SETUSER", "app", "reset", "on", ">pass%word", ...rules);
  const url = `redis://app:pass%25word@127.0.0.1:${engine.port}`;
  {
    await using store = await open({ url, prefix: "app:" });
    await store.ready!();
    const [id, to] = [newId(), newId()];
    await store.create(id, { ...fresh({}, 700_000), user: "Ada" });
    await store.update(id, (record) => ({ ...record, deadline: record.deadline + 60_000 }));
    for (const idle of [1000, 700_000]) assertEquals(await store.touch(id, Date.now() + idle), true);
    assert(await store.move(id, to, (record) => record));
    assertEquals([await idsOf(store.sessionsOf!("Ada")), await idsOf(store.list!())], [[to], [to]]);
    assertEquals(await store.delete(to), true);
  }
  for (const command of ALLOWED) {
    await say(engine, "ACL", "SETUSER", "app", `-${command}`);
    await using store = await open({ url, prefix: "app:" });
    const { message } = await assertRejects(() => store.ready!(), Error, undefined, command);
    assertMatch(message, new RegExp(`must be allowed ([A-Z, ]+, )?${command}(,[A-Z, ]+)? on keys`));
    await say(engine, "ACL", "SETUSER", "app", `+${command}`);
  }
  await using elsewhere = await open({ url, prefix: "other:" });
  await assertRejects(() => elsewhere.ready!(), Error, 'keys that begin with "other:"');
});

for (const kind of ["a server", "a Cluster"]) {
  test(`on ${kind} two applications do not see each other's sessions`, async () => {
    await using place = kind === "a server" ? await Engine.start("redis") : await Cluster.start();
    const { url } = place;
    await using one = await open({ url, prefix: "shop:", max: 3 });
    await using two = await open({ url, prefix: "shop:admin:", max: 3 });
    const both = [one, two] as const;
    const made = both.map(() => [newId(), newId(), newId()]);
    for (const [index, store] of both.entries()) {
      const [first, second, guest] = made[index]! as [string, string, string];
      for (const id of [first, second]) await store.create(id, { ...fresh(), user: "Ada" });
      await store.create(guest, fresh());
      await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
    }
    for (const [index, store] of both.entries()) {
      assertEquals(await idsOf(store.list!()), made[index]!.toSorted());
      assertEquals(await idsOf(store.sessionsOf!("Ada")), made[index]!.slice(0, 2).sort());
      const foreign = made[1 - index]![0]!;
      assertEquals([await store.read(foreign), await store.delete(foreign)], [undefined, false]);
      assertEquals(await store.touch(foreign, Date.now() + 1000), false);
    }
    assertEquals((await idsOf(two.list!())).length, 3);
  });
}

test("other keys take no room, however slow the count is", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url, max: 3 });
  await say(engine, "MSET", "one", "1", "two", "2");
  await store.read(newId());
  // After a slow count, a store that seems full does not count again for a while.
  await say(engine, "CLIENT", "PAUSE", "200");
  for (let n = 0; n < 3; n++) await store.create(newId(), fresh());
  await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
});

test("sessions from a clock that was set back take no room", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url, max: 2 });
  const ahead = 86_400_000;
  for (const id of [newId(), newId()]) {
    const { created, expires, deadline, ...record } = fresh();
    await store.create(id, {
      ...record,
      created: created + ahead,
      expires: expires + ahead,
      deadline: deadline + ahead,
    });
    assertEquals(await store.read(id), undefined);
  }
  assertEquals(await idsOf(store.list!()), []);
  await store.create(newId(), fresh());
});

test("a key in a user's set without a session is no error, and expires", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url });
  const id = newId();
  await store.create(id, { ...fresh(), user: "Ada" });
  const [key = ""] = (await say(engine, "KEYS", "session:user:*")).split("\n");
  await say(engine, "ZADD", key, `${Date.now() + 60_000}`, newId(), `${Date.now() - 100_000}`, newId());
  assertEquals(await idsOf(store.sessionsOf!("Ada")), [id]);
  await store.move(id, newId(), (record) => record);
  assertEquals(await say(engine, "ZCARD", key), "3");
  const left = Number(await say(engine, "PTTL", key));
  assert(left > 590_000 && left < 700_000, `${left}`);
});

test("moved sessions have a time to live, and ended ones go in a minute", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url });
  const [from, to] = [newId(), newId()];
  await store.create(from, fresh());
  assert(await store.move(from, to, (record) => record));
  assert(Number(await say(engine, "PTTL", `session:${to}`)) > 30_000);
  assertEquals(await store.delete(to), true);
  for (const id of [from, to]) {
    const left = Number(await say(engine, "PTTL", `session:over:{session:${id}}`));
    assert(left > 30_000 && left < 120_000, `${left}`);
  }
});

test("corrupt records and those of later versions read as no session", async () => {
  await using engine = await Engine.start("redis");
  const logged: string[] = [];
  await using store = await open({ url: engine.url, log: (level, event) => logged.push(`${level} ${event}`) });
  for (const text of ["", "\n{", '\n{"version":2}']) {
    const isNewer = text.includes("version");
    const id = newId();
    await store.create(id, { ...fresh(), user: "Ada" });
    await say(engine, "SET", `session:${id}`, text && `00000000.00000000001${text}`, "KEEPTTL");
    logged.length = 0;
    assertEquals(await store.read(id), undefined);
    assertEquals(logged.length, isNewer ? 0 : 1);
    assertEquals([await store.update(id, set({})), await store.move(id, newId(), set({}))], [undefined, undefined]);
    assertEquals(await idsOf(store.list!()), []);
    assertEquals(await Array.fromAsync(store.sessionsOf!("Ada")), isNewer ? [[id, undefined]] : []);
    // A corrupt record stays, so that an operator can look at it.
    assertEquals(await store.delete(id), isNewer);
    assertEquals(await say(engine, "EXISTS", `session:${id}`), isNewer ? "0" : "1");
  }
});

test("a session with a later deadline stays in its user's set", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url });
  const id = newId();
  const record = fresh();
  await store.create(id, { ...record, deadline: record.created + 1000, user: "Ada" });
  await store.update(id, (record) => ({ ...record, deadline: record.deadline + 600_000 }));
  const [key = ""] = (await say(engine, "KEYS", "session:user:*")).split("\n");
  assert(Number(await say(engine, "ZSCORE", key, id)) > Date.now() + 590_000);
  assertEquals(await store.delete(id), true);
  assertEquals(await say(engine, "ZCARD", key), "0");
});

test("if the deadline comes first, the idle limit is still stored", async () => {
  await using engine = await Engine.start("redis");
  await using store = await open({ url: engine.url });
  const id = newId();
  const record = { ...fresh({ text: "é" }, 50_000), deadline: Date.now() + 60_000 };
  await store.create(id, record);
  const isNear = (a: number, b: number) => assert(Math.abs(a - b) < 3000, `off by ${a - b} ms, on a busy machine, too`);
  const read = async () => (await store.read(id))!.expires;
  isNear(await read(), record.expires);
  for (const expires of [record.expires + 9000, record.expires + 40_000, record.expires + 50_000]) {
    assertEquals(await store.touch(id, expires), true);
    isNear(await read(), expires);
    const left = Number(await say(engine, "PTTL", `session:${id}`));
    isNear(left, Math.min(expires, record.deadline) - Date.now() + CLOCK_SKEW);
  }
  assertEquals((await store.update(id, set({ n: 1 })))?.expires, record.expires + 50_000);
  assertEquals((await store.read(id))?.data, { text: "é", n: 1 });
});

test("a session's key is in the user's set before the session is stored", async () => {
  await using engine = await Engine.start("redis");
  await using other = await open({ url: engine.url });
  const client = await clientOf(engine);
  const evaluate = client.eval.bind(client);
  const found: (string | undefined)[][] = [];
  client.eval = async (script: string, options: { keys: string[] }) => {
    const answer = await evaluate(script, options);
    const [key = ""] = options.keys;
    const entries = await client.keys("session:user:*");
    found.push([key.slice(0, 13), entries[0]?.slice(0, 13)]);
    return answer;
  };
  const store = await open({ client });
  const [id, to] = [newId(), newId()];
  await store.create(id, { ...fresh(), user: "Ada" });
  assertEquals(found, [["session:user:", "session:user:"], [`session:${id.slice(0, 5)}`, "session:user:"]]);
  found.length = 0;
  await store.move(id, to, (record) => ({ ...record, user: "Bob" }));
  assertEquals(found.map(([key]) => key), ["session:user:", `session:${id.slice(0, 5)}`, "session:user:"]);
  assertEquals([await idsOf(other.sessionsOf!("Ada")), await idsOf(other.sessionsOf!("Bob"))], [[], [to]]);
  client.destroy();
});

test("a client that the program gives is used, and stays open", async () => {
  await using engine = await Engine.start("redis");
  for (const isConnected of [true, false]) {
    const client = await clientOf(engine, isConnected);
    const store = await open({ client, prefix: `${isConnected}:` });
    await store.ready!();
    const id = newId();
    await store.create(id, { ...fresh(), user: "Ada" });
    assertEquals([await idsOf(store.list!()), await idsOf(store.sessionsOf!("Ada"))], [[id], [id]]);
    await store.close!();
    assertEquals(await client.ping(), "PONG");
    client.destroy();
  }
});

test("verbs fail in time while Redis is away, and then work again", async () => {
  await using engine = await Engine.start("redis");
  await engine.kill();
  await using store = await open({ url: engine.url });
  for (let round = 0; round < 2; round++) {
    const id = newId();
    const start = performance.now();
    const outcomes = await Promise.allSettled([
      store.ready!(),
      store.create(id, fresh()),
      store.read(id),
      store.update(id, (record) => record),
      store.touch(id, Date.now() + 1000),
      store.delete(id),
      store.move(id, newId(), (record) => record),
    ]);
    for (const outcome of outcomes) {
      assertEquals(outcome.status, "rejected");
      assertMatch((outcome as PromiseRejectedResult).reason.message, /^Redis at 127\.0\.0\.1:\d+: /);
    }
    assert(performance.now() - start < 4000);
    await engine.up();
    await until("it has loaded", () => store.create(id, fresh()).then(() => true, () => false));
    assert(await store.delete(id));
    await engine.kill();
  }
});

test("after a failover by Sentinel, the store uses the new master", async () => {
  await using sentinel = await Sentinel.start();
  await using store = await open({ url: sentinel.url });
  await store.ready!();
  const id = newId();
  await store.create(id, { ...fresh({ n: 0 }), user: "Ada" });
  const old = await sentinel.master();
  await sentinel.failover();
  await until(
    "it works again",
    () => store.update(id, set({ n: 1 })).then((found) => found !== undefined, () => false),
  );
  assert(await sentinel.master() !== old);
  assertEquals([(await store.read(id))?.data, await idsOf(store.sessionsOf!("Ada"))], [{ n: 1 }, [id]]);
  assertEquals(await store.delete(id), true);
});

test("a Unix socket and the number of a database work", async () => {
  await using engine = await Engine.start("redis", ["--unixsocket", `/tmp/sessions-${crypto.randomUUID()}.sock`]);
  const socket = engine.more[1]!;
  const id = newId();
  {
    await using store = await open({ url: `redis+unix://:${PASSWORD}@localhost${socket}?db=3` });
    await store.create(id, fresh({ n: 3 }));
  }
  for (const [where, n] of [["/3", 3], ["?db=3", 3], ["/4", undefined], ["", undefined]] as const) {
    await using store = await open({ url: engine.url + where });
    assertEquals((await store.read(id))?.data["n"], n);
  }
});
