/** The Hono adapter, in the real Hono. Every kind of answer gets the cookie, and loses nothing. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, every program would download the frameworks
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Hono } from "npm:hono@4.13.19";
import { bodyLimit } from "npm:hono@4.13.19/body-limit";
import { compress } from "npm:hono@4.13.19/compress";
import { cors } from "npm:hono@4.13.19/cors";
import { etag } from "npm:hono@4.13.19/etag";
import { serveStatic } from "npm:hono@4.13.19/deno";
import { HTTPException } from "npm:hono@4.13.19/http-exception";
import { streamSSE } from "npm:hono@4.13.19/streaming";
import { honoSessions } from "../../lib/adapters/hono.ts";
import { SessionGoneError } from "../../lib/errors.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { replacing } from "../support/failing.ts";
import { BOUND, type Data, failing, KEY } from "../support/site.ts";
import { Browser } from "../support/server.ts";

const upstream = () => {
  const headers = new Headers({ vary: "Accept" });
  headers.append("set-cookie", "upstream=1");
  // A response of fetch, whose headers cannot be changed.
  return Object.defineProperty(new Response("from upstream", { headers }), "url", { value: "http://upstream/" });
};

function program(store = new MemoryStore()) {
  const manager = new SessionManager<Data>({ store, keys: [KEY] });
  const { middleware, open } = honoSessions(manager);
  const app = new Hono();
  app.use(middleware);
  app.get("/who", async (c) => c.text((await open(c)).user ?? "no one"));
  app.get("/static/*", serveStatic({ root: "./templates", rewriteRequestPath: (path) => path.slice(7) }));
  const answers: Record<string, (c: Parameters<typeof open>[0]) => Response> = {
    text: () => new Response("hello"),
    fetched: upstream,
    redirected: () => Response.redirect("http://localhost/who", 303),
    streamed: () => new Response(new Blob(["a stream"]).stream()),
    thrown: () => {
      throw new HTTPException(303, { res: new Response(null, { status: 303, headers: { location: "/who" } }) });
    },
    refused: () => {
      throw new HTTPException(401, { message: "no" });
    },
  };
  for (const [name, answer] of Object.entries(answers)) {
    app.get(`/log-in/${name}`, async (c) => {
      (await open(c)).logIn(name);
      return answer(c);
    });
  }
  app.get("/own", async (c) => {
    c.header("set-cookie", "own=1");
    (await open(c)).logIn("own");
    return c.text("");
  });
  app.get("/fails", async (c) => {
    (await open(c)).logIn("fails");
    throw new Error("mine");
  });
  return {
    app,
    manager,
    middleware,
    open,
    browser: () => new Browser("http://localhost", async (r) => await app.fetch(r)),
  };
}

for (const name of ["text", "fetched", "redirected", "streamed", "thrown", "refused"]) {
  Deno.test(`hono: the cookie leaves with an answer that is ${name}`, async () => {
    const { browser } = program();
    const visitor = browser();
    await visitor.get("/log-in/text");
    const response = await visitor.request(`/log-in/${name}`);
    await response.body?.cancel();
    assertEquals(visitor.setCookies.filter((line) => line.startsWith("session=")).length, 1);
    assert(response.headers.get("vary")!.includes("Cookie"));
    assertEquals(await visitor.get("/who"), name);
  });
}

Deno.test("hono: cookies and Vary of an upstream answer and of the program stay", async () => {
  const { browser } = program();
  const visitor = browser();
  const fetched = await visitor.request("/log-in/fetched");
  assertEquals([await fetched.text(), fetched.headers.get("vary")], ["from upstream", "Accept, Cookie"]);
  assert(visitor.setCookies.includes("upstream=1"));
  await visitor.get("/own");
  assert(visitor.setCookies.includes("own=1"));
});

Deno.test("hono: a static file opens no session and stays cacheable", async () => {
  const store = failing(["read"], new MemoryStore()) as MemoryStore;
  const { browser } = program(store);
  const visitor = browser();
  await visitor.get("/log-in/text");
  const response = await visitor.request("/static/style.css");
  await response.body?.cancel();
  assertEquals([response.status, response.headers.get("cache-control"), response.headers.get("vary")], [
    200,
    null,
    null,
  ]);
  assertEquals(visitor.setCookies, []);
});

Deno.test("hono: an error reaches onError, and nothing is stored", async () => {
  const { app, browser } = program();
  const seen: string[] = [];
  app.onError((error, c) => {
    seen.push(error.message);
    return c.text("sorry", 500);
  });
  const visitor = browser();
  assertEquals(await visitor.get("/fails"), "sorry");
  assertEquals([seen, visitor.setCookies], [["mine"], []]);
  assertEquals(await visitor.get("/who"), "no one");
});

Deno.test("hono: a failing store is answered 503 and a gone session 409, with any onError", async () => {
  const usual = (app: Hono) => app.onError((error, c) => c.text(error.message, 500));
  const down = program(failing(["create", "read"], new MemoryStore()) as MemoryStore);
  const up = program();
  for (const { app } of [down, up]) usual(app);
  const response = await down.browser().request("/log-in/text");
  assertEquals([response.status, response.headers.get("retry-after")], [503, "5"]);
  await response.body?.cancel();
  const { app, browser, manager, open } = up;
  app.get("/slow", async (c) => {
    (await open(c)).set("n", 1);
    await manager.endAll("text");
    return c.text("stored");
  });
  const visitor = browser();
  await visitor.get("/log-in/text");
  const unread = await down.app.request("/who", { headers: { cookie: visitor.cookie } });
  // It was signed with the same key.
  assertEquals([unread.status, unread.headers.get("retry-after")], [503, "5"]);
  assertEquals((await visitor.request("/slow")).status, 409);
});

Deno.test("hono: an error of the library from a handler is answered, and stores nothing", async () => {
  const { app, browser, open } = program();
  app.get("/mine", async (c) => {
    (await open(c)).logIn("mine");
    throw new SessionGoneError("mine");
  });
  const visitor = browser();
  const response = await visitor.request("/mine");
  assertEquals([response.status, visitor.setCookies], [409, []]);
  assert((await response.text()).includes("Nothing was stored"));
  assertEquals(await visitor.get("/who"), "no one");
});

Deno.test("hono: an error's answer is plain, without headers about the replaced answer", async () => {
  const { middleware, open } = program(failing(["create"], new MemoryStore()) as MemoryStore);
  const app = new Hono();
  app.use(middleware);
  app.use(cors(), etag(), compress({ threshold: 0 }));
  app.get("/", async (c) => {
    (await open(c)).set("n", 1);
    c.header("location", "/somewhere");
    c.header("content-security-policy", "default-src 'self'");
    return c.text("a page ".repeat(1000));
  });
  const response = await app.request("/", { headers: { "accept-encoding": "gzip" } });
  assertEquals(response.status, 503);
  assert((await response.text()).includes("cannot be reached"));
  const names = ["content-encoding", "etag", "location", "access-control-allow-origin", "content-security-policy"];
  assertEquals(names.map((name) => response.headers.get(name)), [null, null, null, "*", "default-src 'self'"]);
});

Deno.test("hono: a handler that returns no answer that can be sent stores nothing", async () => {
  const { app, browser, open } = program();
  const seen: string[] = [];
  app.onError((error, c) => {
    seen.push(error.message);
    return c.text("sorry", 500);
  });
  for (const [path, answer] of Object.entries({ "/nothing": undefined, "/error": Response.error() })) {
    app.get(path, async (c) => {
      (await open(c)).logIn("mine");
      return answer as Response;
    });
  }
  for (const path of ["/nothing", "/error"]) {
    const visitor = browser();
    assertEquals([(await visitor.request(path)).status, visitor.setCookies], [500, []]);
  }
  assert(seen[0]!.includes("Did you forget to return a Response"), seen[0]);
  assert(seen[1]!.includes("received one of status 0"), seen[1]);
});

Deno.test("hono: no shared cache may keep an answer with the session's cookie", async () => {
  const { app, browser, open } = program();
  app.get("/cached", async (c) => {
    (await open(c)).logIn("ada");
    c.header("cache-control", "public, s-maxage=600, max-age=60");
    c.header("cdn-cache-control", "max-age=600");
    return c.text("hello");
  });
  const { headers } = await browser().request("/cached");
  assertEquals([headers.get("cache-control"), headers.get("cdn-cache-control")], ["private, max-age=60", "no-store"]);
});

Deno.test("hono: a stream follows its session, and ends with it", async () => {
  const { app, browser, manager, open } = program();
  app.get("/ticks", async (c) => {
    const followed = manager.follow(await open(c));
    return streamSSE(c, async (stream) => {
      try {
        while (!stream.aborted) {
          const session = await followed.read();
          await stream.writeSSE({ data: session.user! });
          await stream.sleep(5);
        }
      } catch (error) {
        if (!(error instanceof SessionGoneError)) throw error;
        await stream.writeSSE({ data: "logged out" });
      }
    });
  });
  const visitor = browser();
  await visitor.get("/log-in/text");
  const response = await visitor.request("/ticks");
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("data: text")) await manager.endAll("text");
  }
  assert(text.endsWith("data: logged out\n\n"), text);
});

Deno.test("hono: a WebSocket whose session cannot be stored opens, and the server goes on", async () => {
  const { app, open } = program();
  app.get("/socket", async (c) => {
    let runs = 0;
    (await open(c)).update("n", () => {
      if (++runs > 1) throw new Error("mine");
      return 1;
    });
    const { socket, response } = Deno.upgradeWebSocket(c.req.raw);
    socket.onopen = () => socket.close(4401);
    return response;
  });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, app.fetch);
  const address = `127.0.0.1:${server.addr.port}`;
  const logged: unknown[] = [];
  await replacing(console, "error", () => (error) => void logged.push(error.message), async () => {
    const socket = new WebSocket(`ws://${address}/socket`);
    const { code } = await new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
    assertEquals([code, await (await fetch(`http://${address}/who`)).text()], [4401, "no one"]);
  });
  assertEquals(logged, ["mine"]);
  await server.shutdown();
});

Deno.test("hono: the error of an open without the middleware says what to do", async () => {
  const { open } = program();
  const app = new Hono();
  let message = "";
  app.get("/", async (c) => {
    message = await Promise.resolve().then(() => open(c)).catch((error) => error.message);
    return c.text("");
  });
  await app.request("/");
  assert(message.includes("use it before the routes"), message);
});

Deno.test("hono: a log-in asks to bind the session, and the library answers below its path", async () => {
  const { middleware, open } = honoSessions(new SessionManager<Data>({ ...BOUND, log: () => {} }));
  const app = new Hono().use(middleware);
  app.all("*", async (c) => {
    (await open(c)).logIn("ada");
    return c.text("hello");
  });
  const { headers } = await app.request("/");
  assert(headers.get("secure-session-registration")!.includes('path="/bound/register"'));
  const refused = await app.request("http://localhost/bound/refresh", { method: "POST" });
  assertEquals([refused.status, await refused.text()], [400, ""]);
});

Deno.test("hono: a middleware that replaces the request loses no session", async () => {
  const { middleware, open } = program();
  const app = new Hono().use(middleware, bodyLimit({ maxSize: 100 }));
  app.post("/", async (c) => {
    (await open(c)).logIn(await c.req.text());
    return c.text("hello");
  });
  const body = new Blob(["ada"]).stream();
  const response = await app.request("/", { method: "POST", body });
  assertEquals([response.status, response.headers.getSetCookie().length], [200, 1]);
});

Deno.test("hono: a middleware that is used twice stores one session", async () => {
  const store = new MemoryStore();
  const { middleware, open } = honoSessions(new SessionManager<Data>({ store, keys: [KEY] }));
  const inner = new Hono().use(middleware).get("/", async (c) => c.text((await open(c)).user!));
  const app = new Hono().use(middleware, async (c, next) => {
    (await open(c)).logIn("ada");
    await next();
  });
  app.route("/routed", inner);
  const response = await app.request("/routed");
  assertEquals([await response.text(), response.headers.getSetCookie().length, store.size], ["ada", 1, 1]);
});

Deno.test("hono: a Request that a test sends again opens its session again", async () => {
  const { middleware, open } = honoSessions(new SessionManager<Data>({ store: new MemoryStore(), keys: [KEY] }));
  const inner = new Hono().use(middleware).get("/", async (c) => c.text(String((await open(c)).user)));
  const app = new Hono().use(middleware);
  app.get("/", (c) => inner.fetch(c.req.raw));
  const request = new Request("http://localhost/");
  for (let i = 0; i < 3; i++) assertEquals(await (await app.request(request)).text(), "undefined");
});

Deno.test("hono: a thrown string stores nothing, and its session is not waited for", async () => {
  const { app, browser, manager, open } = program();
  let read: Promise<unknown> | undefined;
  app.get("/string", async (c) => {
    const session = await open(c);
    session.logIn("ada");
    read = manager.follow(session).read();
    throw "a string";
  });
  const visitor = browser();
  await assertRejects(() => visitor.request("/string"));
  await assertRejects(() => read!, TypeError, "its handler failed");
  assertEquals(visitor.setCookies, []);
});
