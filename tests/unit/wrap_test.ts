/** wrap and commit: the answers that leave, and what they never carry. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { SessionGoneError } from "../../lib/errors.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Data, failing, KEY, register, site } from "../support/site.ts";

const URL = "http://localhost/";
const down = () => new SessionManager<Data>({ keys: [KEY], store: failing(["read", "create"], new MemoryStore()) });

Deno.test("commit: a Response shared between requests carries nobody's cookie", async () => {
  const { sessions } = site();
  const home = new Response(null, { status: 303, headers: { location: "/" } });
  const logIn = sessions.wrap(async (_request, open) => {
    (await open()).logIn("ada");
    return home;
  });
  const other = sessions.wrap(() => home);
  assertEquals((await logIn(new Request(URL))).headers.getSetCookie().length, 1);
  assertEquals([...(await other(new Request(URL))).headers], [["location", "/"]]);
});

Deno.test("commit: no answer that it is given is changed", async () => {
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
    const session = await sessions.open(new Request(URL));
    session.set("n", 1);
    const sent = await sessions.commit(session, answer);
    assertEquals([...answer.headers], before);
    assertEquals([sent.status, sent.statusText], [answer.status, answer.statusText]);
    assertEquals(sent.headers.getSetCookie().length, 1);
    for (const [name, value] of before) assertEquals(sent.headers.get(name), value);
  }
});

Deno.test("commit: the body of an answer that cannot be committed is cancelled", async () => {
  const { attempt, sessions } = site({ store: failing(["create"], new MemoryStore()) });
  let cancelled = 0;
  for (let i = 0; i < 20; i++) {
    const session = await sessions.open(new Request(URL));
    session.set("n", 1);
    const body = new ReadableStream({ cancel: () => void cancelled++ });
    await assertRejects(() => sessions.commit(session, new Response(body)));
  }
  assertEquals(cancelled, 20);
  await assertRejects(() => attempt(register));
});

Deno.test("wrap: a session ended meanwhile is answered 409, a store that fails 503", async () => {
  const { sessions, visit, browser } = site();
  await visit(register);
  const ended = sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    await visit((session) => session.end());
    return new Response("stored");
  });
  const gone = await ended(new Request(URL, { headers: { cookie: browser.cookie } }));
  assertEquals([gone.status, gone.headers.has("retry-after")], [409, false]);
  assertMatch(await gone.text(), /Nothing was stored/);

  const failed = await down().wrap(async (_request, open) => {
    (await open()).set("n", 1);
    return new Response("stored");
  })(new Request(URL));
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
  assertEquals((await set(new Request(URL))).status, 503);
  assertEquals((await read(new Request(URL, { headers }))).status, 503);
});

async function withCookie() {
  const one = site();
  await one.visit(register);
  return one;
}

Deno.test("wrap: it can be told other answers", async () => {
  const sessions = down();
  const handler = sessions.wrap(async (_request, open) => {
    const session = await open();
    if (new globalThis.URL(_request.url).pathname === "/gone") throw new SessionGoneError("gone");
    session.set("n", 1);
    return new Response();
  }, {
    gone: (request) => new Response(`gone from ${request.url}`, { status: 410 }),
    unavailable: (_request, error) => new Response(error.name, { status: 500 }),
  });
  const gone = await handler(new Request("http://localhost/gone"));
  assertEquals([gone.status, await gone.text()], [410, "gone from http://localhost/gone"]);
  assertEquals(await (await handler(new Request(URL))).text(), "SessionStoreError");
});

Deno.test("wrap: what a handler itself throws goes through", async () => {
  const { sessions, calls } = site();
  const own = new Error("mine");
  const handler = sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    throw own;
  });
  assertEquals(await assertRejects(() => handler(new Request(URL))), own);
  assertEquals(calls, []);
});

Deno.test("wrap: a handler that caught the failure of open is not asked again", async () => {
  const { browser } = await withCookie();
  const handler = down().wrap(async (_request, open) => {
    const session = await open().catch(() => undefined);
    return new Response(session === undefined ? "a page without a session" : "with one");
  });
  const response = await handler(new Request(URL, { headers: { cookie: browser.cookie } }));
  assertEquals([response.status, await response.text()], [200, "a page without a session"]);
});

Deno.test("wrap: a session opened first in a stream throws, naming the way out", async () => {
  const { sessions } = site();
  let open: (() => Promise<unknown>) | undefined;
  const handler = sessions.wrap((_request, given) => {
    open = given;
    return new Response("streams on");
  });
  const response = await handler(new Request(URL));
  assertThrows(() => open!(), Error, "open it before answering");
  assertEquals(await response.text(), "streams on");
  assert(response.ok);
});
