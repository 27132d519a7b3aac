/** A program's own answers for 409 and 503, with each adapter. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, every program would download the frameworks
import { Application, type Context as OakContext } from "npm:@oakserver/oak@14.1.0";
import { assertEquals, assertThrows } from "@std/assert";
import type { IncomingMessage, ServerResponse } from "node:http";
import express from "npm:express@5.3.0";
import fastify from "npm:fastify@5.12.8";
import { type Context, Hono } from "npm:hono@4.13.19";
import { compress } from "npm:hono@4.13.19/compress";
import { honoSessions } from "../../lib/adapters/hono.ts";
import { nodeSessions } from "../../lib/adapters/node.ts";
import { oakSessions } from "../../lib/adapters/oak.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { cookieFor } from "../../lib/testing.ts";
import { replacing } from "../support/failing.ts";
import { type Data, failing, KEY } from "../support/site.ts";
import { Browser } from "../support/server.ts";
import { serving } from "./node_place.ts";

/** A manager whose store makes no session after `fail` was called. */
function failingLater() {
  let isDown = false;
  class Store extends MemoryStore {
    override create(key: string, record: SessionRecord) {
      return isDown ? Promise.reject(new Error("the disk is on fire")) : super.create(key, record);
    }
  }
  return { manager: new SessionManager<Data>({ store: new Store(), keys: [KEY] }), fail: () => void (isDown = true) };
}

const page = (status: number, text: string) =>
  new Response(`<p>${text}`, { status, headers: { "content-type": "text/html", "x-own": "yes" } });

/** Visits a program: a log-in, a request whose session ends before its answer, and one while the store fails. */
async function visit(browser: Browser, fail: () => void) {
  await browser.get("/log-in");
  const seen: unknown[] = [];
  for (const path of ["/ended", "/log-in"]) {
    const response = await browser.request(path);
    const names = ["content-type", "x-own", "x-program", "retry-after"];
    seen.push([response.status, await response.text(), ...names.map((name) => response.headers.get(name))]);
    fail();
  }
  assertEquals(seen, [
    [409, "<p>/ended: gone", "text/html", "yes", "kept", null],
    [503, "<p>/log-in: SessionStoreError", "text/html", "yes", "kept", null],
  ]);
}

Deno.test("hono: a program can make its own answers for 409 and 503", async () => {
  const { manager, fail } = failingLater();
  const { middleware, open } = honoSessions(manager, {
    gone: (c: Context) => page(409, `${c.req.path}: gone`),
    unavailable: (c, error) => Promise.resolve(page(503, `${c.req.path}: ${error.name}`)),
  });
  const app = new Hono();
  app.use(middleware);
  app.get("/:act", async (c) => {
    c.header("x-program", "kept");
    (await open(c)).logIn("ada");
    if (c.req.path === "/ended") await manager.endAll("ada");
    return c.text("");
  });
  await visit(new Browser("http://localhost", async (request) => await app.request(request)), fail);
});

Deno.test("hono: an own answer that its context makes has no header of the withheld one", async () => {
  const { manager } = failingLater();
  const { middleware, open } = honoSessions(manager, { gone: (c: Context) => c.html("<p>try again", 409) });
  const app = new Hono();
  app.use(middleware, compress({ threshold: 0 }));
  app.get("/", async (c) => {
    (await open(c)).logIn("ada");
    await manager.endAll("ada");
    c.header("set-cookie", "own=1");
    c.header("x-program", "kept");
    return c.text("secret");
  });
  const cookie = await cookieFor(manager, {}, { user: "ada" });
  const response = await app.request("/", { headers: { cookie, "accept-encoding": "gzip" } });
  assertEquals([response.status, await response.text()], [409, "<p>try again"]);
  const names = ["content-encoding", "set-cookie", "x-program", "content-type"];
  assertEquals(names.map((name) => response.headers.get(name)), [null, null, "kept", "text/html; charset=UTF-8"]);
});

Deno.test("express: a program can make its own answers for 409 and 503", async () => {
  const { manager, fail } = failingLater();
  const { middleware, open } = nodeSessions(manager, {
    gone: ({ url }) => page(409, `${url}: gone`),
    unavailable: ({ url }, error) => Promise.resolve(page(503, `${url}: ${error.name}`)),
  });
  const app = express();
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/:act", async (request: any, response: any) => {
    response.set("x-program", "kept");
    (await open(request)).logIn("ada");
    if (request.path === "/ended") await manager.endAll("ada");
    response.send("");
  });
  await serving(app, (browser) => visit(browser, fail));
});

Deno.test("oak: a program can make its own answers for 409 and 503", async () => {
  const { manager, fail } = failingLater();
  const { middleware, open } = oakSessions(manager, {
    gone: ({ request }: OakContext) => page(409, `${request.url.pathname}: gone`),
    unavailable: ({ request }, error) => Promise.resolve(page(503, `${request.url.pathname}: ${error.name}`)),
  });
  const app = new Application({ logErrors: false });
  app.use(middleware);
  app.use(async (context) => {
    context.response.headers.set("x-program", "kept");
    (await open(context)).logIn("ada");
    if (context.request.url.pathname === "/ended") await manager.endAll("ada");
    context.response.body = "";
  });
  const send = async (request: Request) => await app.handle(request as never) as unknown as Response;
  await visit(new Browser("http://localhost", send), fail);
});

Deno.test("express: an answer of its own that throws becomes a 500, and ends nothing", async () => {
  const { manager } = failingLater();
  const { middleware, open } = nodeSessions(manager, { gone: () => Promise.reject(new Error("mine")) });
  const app = express();
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/", async (request: any, response: any) => {
    (await open(request)).set("n", 1);
    await manager.endAll("ada");
    response.send("");
  });
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/log-in", async (request: any, response: any) => {
    (await open(request)).logIn("ada");
    response.send("");
  });
  await serving(app, async (browser) => {
    await browser.get("/log-in");
    const response = await browser.request("/");
    assertEquals([response.status, await response.text()], [500, "Internal Server Error\n"]);
    assertEquals(await browser.get("/log-in"), "");
  });
});

Deno.test("adapters: the same answer can be given twice, and have any bytes", async () => {
  const store = failing(["create"], new MemoryStore());
  const manager = new SessionManager<Data>({ store, keys: [KEY], log: () => {} });
  const bytes = new Uint8Array([0xff, 0x00, 0xfe]);
  const answer = new Response(bytes, { status: 503 });
  const options = { unavailable: () => answer };
  const twice = async (browser: Browser) => {
    for (let i = 0; i < 2; i++) {
      const response = await browser.request("/");
      assertEquals([response.status, await response.bytes()], [503, bytes]);
    }
  };
  const wrapped = manager.wrap(async (_request, open) => {
    (await open()).logIn("ada");
    return new Response();
  }, options);
  await twice(new Browser("http://localhost", wrapped));

  const hono = honoSessions(manager, options);
  const app = new Hono().use(hono.middleware).get("/", async (c) => {
    (await hono.open(c)).logIn("ada");
    return c.text("");
  });
  await twice(new Browser("http://localhost", async (request) => await app.request(request)));

  const oak = oakSessions(manager, options);
  const application = new Application({ logErrors: false });
  application.use(oak.middleware, async (context) => (await oak.open(context)).logIn("ada"));
  const send = async (request: Request) => await application.handle(request as never) as unknown as Response;
  await twice(new Browser("http://localhost", send));

  const node = nodeSessions(manager, options);
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    node.middleware(request, response, async () => {
      (await node.open(request)).logIn("ada");
      response.end();
    });
  await serving(handler, twice);
});

Deno.test("node: an answer of its own that cannot be sent ends no process", async () => {
  const store = failing(["create", "read"], new MemoryStore());
  const manager = new SessionManager<Data>({ store, keys: [KEY], log: () => {} });
  const broken = () =>
    ReadableStream.from((async function* () {
      yield await Promise.reject(new Error("mine"));
    })());
  const answers = [() => "no Response" as unknown as Response, () => Response.error(), () => new Response(broken())];
  let answer = answers[0]!;
  const { middleware, open } = nodeSessions(manager, { unavailable: () => answer() });
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      response.end();
    });
  const signed = await cookieFor(new SessionManager({ store: new MemoryStore(), keys: [KEY] }), { n: 1 });
  const seen: unknown[] = [];
  await replacing(console, "error", () => () => {}, async () => {
    await serving(handler, async (browser) => {
      for (answer of answers) {
        // With a cookie the session cannot be opened, without one it cannot be stored.
        for (const cookie of ["", signed]) {
          const response = await browser.request("/", { headers: { cookie } });
          await response.body?.cancel();
          seen.push(response.status);
        }
      }
    });
  });
  assertEquals(seen, Array(6).fill(500));
});

Deno.test("express, fastify: the own answer replaces that of the framework to a failed open", async () => {
  const manager = new SessionManager<Data>({ store: failing(["read"], new MemoryStore()), keys: [KEY] });
  const { middleware, open } = nodeSessions(manager, { unavailable: ({ url }) => page(503, `${url}: try again`) });
  const app = express();
  app.set("env", "test"); // Express does not log the error
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/", async (request: any, response: any) => response.send((await open(request)).user));
  const other = fastify();
  other.addHook("onRequest", (request, reply, done) => middleware(request.raw, reply.raw, done));
  other.get("/", async (request) => (await open(request.raw)).user);
  const headers = { cookie: await cookieFor(new SessionManager({ store: new MemoryStore(), keys: [KEY] }), { n: 1 }) };
  await serving(app, async (browser) => {
    const response = await browser.request("/", { headers });
    assertEquals([response.status, await response.text()], [503, "<p>/: try again"]);
  });
  const { statusCode, body } = await other.inject({ url: "/", headers });
  assertEquals([statusCode, body], [503, "<p>/: try again"]);
});

Deno.test("node: an own answer to an error that no one catches is made once, and kept", async () => {
  const manager = new SessionManager<Data>({ store: failing(["read"], new MemoryStore()), keys: [KEY] });
  let calls = 0;
  const { middleware, open } = nodeSessions(manager, {
    unavailable: () => new Response(`${++calls}`, { status: 500 }),
  });
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, () => open(request) as unknown as void);
  const cookie = await cookieFor(new SessionManager({ store: new MemoryStore(), keys: [KEY] }), { n: 1 });
  await serving(handler, async (browser) => {
    const response = await browser.request("/", { headers: { cookie } });
    assertEquals([response.status, await response.text()], [500, "1"]);
  });
});

Deno.test("adapters: an unknown option is refused by name", () => {
  const { manager } = failingLater();
  for (const adapter of [honoSessions, nodeSessions, oakSessions] as ((...args: unknown[]) => unknown)[]) {
    assertThrows(() => adapter(manager, { gon: () => {} }), TypeError, 'there is no option "gon"');
    assertThrows(() => adapter(manager, { gone: 409 }), TypeError, '"gone" must be a function');
  }
});
