/** The Oak adapter, in the real Oak. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, every program would download the frameworks
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Application } from "npm:@oakserver/oak@14.1.0";
import { oakSessions } from "../../lib/adapters/oak.ts";
import { SessionGoneError } from "../../lib/errors.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { cookieFor } from "../../lib/testing.ts";
import { BOUND, type Data, failing, KEY } from "../support/site.ts";
import { Browser } from "../support/server.ts";

/** The answer of an application to a request. */
const handled = async (app: Application, path: string, init: RequestInit = {}) =>
  await app.handle(new Request(`http://localhost${path}`, init) as never) as unknown as Response;

function program(store = new MemoryStore()) {
  const manager = new SessionManager<Data>({ store, keys: [KEY] });
  const { middleware, open } = oakSessions(manager);
  const app = new Application({ logErrors: false });
  app.use(middleware);
  app.use(async (context) => {
    const { pathname } = context.request.url;
    await context.cookies.set("own", "1");
    if (pathname === "/log-in") (await open(context)).logIn("ada");
    if (pathname === "/fails") {
      (await open(context)).logIn("bob");
      throw new Error("mine");
    }
    if (pathname === "/ended") {
      (await open(context)).set("n", 1);
      await manager.endAll("ada");
    }
    if (pathname === "/mine") {
      (await open(context)).logIn("mine");
      throw new SessionGoneError("mine");
    }
    if (pathname === "/zipped") {
      (await open(context)).logIn("ada");
      const { headers } = context.response;
      headers.set("access-control-allow-origin", "*");
      headers.set("content-encoding", "gzip");
      headers.set("etag", '"1"');
      headers.set("cache-control", "public, s-maxage=600");
      context.response.redirect("/somewhere");
      context.response.type = "application/json";
      context.response.body = new Blob(["{}"]).stream().pipeThrough(new CompressionStream("gzip"));
      return;
    }
    if (pathname === "/static") {
      context.response.headers.set("cache-control", "public");
      context.response.body = "static";
      return;
    }
    context.response.headers.set("vary", "Accept");
    context.response.body = (await open(context)).user ?? "no one";
  });
  const send = async (request: Request) => await app.handle(request as never) as unknown as Response;
  return { browser: new Browser("http://localhost", send) };
}

Deno.test("oak: the session is kept, and so are the program's own cookies", async () => {
  const { browser } = program();
  assertEquals(await browser.get("/"), "no one");
  assertEquals([...browser.cookies.keys()], ["own"]);
  assertEquals(await browser.get("/log-in"), "ada");
  assertEquals([...browser.cookies.keys()].sort(), ["own", "session"]);
  const response = await browser.request("/");
  assertEquals(await response.text(), "ada");
  assertEquals([response.headers.get("vary"), response.headers.get("cache-control")], ["Accept, Cookie", "no-store"]);
});

Deno.test("oak: a request that opens no session is left as it is", async () => {
  const { browser } = program();
  await browser.get("/log-in");
  const response = await browser.request("/static");
  assertEquals([await response.text(), response.headers.get("cache-control")], ["static", "public"]);
  assertEquals(response.headers.get("vary"), null);
});

Deno.test("oak: a handler that throws stores nothing", async () => {
  const { browser } = program();
  const response = await browser.request("/fails");
  await response.body?.cancel();
  assertEquals([response.status, browser.cookies.has("session")], [500, false]);
});

Deno.test("oak: a session that is gone is answered 409, a store that fails 503", async () => {
  const { browser } = program();
  await browser.get("/log-in");
  const response = await browser.request("/ended");
  assertEquals([response.status, response.headers.get("cache-control")], [409, "no-store"]);
  assert((await response.text()).includes("Nothing was stored"));

  const down = program(failing(["create"], new MemoryStore()) as MemoryStore).browser;
  const failed = await down.request("/log-in");
  assertEquals([failed.status, failed.headers.get("retry-after")], [503, "5"]);
  await failed.body?.cancel();
});

Deno.test("oak: an error's answer is plain, without headers about the replaced answer", async () => {
  const { browser } = program(failing(["create"], new MemoryStore()) as MemoryStore);
  const response = await browser.request("/zipped");
  assertEquals(response.status, 503);
  assert((await response.text()).includes("cannot be reached"));
  const names = ["content-type", "content-encoding", "etag", "location", "set-cookie", "access-control-allow-origin"];
  assertEquals(names.map((name) => response.headers.get(name)), [
    "text/plain; charset=utf-8",
    null,
    null,
    null,
    null,
    "*",
  ]);
});

Deno.test("oak: no shared cache may keep an answer with the session's cookie", async () => {
  const response = await program().browser.request("/zipped");
  await response.body?.cancel();
  assertEquals([response.status, response.headers.get("cache-control")], [302, "private"]);
});

Deno.test("oak: an error of the library from a handler is answered, and stores nothing", async () => {
  const { browser } = program();
  const response = await browser.request("/mine");
  assert((await response.text()).includes("Nothing was stored"));
  assertEquals([response.status, browser.cookies.has("session")], [409, false]);
});

Deno.test("oak: a log-in asks to bind the session, and the library answers below its path", async () => {
  const { middleware, open } = oakSessions(new SessionManager<Data>({ ...BOUND, log: () => {} }));
  const app = new Application({ logErrors: false });
  app.use(middleware, async (context) => {
    (await open(context)).logIn("ada");
    context.response.body = "hello";
  });
  const response = await handled(app, "/");
  assert(response.headers.get("secure-session-registration")!.includes('path="/bound/register"'));
  const refused = await handled(app, "/bound/refresh", { method: "POST" });
  assertEquals([refused.status, await refused.text()], [400, ""]);
});

Deno.test("oak: a middleware that is used twice stores one session", async () => {
  const store = new MemoryStore();
  const { middleware, open } = oakSessions(new SessionManager<Data>({ store, keys: [KEY] }));
  const app = new Application({ logErrors: false });
  app.use(middleware, async (context, next) => {
    (await open(context)).logIn("ada");
    await next();
  });
  app.use(middleware, async (context) => void (context.response.body = (await open(context)).user));
  const response = await handled(app, "/");
  assertEquals([await response.text(), response.headers.getSetCookie().length, store.size], ["ada", 1, 1]);
});

Deno.test("oak: an answer that was made by `with` gets the cookie, or the error replaces it", async () => {
  const answerOf = async (store: MemoryStore) => {
    const { middleware, open } = oakSessions(new SessionManager<Data>({ store, keys: [KEY], log: () => {} }));
    const app = new Application({ logErrors: false });
    app.use(middleware, async (context) => {
      (await open(context)).logIn("ada");
      context.response.with("made", { status: 201, headers: { "cache-control": "public", etag: "1", "x-own": "1" } });
    });
    const response = await handled(app, "/");
    const { status, headers } = response;
    const names = ["cache-control", "vary", "etag", "x-own"];
    return [status, await response.text(), headers.getSetCookie().length, ...names.map((name) => headers.get(name))];
  };
  assertEquals(await answerOf(new MemoryStore()), [201, "made", 1, "private", "Cookie", "1", "1"]);
  const failed = await answerOf(failing(["create"], new MemoryStore()) as MemoryStore);
  assertEquals(failed.toSpliced(1, 1), [503, 0, "no-store", null, null, "1"]);
});

Deno.test("oak: after the answer was sent, a session that needs a cookie stores nothing", async () => {
  const store = new MemoryStore();
  const manager = new SessionManager<Data>({ store, keys: [KEY] });
  const { middleware, open } = oakSessions(manager);
  const app = new Application({ logErrors: false });
  const errors: unknown[] = [];
  app.addEventListener("error", ({ error }) => void errors.push(error));
  app.use(middleware, async (context) => {
    (await open(context)).set("n", 1);
    context.respond = false; // as after `upgrade` and `sendEvents`
  });
  await handled(app, "/");
  assertEquals([store.size, errors.length], [0, 1]);
  assertMatch(String(errors[0]), /sent before/);
  const cookie = await cookieFor(manager, { name: "Ada" });
  await handled(app, "/", { headers: { cookie } });
  const session = await manager.open(new Request("http://localhost/", { headers: { cookie } }));
  assertEquals([{ ...session.data }, errors.length], [{ name: "Ada", n: 1 }, 1]);
});

Deno.test("oak: after the answer was sent, a session still ends, also one with a new id", async () => {
  const store = new MemoryStore();
  const manager = new SessionManager<Data>({ store, keys: [KEY] });
  const { middleware, open } = oakSessions(manager);
  const app = new Application({ logErrors: false });
  app.use(middleware, async (context) => {
    const session = await open(context);
    session.renew();
    session.end();
    context.respond = false;
  });
  await handled(app, "/", { headers: { cookie: await cookieFor(manager, { name: "Ada" }) } });
  assertEquals(store.size, 0);
});
