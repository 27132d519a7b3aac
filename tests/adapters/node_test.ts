/** The node:http adapter, in the real Express and Fastify, and in neither. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, everybody would have to download the frameworks
import { assert, assertEquals } from "@std/assert";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import middie from "npm:@fastify/middie@9.3.6";
import compression from "npm:compression@1.8.1";
import express from "npm:express@5.3.0";
import fastify from "npm:fastify@5.12.8";
import { type NodeSessions, nodeSessions } from "../../lib/adapters/node.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Data, failing, KEY } from "../support/site.ts";
import { Browser } from "../support/server.ts";

const FILE = new URL("../../templates/style.css", import.meta.url).pathname;

function sessionsOf(store = new MemoryStore()) {
  const manager = new SessionManager<Data>({ store, keys: [KEY] });
  return { manager, ...nodeSessions(manager) };
}

type Sessions = NodeSessions<Data> & { manager: SessionManager<Data> };

/** Serves with a handler of each framework, lets a test visit it, and stops. */
async function serving(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  test: (b: Browser) => Promise<void>,
) {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await test(new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function expressProgram({ manager, middleware, open }: Sessions) {
  const app = express();
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  type Any = any;
  app.get("/who", async (req: Any, res: Any) => res.send((await open(req)).user ?? "nobody"));
  app.get("/log-in/send", async (req: Any, res: Any) => {
    (await open(req)).logIn("send");
    res.cookie("own", "1").vary("Accept").send("hello");
  });
  app.get("/log-in/redirect", async (req: Any, res: Any) => {
    (await open(req)).logIn("redirect");
    res.redirect(303, "/who");
  });
  app.get("/log-in/write", async (req: Any, res: Any) => {
    (await open(req)).logIn("write");
    res.writeHead(201, { "content-type": "text/plain", "set-cookie": ["own=1"] });
    res.write("a");
    res.write("b", () => res.end("c"));
  });
  app.get("/log-in/file", async (req: Any, res: Any) => {
    (await open(req)).logIn("file");
    res.sendFile(FILE);
  });
  app.get("/static", (_req: Any, res: Any) => res.sendFile(FILE));
  app.get("/fails", async (req: Any) => {
    (await open(req)).logIn("fails");
    throw new Error("mine");
  });
  app.get("/ended", async (req: Any, res: Any) => {
    (await open(req)).set("n", 1);
    await manager.endAll((await open(req)).user!);
    res.write("stored ");
    res.end("it seems");
  });
  app.use((error: Error, _req: Any, res: Any, _next: Any) => res.status(500).send(`handled ${error.message}`));
  return app;
}

for (const how of ["send", "redirect", "write", "file"]) {
  Deno.test(`express: the cookie leaves with an answer by ${how}`, async () => {
    await serving(expressProgram(sessionsOf()), async (browser) => {
      const response = await browser.request(`/log-in/${how}`);
      const text = await response.text();
      if (how === "file") assertEquals(text, await Deno.readTextFile(FILE));
      if (how === "write") assertEquals([response.status, text], [201, "abc"]);
      if (how === "send") assertEquals(response.headers.get("vary"), "Accept, Cookie");
      assertEquals(browser.cookies.has("own"), how === "send" || how === "write");
      assertEquals(await browser.get("/who"), how);
    });
  });
}

for (const order of ["before", "after"]) {
  Deno.test(`express: with compression ${order} the sessions everything arrives`, async () => {
    const { middleware, open } = sessionsOf();
    const app = express();
    const both = [compression({ threshold: 0 }), middleware];
    for (const one of order === "before" ? both : both.reverse()) app.use(one);
    const big = `${await Deno.makeTempDir()}/big.txt`;
    await Deno.writeTextFile(big, "0123456789".repeat(100_000));
    // deno-lint-ignore no-explicit-any -- Express's types need @types/express
    app.get("/:how", async (req: any, res: any) => {
      (await open(req)).logIn("ada");
      if (req.params.how === "send") res.send("hello ".repeat(1000));
      else res.sendFile(req.params.how === "small" ? FILE : big);
    });
    await serving(app, async (browser) => {
      assertEquals((await browser.get("/send")).length, 6000);
      assertEquals(await browser.get("/small"), await Deno.readTextFile(FILE));
      assertEquals((await browser.get("/big")).length, 1_000_000);
      assertEquals(browser.setCookies.length, 1);
    });
    await Deno.remove(big.replace("/big.txt", ""), { recursive: true });
  });
}

Deno.test("express: a file that opens no session stays cacheable", async () => {
  const store = failing(["read"], new MemoryStore()) as MemoryStore;
  await serving(expressProgram(sessionsOf(store)), async (browser) => {
    await browser.get("/log-in/send");
    const response = await browser.request("/static");
    await response.body?.cancel();
    assertEquals([response.status, response.headers.get("vary")], [200, null]);
    assert(response.headers.get("cache-control")!.includes("max-age"));
  });
});

Deno.test("express: an error reaches its handler, and nothing is stored", async () => {
  await serving(expressProgram(sessionsOf()), async (browser) => {
    assertEquals(await browser.get("/fails"), "handled mine");
    assertEquals([browser.setCookies, await browser.get("/who")], [[], "nobody"]);
  });
});

Deno.test("express: a session that is gone is answered 409, a failing store 503", async () => {
  await serving(expressProgram(sessionsOf()), async (browser) => {
    await browser.get("/log-in/send");
    const response = await browser.request("/ended");
    assertEquals(response.status, 409);
    assert((await response.text()).includes("Nothing was stored"));
  });
  const down = sessionsOf(failing(["create"], new MemoryStore()) as MemoryStore);
  await serving(expressProgram(down), async (browser) => {
    const response = await browser.request("/log-in/write");
    assertEquals([response.status, response.headers.get("retry-after")], [503, "5"]);
    assertEquals(browser.setCookies, []);
    await response.body?.cancel();
  });
});

Deno.test("fastify: the session is kept, the cookie leaves, an error stores nothing", async () => {
  const { middleware, open } = sessionsOf();
  const app = fastify();
  await app.register(middie);
  app.use(middleware);
  app.get("/who", async (request) => (await open(request.raw)).user ?? "nobody");
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

Deno.test("node: a plain server needs no framework", async () => {
  const { middleware, open } = sessionsOf();
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      const session = await open(request);
      session.update("n", (n = 0) => n + 1);
      response.setHeader("cache-control", "private");
      response.end(String(session.get("n")));
    });
  await serving(handler, async (browser) => {
    for (const n of ["1", "2", "3"]) assertEquals(await browser.get("/"), n);
    const response = await browser.request("/");
    assertEquals([await response.text(), response.headers.get("cache-control")], ["4", "private"]);
  });
});
