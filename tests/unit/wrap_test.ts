/** wrap and commit: the answers that are sent, and the headers that they never have. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SessionGoneError, SessionStoreError } from "../../lib/errors.ts";
import type { Session } from "../../lib/session.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import type { ErrorAnswers } from "../../lib/error_answers.ts";
import { replacing } from "../support/failing.ts";
import { BOUND, type Data, failing, KEY, register, site } from "../support/site.ts";

const HOME = "http://localhost/";
const down = () => new SessionManager<Data>({ keys: [KEY], store: failing(["read", "create"], new MemoryStore()) });

Deno.test("commit: a Response shared between requests carries no one's cookie", async () => {
  const { sessions } = site();
  const home = new Response(null, { status: 303, headers: { location: "/" } });
  const logIn = sessions.wrap(async (_request, open) => {
    (await open()).logIn("ada");
    return home;
  });
  const other = sessions.wrap(() => home);
  assertEquals((await logIn(new Request(HOME))).headers.getSetCookie().length, 1);
  assertEquals([...(await other(new Request(HOME))).headers], [["location", "/"]]);
});

Deno.test("commit: it changes no answer that it is given", async () => {
  const { sessions } = site();
  const answers = [
    new Response("text", { status: 201, statusText: "Made", headers: { "x-own": "1" } }),
    new Response(null, { status: 204 }),
    Response.json({}),
    Response.redirect("http://localhost/home", 303),
    new Response(new ReadableStream({ start: (controller) => controller.close() })),
  ];
  for (const answer of answers) {
    const before = [...answer.headers];
    const session = await sessions.open(new Request(HOME));
    session.set("n", 1);
    const sent = await sessions.commit(session, answer);
    assertEquals([...answer.headers], before);
    assertEquals([sent.status, sent.statusText], [answer.status, answer.statusText]);
    assertEquals(sent.headers.getSetCookie().length, 1);
    for (const [name, value] of before) assertEquals(sent.headers.get(name), value);
  }
});

Deno.test("commit: an answer of fetch gets the cookie, also if Response is replaced", async () => {
  const { sessions, request } = site();
  const session = await sessions.open(request());
  session.set("n", 1);
  const answer = new Response("text", { headers: { "x-own": "1" } });
  const { Response: Original } = globalThis;
  // Like that of @hono/node-server, it takes over the headers of another Response without a copy.
  globalThis.Response = class extends Original {
    override readonly headers: Headers;
    constructor(body: BodyInit | null, init: ResponseInit) {
      super(body, init);
      this.headers = init.headers as Headers;
    }
  } as typeof Response;
  try {
    const { headers } = await sessions.commit(session, answer);
    assertEquals([headers.getSetCookie().length, headers.get("x-own")], [1, "1"]);
    assertEquals(answer.headers.getSetCookie(), []);
  } finally {
    globalThis.Response = Original;
  }
});

Deno.test("commit: the body of an answer that cannot be committed is cancelled", async () => {
  const { attempt, sessions } = site({ store: failing(["create"], new MemoryStore()) });
  let cancelled = 0;
  for (let i = 0; i < 20; i++) {
    const session = await sessions.open(new Request(HOME));
    session.set("n", 1);
    const body = new ReadableStream({ cancel: () => void cancelled++ });
    await assertRejects(() => sessions.commit(session, new Response(body)));
  }
  assertEquals(cancelled, 20);
  await assertRejects(() => attempt(register));
});

Deno.test("wrap: a session ended in between is answered 409, a store that fails 503", async () => {
  const { sessions, visit, browser } = site();
  await visit(register);
  const ended = sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    await visit((session) => session.end());
    return new Response("stored");
  });
  const gone = await ended(new Request(HOME, { headers: { cookie: browser.cookie } }));
  assertEquals([gone.status, gone.headers.has("retry-after")], [409, false]);
  assertMatch(await gone.text(), /Nothing was stored/);

  const failed = await down().wrap(async (_request, open) => {
    (await open()).set("n", 1);
    return new Response("stored");
  })(new Request(HOME));
  assertEquals([failed.status, failed.headers.get("retry-after")], [503, "5"]);
  assertEquals(failed.headers.getSetCookie(), []);
  await failed.body?.cancel();
});

Deno.test("wrap: a full store is answered 503, a failure of open too", async () => {
  const { browser } = await withCookie();
  const headers = { cookie: browser.cookie };
  const full = site({ store: new MemoryStore({ max: 0 }) });
  const set = full.sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    return new Response();
  });
  const read = down().wrap(async (_request, open) => Response.json((await open()).data));
  assertEquals((await set(new Request(HOME))).status, 503);
  assertEquals((await read(new Request(HOME, { headers }))).status, 503);
});

async function withCookie() {
  const one = site();
  await one.visit(register);
  return one;
}

Deno.test("wrap: an error's answer keeps what does not describe the one it replaces", async () => {
  const headers = {
    "access-control-allow-origin": "https://example.com",
    "content-security-policy": "default-src 'self'",
    "x-frame-options": "DENY",
    "content-type": "application/json",
    "content-encoding": "gzip",
    "content-length": "7",
    "content-language": "en",
    "content-disposition": "attachment",
    "etag": '"1"',
    "last-modified": "Sat, 28 Nov 2026 15:00:00 GMT",
    "location": "/",
    "set-cookie": "own=1",
    "accept-ranges": "bytes",
    "cache-control": "public, max-age=600",
  };
  const handler = (options?: ErrorAnswers<Request>) =>
    down().wrap(async (_request, open) => {
      (await open()).set("n", 1);
      return new Response("secret!", { headers });
    }, options);
  const response = await handler()(new Request(HOME));
  assertEquals([response.status, await response.text()], [503, await new SessionStoreError("").getResponse().text()]);
  assertEquals(Object.fromEntries(response.headers), {
    "access-control-allow-origin": "https://example.com",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'",
    "content-type": "text/plain; charset=utf-8",
    "retry-after": "5",
    "x-frame-options": "DENY",
  });
  const own = await handler({
    unavailable: () =>
      new Response("own", { status: 503, headers: { "set-cookie": "later=1", "content-type": "text/x" } }),
  })(new Request(HOME));
  assertEquals([await own.text(), own.headers.getSetCookie()], ["own", ["later=1"]]);
  const names = ["content-type", "x-frame-options", "cache-control"];
  assertEquals(names.map((name) => own.headers.get(name)), ["text/x", "DENY", "no-store"]);
  const cached = await handler({ unavailable: () => new Response("", { headers: { "cache-control": "private" } }) })(
    new Request(HOME),
  );
  assertEquals(cached.headers.get("cache-control"), "private");
});

Deno.test("commit: no shared cache may keep an answer with the session's cookie", async () => {
  const { sessions } = site();
  const sent = async (headers: HeadersInit, act: (session: Session<Data>) => void) => {
    const session = await sessions.open(new Request(HOME));
    act(session);
    return (await sessions.commit(session, new Response("", { headers }))).headers;
  };
  const cases: Record<string, string> = {
    "public, max-age=600": "private, max-age=600",
    "max-age=600": "private, max-age=600",
    "PUBLIC , S-MaxAge = 10": "private",
    's-maxage="10", immutable': "private, immutable",
    'private="x, y", max-age=1': "private, max-age=1",
    'no-cache="set-cookie, public", public': 'private, no-cache="set-cookie, public"',
    'ext="\\", public", public': 'private, ext="\\", public"',
    'ext="open, public': "private, ext=, open",
    "Public; max-age=3": "private",
    "no-store, public": "no-store",
    "private": "private",
  };
  for (const [given, needed] of Object.entries(cases)) {
    const headers = await sent({ "cache-control": given }, (session) => session.set("n", 1));
    assertEquals(headers.get("cache-control"), needed);
    // Without a cookie, the program decides.
    assertEquals((await sent({ "cache-control": given }, () => {})).get("cache-control"), given);
  }
  // RFC 9213, and older headers.
  const targeted = ["cdn-cache-control", "Vercel-CDN-Cache-Control", "surrogate-control", "edge-control"];
  for (const name of targeted) {
    assertEquals((await sent({ [name]: "max-age=60" }, (session) => session.set("n", 1))).get(name), "no-store");
  }
  const nginx = await sent({ "x-accel-expires": "60" }, (session) => session.set("n", 1));
  assertEquals(nginx.get("x-accel-expires"), "0");
});

Deno.test("wrap: an invalid answer stores nothing, and the error names it", async () => {
  const read = new Response("read");
  await read.text();
  const locked = new Response("locked");
  locked.body!.getReader();
  const wrong: [unknown, string][] = [
    [undefined, "received undefined"],
    [null, "received null"],
    ["text", "received string"],
    [{ status: 200 }, "received object"],
    [Response.error(), "received one of status 0"],
    [read, "whose body was read"],
    [locked, "whose body was read"],
  ];
  for (const [answer, message] of wrong) {
    const { sessions, calls } = site();
    const handler = sessions.wrap(async (_request, open) => {
      (await open()).set("n", 1);
      return answer as Response;
    });
    await assertRejects(() => handler(new Request(HOME)), TypeError, message);
    assertEquals(calls, []);
  }
});

Deno.test("wrap: an error of the library that the handler throws stores nothing", async () => {
  const { sessions, calls } = site();
  const handler = sessions.wrap(async (_request, open) => {
    (await open()).logIn("ada");
    throw new SessionGoneError("mine");
  });
  const response = await handler(new Request(HOME));
  assertEquals([response.status, response.headers.getSetCookie(), calls], [409, [], []]);
});

Deno.test("wrap: options replace the answers to errors", async () => {
  const sessions = down();
  const handler = sessions.wrap(async (request, open) => {
    const session = await open();
    if (new URL(request.url).pathname === "/gone") throw new SessionGoneError("gone");
    session.set("n", 1);
    return new Response();
  }, {
    gone: (request) => new Response(`gone from ${request.url}`, { status: 410 }),
    unavailable: (_request, error) => new Response(error.name, { status: 500 }),
  });
  const gone = await handler(new Request("http://localhost/gone"));
  assertEquals([gone.status, await gone.text()], [410, "gone from http://localhost/gone"]);
  assertEquals(await (await handler(new Request(HOME))).text(), "SessionStoreError");
});

Deno.test("wrap: the body of an own answer can be cancelled", async () => {
  const handler = down().wrap(async (_request, open) => {
    (await open()).logIn("ada");
    return new Response();
  }, { unavailable: () => new Response("own") });
  const response = await handler(new Request(HOME));
  await response.body!.cancel();
});

Deno.test("wrap: errors of the handler itself are thrown unchanged", async () => {
  const { sessions, calls } = site();
  const own = new Error("mine");
  const handler = sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    throw own;
  });
  assertEquals(await assertRejects(() => handler(new Request(HOME))), own);
  assertEquals(calls, []);
});

Deno.test("wrap: the answer of a handler that caught the failure of open is sent", async () => {
  const { browser } = await withCookie();
  const handler = down().wrap(async (_request, open) => {
    const session = await open().catch(() => undefined);
    return new Response(session === undefined ? "a page without a session" : "with one");
  });
  const response = await handler(new Request(HOME, { headers: { cookie: browser.cookie } }));
  assertEquals([response.status, await response.text()], [200, "a page without a session"]);
});

Deno.test("wrap: a session first opened in a stream throws, and the error says what to do", async () => {
  const { sessions } = site();
  let open: (() => Promise<unknown>) | undefined;
  const handler = sessions.wrap((_request, given) => {
    open = given;
    return new Response("streams on");
  });
  const response = await handler(new Request(HOME));
  for (let i = 0; i < 2; i++) await assertRejects(() => open!(), Error, "open it before answering");
  assertEquals(await response.text(), "streams on");
  assert(response.ok);
});

Deno.test("wrap: a wrapped handler that calls another one shares its session", async () => {
  const { memory, sessions } = site();
  const inner = sessions.wrap(async (_request, open) => {
    const session = await open();
    session.logIn("ada");
    return new Response(session.get("name"));
  });
  const outer = sessions.wrap(async (request, open) => {
    register(await open());
    return await inner(request);
  });
  const request = new Request(HOME);
  for (let i = 1; i <= 3; i++) {
    const response = await outer(request);
    assertEquals([await response.text(), response.headers.getSetCookie().length, memory.size], ["Ada", 1, i]);
  }
});

Deno.test("wrap: a WebSocket whose session cannot be stored opens, and the server goes on", async () => {
  const { sessions, visit, request: signed } = site();
  await visit(register);
  const { headers } = signed();
  const handler = sessions.wrap(async (request, open) => {
    if (!request.headers.has("upgrade")) return new Response("hello");
    const session = await open();
    let runs = 0;
    session.update("n", () => {
      if (request.url.endsWith("/throws") && ++runs > 1) throw new RangeError("mine");
      return 1;
    });
    const { signal } = sessions.follow(session);
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onopen = () => socket.close(4401, signal.reason.name);
    if (request.url.endsWith("/ended")) await visit((session) => session.end()); // another request, in between
    return response;
  }, { gone: () => Promise.reject(new Error("not called")) });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
  const address = `127.0.0.1:${server.addr.port}`;
  const logged: unknown[] = [];
  await replacing(console, "error", () => (error) => void logged.push(error.message), async () => {
    for (const [path, name] of [["/throws", "RangeError"], ["/ended", "SessionGoneError"]] as const) {
      const socket = new WebSocket(`ws://${address}${path}`, { headers });
      const { code, reason } = await new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
      assertEquals([code, reason], [4401, name]);
      assertEquals(await (await fetch(`http://${address}`)).text(), "hello");
    }
  });
  assertEquals(logged, ["mine"]);
  await server.shutdown();
});

Deno.test("wrap: a log-in asks to bind the session, and the library answers below its path", async () => {
  const handler = new SessionManager<Data>({ ...BOUND, log: () => {} }).wrap(async (_request, open) => {
    (await open()).logIn("ada");
    return new Response("hello");
  });
  const { headers } = await handler(new Request(HOME));
  assert(headers.get("secure-session-registration")!.includes('path="/bound/register"'));
  const refused = await handler(new Request("http://localhost/bound/refresh", { method: "POST" }));
  assertEquals([refused.status, await refused.text()], [400, ""]);
});

Deno.test("wrap: after its handler has thrown, a session cannot be opened", async () => {
  const { sessions } = site();
  let open: (() => Promise<unknown>) | undefined;
  const handler = sessions.wrap((_request, given) => {
    open = given;
    throw new SessionGoneError("mine");
  });
  assertEquals((await handler(new Request(HOME))).status, 409);
  await assertRejects(() => open!(), Error, "open it before answering");
});
