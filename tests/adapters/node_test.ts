/** The node:http adapter, in the real Express and in no framework. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, every program would download the frameworks
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import compression from "npm:compression@1.8.1";
import express from "npm:express@5.3.0";
import { nodeSessions } from "../../lib/adapters/node.ts";
import { SessionGoneError } from "../../lib/errors.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { cookieFor } from "../../lib/testing.ts";
import { BOUND, type Data, failing, KEY } from "../support/site.ts";
import { serving, type Sessions, sessionsOf } from "./node_place.ts";

const FILE = new URL("../../templates/style.css", import.meta.url).pathname;

function expressProgram({ manager, middleware, open }: Sessions) {
  const app = express();
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  type Any = any;
  app.get("/who", async (req: Any, res: Any) => res.send((await open(req)).user ?? "no one"));
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
    assertEquals([browser.setCookies, await browser.get("/who")], [[], "no one"]);
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

Deno.test("express: a failing open is answered 503, with any error handler", async () => {
  const manager = new SessionManager<Data>({ store: failing(["read"], new MemoryStore()), keys: [KEY] });
  const { middleware, open } = nodeSessions(manager);
  const app = express();
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  type Any = any;
  app.get("/caught", async (req: Any, res: Any) => {
    await open(req).catch(() => {});
    res.send("a page without a session");
  });
  app.get("/", async (req: Any, res: Any) => res.send((await open(req)).user));
  app.use((_error: Error, { query }: Any, res: Any, _next: Any) => {
    if (query.later) res.set("retry-after", query.later);
    res.status(Number(query.status)).send("handled");
  });
  const cookie = await cookieFor(sessionsOf().manager, { n: 1 });
  await serving(app, async ({ origin }) => {
    const ask = async (path: string) => {
      const response = await fetch(origin + path, { headers: { cookie } });
      return [response.status, await response.text(), response.headers.get("retry-after")];
    };
    const [status, text, retryAfter] = await ask("/?status=500");
    assertEquals([status, retryAfter], [503, "5"]);
    assert(String(text).includes("cannot be reached"));
    // The program's own error page stays.
    assertEquals(await ask("/?status=503"), [503, "handled", "5"]);
    assertEquals(await ask("/?status=503&later=60"), [503, "handled", "60"]);
    assertEquals(await ask("/caught"), [200, "a page without a session", null]);
  });
});

Deno.test("express: an error's answer drops the headers that describe the replaced answer", async () => {
  const { middleware, open } = sessionsOf(failing(["create"], new MemoryStore()) as MemoryStore);
  const app = express();
  app.use(middleware);
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/", async (req: any, res: any) => {
    (await open(req)).logIn("ada");
    res.set({ "access-control-allow-origin": "*", "content-security-policy": "default-src 'self'" });
    res.set({ "content-language": "en", "accept-ranges": "bytes" }).cookie("own", "1").location("/somewhere");
    res.json({ user: "ada" });
  });
  await serving(app, async (browser) => {
    const { status, headers, body } = await browser.request("/");
    await body?.cancel();
    const gone = ["content-language", "accept-ranges", "set-cookie", "location", "etag"];
    assertEquals([status, gone.filter((name) => headers.has(name))], [503, []]);
    const kept = ["content-type", "access-control-allow-origin", "content-security-policy"];
    assertEquals(kept.map((name) => headers.get(name)), ["text/plain; charset=utf-8", "*", "default-src 'self'"]);
  });
});

Deno.test("node: no shared cache may keep an answer with the session's cookie", async () => {
  const { middleware, open } = sessionsOf();
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      const headers = { "Cache-Control": "public, max-age=600", "CDN-Cache-Control": "max-age=600" };
      if (request.url === "/set") {
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      }
      if (request.url === "/head") response.writeHead(200, headers);
      response.end("hello");
    });
  await serving(handler, async (browser) => {
    for (const path of ["/set", "/head"]) {
      const { headers, body } = await browser.request(path);
      await body?.cancel();
      assertEquals(headers.get("cache-control"), "private, max-age=600");
      assertEquals(headers.get("cdn-cache-control"), "no-store");
    }
  });
});

Deno.test("node: a second end does nothing, before the answer leaves and after", async () => {
  const { middleware, open } = sessionsOf();
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      response.end("hello");
      assertEquals([response.headersSent, response.writableEnded], [true, true]);
      response.end("again");
      await new Promise<void>((resolve) => response.end("and again", resolve));
      response.end("and again");
    });
  await serving(handler, async (browser) => assertEquals(await browser.get("/"), "hello"));
});

Deno.test("node: an argument that Node refuses throws at the call, and the answer goes on", async () => {
  const { middleware, open } = sessionsOf();
  const refused: unknown[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      const wrong: (() => unknown)[] = [
        () => response.end("x", "nope" as "utf8"),
        () => response.write("x", "nope" as "utf8"),
        () => response.write(null),
        () => response.end(123),
        () => response.writeHead(42),
        () => response.writeHead(200, "two\nlines"),
      ];
      for (const call of wrong) {
        try {
          call();
        } catch (error) {
          refused.push((error as { code: string }).code);
        }
      }
      response.end("hello");
    });
  await serving(handler, async (browser) => {
    assertEquals(await browser.get("/"), "hello");
    assertEquals(refused.slice(0, 4), [
      "ERR_UNKNOWN_ENCODING",
      "ERR_UNKNOWN_ENCODING",
      "ERR_STREAM_NULL_VALUES",
      "ERR_INVALID_ARG_TYPE",
    ]);
    assertEquals(refused.length, 6);
    assertEquals(browser.setCookies.length, 1);
  });
});

Deno.test("node: an error of the library is answered if nothing else catches it", async () => {
  const { manager, middleware, open } = sessionsOf(failing(["read"], new MemoryStore()) as MemoryStore);
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      response.setHeader("x-own", "1");
      const session = await open(request);
      session.logIn("ada");
      if (request.url === "/mine") throw new SessionGoneError("mine");
      response.end("hello");
    });
  const cookie = await cookieFor(manager, { n: 1 });
  await serving(handler, async (browser) => {
    const failed = await fetch(browser.origin, { headers: { cookie } });
    assertEquals([failed.status, failed.headers.get("retry-after"), failed.headers.get("x-own")], [503, "5", "1"]);
    await failed.body?.cancel();
    const mine = await browser.request("/mine");
    assertEquals([mine.status, browser.setCookies], [409, []]);
    assert((await mine.text()).includes("Nothing was stored"));
  });
});

Deno.test("node: a log-in asks to bind the session, and the library answers below its path", async () => {
  const { middleware, open } = nodeSessions(new SessionManager<Data>(BOUND));
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      response.end("hello");
    });
  await serving(handler, async (browser) => {
    const response = await browser.request("/");
    await response.body?.cancel();
    assert(response.headers.get("secure-session-registration")!.includes('path="/bound/register"'));
    const refused = await browser.request("/bound/refresh", { method: "POST" });
    assertEquals([refused.status, await refused.text()], [400, ""]);
  });
});

Deno.test("express: below a path, a bound session has the addresses that the browser sees", async () => {
  const manager = new SessionManager<Data>({ ...BOUND, bound: { path: "/app/bound" } });
  const app = express();
  app.use("/app", nodeSessions(manager).middleware);
  await serving(app, async (browser) => {
    const refused = await browser.request("/app/bound/refresh", { method: "POST" });
    assertEquals([refused.status, await refused.text()], [400, ""]);
  });
});

Deno.test("node: an end of an earlier middleware may call write or end again", async () => {
  for (const method of ["write", "end"] as const) {
    const failingStore = failing(["create"], new MemoryStore()) as MemoryStore;
    for (const [store, answer] of [[new MemoryStore(), /^hello!$/], [failingStore, /Please try again/]] as const) {
      const { middleware, open } = sessionsOf(store);
      const handler = (request: IncomingMessage, response: ServerResponse) => {
        const { end } = response;
        let isCalled = false;
        response.end = (...args: unknown[]) => {
          if (isCalled || args.length === 0) return Reflect.apply(end, response, args);
          isCalled = true;
          response[method](`${args[0]}!`);
          return response.end();
        };
        middleware(request, response, async () => {
          (await open(request)).logIn("ada");
          response.end("hello");
        });
      };
      await serving(handler, async (browser) => assertMatch(await browser.get("/"), answer));
    }
  }
});

Deno.test("node: the error of an open without an HTTP answer says what to do", async () => {
  const { middleware, open } = sessionsOf();
  const request = { headers: {} } as IncomingMessage;
  // The object with which Socket.IO calls a middleware for a WebSocket.
  middleware(request, { setHeader() {}, write() {}, end() {} } as unknown as ServerResponse, () => {});
  await assertRejects(() => open(request), Error, "sessions.open");
  assertThrows(() => open({} as IncomingMessage), Error, "request.raw");
});

Deno.test("express: compression that comes after the session was opened loses nothing", async () => {
  const { middleware, open } = sessionsOf();
  const app = express();
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.use(middleware, async (req: any, _res: any, next: any) => {
    (await open(req)).logIn("ada");
    next();
  });
  app.use(compression({ threshold: 0 }));
  // deno-lint-ignore no-explicit-any
  app.get("/", (_req: any, res: any) => res.send("hello ".repeat(100_000)));
  await serving(app, async (browser) => {
    assertEquals((await browser.get("/")).length, 600_000);
    assertEquals(browser.setCookies.length, 1);
  });
});

Deno.test("express: a big file whose answer is replaced is closed", async () => {
  const { middleware, open } = sessionsOf(failing(["create"], new MemoryStore()) as MemoryStore);
  const big = await Deno.makeTempFile();
  await Deno.writeFile(big, new Uint8Array(3_000_000));
  const app = express();
  app.use(middleware);
  const settled = Promise.withResolvers<unknown>();
  const drained = Promise.withResolvers<void>();
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/:how", async (req: any, res: any) => {
    (await open(req)).logIn("ada");
    if (req.params.how === "file") return res.sendFile(big);
    if (req.params.how === "drain") {
      if (!res.write(new Uint8Array(3_000_000))) await new Promise((resolve) => res.once("drain", resolve));
      res.end();
      return drained.resolve();
    } else {pipeline(Readable.from([new Uint8Array(3_000_000), new Uint8Array(1)]), res).then(
        settled.resolve,
        settled.resolve,
      );}
  });
  await serving(app, async (browser) => {
    for (const path of ["/file", "/pipeline", "/drain"]) {
      const response = await browser.request(path);
      await response.body?.cancel();
      assertEquals(response.status, 503);
    }
    await Promise.all([settled.promise, drained.promise]);
  });
  await Deno.remove(big);
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
