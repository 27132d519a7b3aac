/** Faults of MemcachedStore: lost answers, a silent server, no space, records that are too large. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { RecordTooLargeError } from "../../lib/errors.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { Engine } from "./engines.ts";
import { fresh, scoped, set, type SharedOptions, storeClass } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("memcached");

function test(behaviour: string, fn: () => Promise<void>): void {
  Deno.test({ name: `memcached: ${behaviour}`, ignore, fn });
}

const open = (options: SharedOptions) => scoped("memcached", options);

async function connectionTo(engine: Engine) {
  const { MemcachedConnection } = await import("../../lib/stores/memcached/connection.ts");
  return new MemcachedConnection({ host: "127.0.0.1", port: engine.port });
}

const through = (proxy: LossyProxy) => `memcached://127.0.0.1:${proxy.port}`;

for (const what of ["request", "answer"] as const) {
  test(`a delete or a move whose ${what} is lost is done once`, async () => {
    await using engine = await Engine.start("memcached");
    await using proxy = new LossyProxy(engine.port);
    await using store = await open({ url: through(proxy) });
    await using other = await open({ url: engine.url });
    const [ended, from, to] = [newId(), newId(), newId()];
    for (const id of [ended, from]) await store.create(id, fresh({ n: 1 }));
    proxy.loseNext(what, `cas session:${ended}`);
    assertEquals([await store.delete(ended), await store.delete(ended)], [true, false]);
    proxy.loseNext(what, `cas session:${from}`);
    assertEquals((await store.move(from, to, set({ m: 2 })))?.data, { n: 1, m: 2 });
    assertEquals(proxy.lost, 2);
    for (const id of [ended, from]) assertEquals(await other.read(id), undefined);
    assertEquals((await other.read(to))?.data, { n: 1, m: 2 });
  });
}

test("of a delete whose answer is lost and a move, one succeeds", async () => {
  await using engine = await Engine.start("memcached");
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: through(proxy) });
  await using other = await open({ url: engine.url });
  for (let round = 0; round < 20; round++) {
    const [id, to] = [newId(), newId()];
    await store.create(id, fresh());
    proxy.loseNext(round % 2 ? "request" : "answer", `cas session:${id}`);
    const [isEnded, moved] = await Promise.all([
      store.delete(id),
      new Promise((resolve) => setTimeout(resolve, Math.random() * 6)).then(() => other.move(id, to, (same) => same)),
    ]);
    assertEquals(isEnded, moved === undefined);
    assertEquals([await other.read(id), await other.read(to) !== undefined], [undefined, !isEnded]);
  }
});

test("a move of a session that ends in between makes no session", async () => {
  await using engine = await Engine.start("memcached");
  await using store = await open({ url: engine.url });
  await using other = await open({ url: engine.url });
  for (let round = 0; round < 50; round++) {
    const [from, to] = [newId(), newId()];
    await store.create(from, fresh());
    const [moved, isEnded] = await Promise.all([store.move(from, to, (record) => record), other.delete(from)]);
    assertEquals([moved === undefined, await other.read(to) === undefined], [isEnded, isEnded]);
    assertEquals(await other.read(from), undefined);
  }
});

test("a change whose answer is lost is made once, and reported as made", async () => {
  await using engine = await Engine.start("memcached");
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: through(proxy) });
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  for (let n = 1; n <= 4; n++) {
    proxy.loseNext(n % 2 ? "request" : "answer", `"n":${n}`);
    const record = await store.update(key, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }));
    assertEquals([record?.data, proxy.lost], [{ n }, n]);
  }
  assertEquals((await store.read(key))?.data, { n: 4 });
});

test("visitors can log out if memcached has no space", async () => {
  await using engine = await Engine.start("memcached", ["-M", "-m", "8"]);
  await using store = await open({ url: engine.url });
  const ids: string[] = [];
  const text = "x".repeat(100_000);
  const { message } = await assertRejects(async () => {
    while (ids.length < 1000) {
      const id = newId();
      await store.create(id, fresh({ text }));
      ids.push(id);
    }
  }, Error);
  assertMatch(message, /out of memory/);
  // Memcached has separate space for each size of value. The space for small values must be full, too.
  const client = await connectionTo(engine);
  const small = Array.from(
    { length: 30_000 },
    () => client.store("add", `session:${newId()}`, "x".repeat(12), { lifetime: 0 }),
  );
  assert((await Promise.allSettled(small)).some(({ status }) => status === "rejected"));
  client.close();
  for (const id of ids) {
    assertEquals([await store.delete(id), await store.delete(id), await store.read(id)], [true, false, undefined]);
  }
  await store.create(newId(), fresh({ text }));
});

test("a record above memcached's limit throws a RecordTooLargeError", async () => {
  await using engine = await Engine.start("memcached", ["-I", "128k", "-o", "slab_chunk_max=64"]);
  await using store = await open({ url: engine.url });
  await assertRejects(() => store.create(newId(), fresh({ text: "x".repeat(200_000) })), RecordTooLargeError);
  await assertRejects(() => store.create(newId(), fresh({ text: "x".repeat(2_000_000) })), RecordTooLargeError);
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  await assertRejects(() => store.update(id, set({ text: "x".repeat(200_000) })), RecordTooLargeError);
  await assertRejects(() => store.move(id, newId(), set({ text: "x".repeat(200_000) })), RecordTooLargeError);
  assertEquals((await store.read(id))?.data, { n: 1 });
});

test("verbs fail in time if memcached is silent or away, and then recover", async () => {
  await using engine = await Engine.start("memcached");
  await using store = await open({ url: engine.url });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  await engine.freeze();
  const start = performance.now();
  for (const outcome of await Promise.allSettled([store.read(id), store.delete(newId()), store.ready!()])) {
    assertEquals(outcome.status, "rejected");
  }
  assert(performance.now() - start < 4000);
  await engine.thaw();
  assertEquals((await store.read(id))?.data, { n: 1 });
  await engine.kill();
  await assertRejects(() => store.read(id), Error, "memcached at 127.0.0.1");
  await engine.up();
  assertEquals(await store.read(id), undefined);
});

test("a connection that falls silent is replaced, although more requests come", async () => {
  await using engine = await Engine.start("memcached");
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: through(proxy) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  proxy.silence();
  const reads = [];
  for (let n = 0; n < 30; n++) {
    reads.push(store.read(id).then(() => "answered", () => "failed"));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals((await Promise.all(reads)).slice(20), Array(10).fill("answered"));
});

test("a client that the program gives is used, and stays open", async () => {
  await using engine = await Engine.start("memcached");
  const client = await connectionTo(engine);
  const store = await open({ client });
  const [id, to] = [newId(), newId()];
  await store.create(id, fresh({ n: 1 }));
  assert(await store.move(id, to, set({ n: 2 })));
  assertEquals([await store.delete(to), await store.delete(to)], [true, false]);
  await store.close!();
  assertEquals(await client.gets("session:nothing"), undefined);
  client.close();
});

test("two applications, over IPv6 or a socket, do not see each other", async () => {
  await using engine = await Engine.start("memcached", ["-l", "::1"]);
  await using one = await open({ url: `memcached://[::1]:${engine.port}`, prefix: "one:" });
  await using two = await open({ url: engine.url, prefix: "two:" });
  const id = newId();
  await one.create(id, fresh());
  assertEquals([await two.read(id), await two.delete(id)], [undefined, false]);
  assert(await one.read(id));
  const socket = `/tmp/sessions-${crypto.randomUUID()}.sock`;
  const local = new Deno.Command("memcached", { args: ["-s", socket, "-u", "root"] }).spawn();
  try {
    await using store = await open({ url: `memcached+unix://${socket}` });
    for (let tries = 0; tries < 100 && !await store.ready!().then(() => true, () => false); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await store.create(id, fresh());
    assert(await store.read(id));
  } finally {
    local.kill("SIGKILL");
    await local.status;
    await Deno.remove(socket).catch(() => {});
  }
});

test("parts of an address that have no effect are refused", async () => {
  const Store = await storeClass("memcached");
  for (
    const [url, message] of [
      ["localhost:11211", /must be like memcached:\/\/host:11211/],
      ["memcached://user:secret@localhost", /user name or a password/],
      ["memcached://localhost/1", /no use for a path: received "\/1"/],
      ["memcached://localhost?timeout=1", /"timeout"/],
      ["memcached:///", /must name a host/],
      ["memcached+unix://host/path", /socket must be like/],
      ["memcached://localhost:99999", /the port must be a whole number from 1 to 65535/],
      ["memcached://localhost:0", /the port must be a whole number from 1 to 65535/],
    ] as const
  ) {
    const error = assertThrows(() => new Store({ url }), TypeError);
    assertMatch(error.message, message);
    assert(!error.message.includes("secret"));
  }
  const url = "memcached://localhost";
  assertThrows(() => new Store({ url, prefix: "a b" }), TypeError, "prefix");
  assertThrows(() => new Store({ url, max: 5 }), TypeError, "cannot count");
  assertThrows(() => new Store({ url, ...{ prefx: "a" } }), TypeError, 'no option "prefx"');
  assertThrows(() => new Store({}), TypeError, '"url" and "client"');
  // A client of the package memjs.
  for (const client of [{ get() {}, set() {}, delete() {} }, {}, url, null]) {
    assertThrows(() => new Store({ client }), TypeError, '"memcache-client"');
  }
});
