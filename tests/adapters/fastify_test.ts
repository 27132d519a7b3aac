/** The node:http adapter in the real Fastify. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, every program would download the frameworks
import { assertEquals } from "@std/assert";
import middie from "npm:@fastify/middie@9.3.6";
import fastify from "npm:fastify@5.12.8";
import { nodeSessions } from "../../lib/adapters/node.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Data, KEY } from "../support/site.ts";
import { Browser } from "../support/server.ts";

const sessionsOf = () => nodeSessions(new SessionManager<Data>({ store: new MemoryStore(), keys: [KEY] }));

Deno.test("fastify: the session is kept, the cookie leaves, an error stores nothing", async () => {
  const { middleware, open } = sessionsOf();
  const app = fastify();
  await app.register(middie);
  app.use(middleware);
  app.get("/who", async (request) => (await open(request.raw)).user ?? "no one");
  app.get("/log-in", async (request, reply) => {
    (await open(request.raw)).logIn("ada");
    return await reply.header("set-cookie", "own=1").code(201).send({ hello: "world" });
  });
  app.get("/fails", async (request) => {
    (await open(request.raw)).logIn("bob");
    throw new Error("mine");
  });
  const origin = await app.listen({ port: 0, host: "127.0.0.1" });
  try {
    const browser = new Browser(origin);
    const response = await browser.request("/log-in");
    assertEquals([response.status, await response.json()], [201, { hello: "world" }]);
    assertEquals([...browser.cookies.keys()].sort(), ["own", "session"]);
    assertEquals(await browser.get("/who"), "ada");
    const failed = await browser.request("/fails");
    assertEquals([failed.status, (await failed.json()).message], [500, "mine"]);
    assertEquals([browser.setCookies, await browser.get("/who")], [[], "ada"]);
  } finally {
    await app.close();
  }
});

Deno.test("fastify: a request by inject is answered, and stored", async () => {
  const { middleware, open } = sessionsOf();
  const app = fastify();
  app.addHook("onRequest", (request, reply, done) => middleware(request.raw, reply.raw, done));
  app.get("/log-in", async (request) => {
    (await open(request.raw)).logIn("ada");
    return "hello";
  });
  app.get("/who", async (request) => (await open(request.raw)).user);
  const { body, headers } = await app.inject("/log-in");
  assertEquals(body, "hello");
  const cookie = String(headers["set-cookie"]).split(";")[0]!;
  assertEquals((await app.inject({ url: "/who", headers: { cookie } })).body, "ada");
});

Deno.test("node: a middleware that is used twice stores one session", async () => {
  const store = new MemoryStore();
  const { middleware, open } = nodeSessions(new SessionManager<Data>({ store, keys: [KEY] }));
  const app = fastify();
  app.addHook("onRequest", (request, reply, done) => middleware(request.raw, reply.raw, done));
  app.addHook("onRequest", async (request) => (await open(request.raw)).logIn("ada"));
  app.addHook("onRequest", (request, reply, done) => middleware(request.raw, reply.raw, done));
  app.get("/", async (request) => (await open(request.raw)).user);
  const { body, headers } = await app.inject("/");
  assertEquals([body, typeof headers["set-cookie"], store.size], ["ada", "string", 1]);
});

Deno.test("node: two managers store two sessions with one answer", async () => {
  const one = nodeSessions(
    new SessionManager<Data>({ store: new MemoryStore(), keys: [KEY], cookie: { name: "one" } }),
  );
  const two = nodeSessions(
    new SessionManager<Data>({ store: new MemoryStore(), keys: [KEY], cookie: { name: "two" } }),
  );
  const app = fastify();
  for (const { middleware } of [one, two]) {
    app.addHook("onRequest", (request, reply, done) => middleware(request.raw, reply.raw, done));
  }
  app.get("/", async (request, reply) => {
    for (const { open } of [one, two]) (await open(request.raw)).logIn("ada");
    reply.send("hello");
    return "again";
  });
  const { body, headers } = await app.inject("/");
  const names = [headers["set-cookie"]].flat().map((line) => line!.split("=")[0]);
  assertEquals([body, names.sort()], ["hello", ["one", "two"]]);
});
