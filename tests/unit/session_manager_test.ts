/** SessionManager: the data that a request stores, the headers of its answer, and the options that are refused. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { SessionStoreError } from "../../lib/errors.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import type { SessionOptions } from "../../lib/session_options.ts";
import { type SessionStore, StoreFullError } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock, cookieFor } from "../../lib/testing.ts";
import { type Act, failing, KEY, register, site } from "../support/site.ts";

Deno.test("sessions: a visitor without data gets no cookie, and causes no query", async () => {
  const { browser, calls, visit } = site();
  await visit();
  assertEquals([browser.setCookies, calls], [[], []]);
});

Deno.test("sessions: a handler that does not open one causes no call and no header", async () => {
  const { browser, calls, sessions, visit } = site();
  await visit(register);
  calls.length = 0;
  const handler = sessions.wrap(() => new Response("static"));
  const response = await handler(new Request("http://localhost/", { headers: { cookie: browser.cookie } }));
  assertEquals([[...response.headers.keys()], calls], [["content-type"], []]);
});

Deno.test("sessions: data stored in one request are there in the next", async () => {
  const { visit } = site();
  await visit(register);
  assertEquals(await visit(), { name: "Ada" });
});

Deno.test("sessions: the cookie is a 160-bit id, its signature and every attribute", async () => {
  const { browser, visit } = site();
  await visit(register);
  assertMatch(
    browser.setCookies.join("\n"),
    /^session=[0-9a-f]{40}\.[\w-]{43}; HttpOnly; SameSite=Lax; Path=\/; Max-Age=600$/,
  );
});

Deno.test("sessions: the cookie's domain has at most 254 characters, a label at most 63", () => {
  const cookie = (label: string) => () => site({ cookie: { domain: `${label}.example.com` } });
  for (const label of ["a", "a".repeat(63), `${"a.".repeat(120)}a`]) cookie(label)();
  for (const label of ["a".repeat(64), `${"a.".repeat(121)}a`]) assertThrows(cookie(label), TypeError, "domain");
});

Deno.test("sessions: every attribute of the cookie can be set", async () => {
  const cookie = {
    name: "sid",
    domain: "example.com",
    path: "/app",
    httpOnly: false,
    secure: true,
    sameSite: "None",
    partitioned: true,
  } as const;
  const { browser, visit } = site({ cookie });
  await visit(register);
  assertMatch(
    browser.setCookies.join("\n"),
    /^sid=\S+; Secure; Partitioned; Domain=example.com; SameSite=None; Path=\/app; Max-Age=600$/,
  );
});

Deno.test("sessions: Max-Age is rounded up, so that the cookie lives as long as its session", async () => {
  const { browser, visit } = site({ absolute: 90.2 });
  await visit(register);
  assertMatch(browser.setCookies.join(), /Max-Age=91(;|$)/);
});

Deno.test("sessions: a cookie that ends with the browser has no Max-Age, and is sent once", async () => {
  const { browser, clock, visit } = site({ permanent: false });
  await visit(register);
  assertMatch(browser.setCookies.join("\n"), /^session=\S+; HttpOnly; SameSite=Lax; Path=\/$/);
  clock.pass(30);
  await visit();
  assertEquals(browser.setCookies, []);
  clock.pass(59);
  assertEquals(await visit(), { name: "Ada" });
});

Deno.test("sessions: an answer with a session gets Vary and Cache-Control headers", async () => {
  const { browser, sessions } = site();
  const headersOf = async (headers: HeadersInit) => {
    const handler = sessions.wrap(async (_request, open) => {
      await open();
      return new Response("", { headers });
    });
    const response = await handler(new Request(browser.origin));
    return [response.headers.get("vary"), response.headers.get("cache-control")];
  };
  assertEquals(await headersOf({}), ["Cookie", "no-store"]);
  assertEquals(await headersOf({ vary: "Accept", "cache-control": "private" }), ["Accept, Cookie", "private"]);
  assertEquals(await headersOf({ vary: "accept, cookie" }), ["accept, cookie", "no-store"]);
});

Deno.test("sessions: an answer with immutable headers gets its cookie too", async () => {
  const { sessions } = site();
  const handler = sessions.wrap(async (_request, open) => {
    (await open()).set("name", "Ada");
    return Response.redirect("http://localhost/home", 303);
  });
  const response = await handler(new Request("http://localhost/"));
  assertEquals([response.status, response.headers.get("location")], [303, "http://localhost/home"]);
  assertEquals(response.headers.getSetCookie().length, 1);
});

Deno.test("sessions: a wrapped handler gets the other arguments of the server", async () => {
  const { sessions } = site();
  const handler = sessions.wrap((_request, _open, info: { remote: string }) => new Response(info.remote));
  assertEquals(await (await handler(new Request("http://localhost/"), { remote: "127.0.0.1" })).text(), "127.0.0.1");
});

Deno.test("sessions: a handler that throws stores nothing", async () => {
  const { browser, calls, visit } = site();
  const fails: Act = (session) => {
    session.set("name", "Ada");
    throw new Error("no");
  };
  await assertRejects(() => visit(fails), Error, "no");
  assertEquals([browser.setCookies, calls], [[], []]);
});

// Ends and new ids.

Deno.test("sessions: end() deletes data and cookie, with the attributes it had", async () => {
  const cookie = { name: "__Host-session", secure: true, partitioned: true, sameSite: "Strict" } as const;
  const { browser, memory, visit } = site({ cookie });
  await visit(register);
  await visit((session) => session.end());
  assertEquals(browser.setCookies, [
    "__Host-session=; Secure; HttpOnly; Partitioned; SameSite=Strict; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
  ]);
  assertEquals(memory.size, 0);
});

Deno.test("sessions: ending a session that was never stored does nothing", async () => {
  const { browser, calls, visit } = site();
  await visit((session) => {
    session.set("name", "Ada");
    session.end();
  });
  assertEquals([browser.setCookies, calls], [[], []]);
});

Deno.test("sessions: renew() moves the data, and the old id is dead after the answer", async () => {
  const { browser, memory, newBrowser, visit } = site();
  await visit((session) => session.set("n", 1));
  const old = newBrowser();
  old.cookies.set("session", browser.cookies.get("session")!);
  await visit((session) => {
    session.set("name", "Ada");
    session.renew();
  });
  assert(browser.cookie !== old.cookie);
  assertEquals(await visit(), { n: 1, name: "Ada" });
  assertEquals(await visit(undefined, old), {});
  assertEquals(memory.size, 1);
});

Deno.test("sessions: a failure of the store is thrown and logged, and stored data stay", async () => {
  const clock = new Clock();
  const cases: [verb: keyof SessionStore, act: Act][] = [
    ["read", () => {}],
    ["update", (session) => session.set("n", 2)],
    ["delete", (session) => session.end()],
    ["move", (session) => session.renew()],
  ];
  for (const [verb, act] of cases) {
    const memory = new MemoryStore({ now: clock.now });
    const good = site({ store: memory, now: clock.now });
    await good.visit((session) => session.set("n", 1));
    const lines: string[] = [];
    const log = (level: string, event: string, detail?: string) => void lines.push(`${level} ${event}: ${detail}`);
    const bad = site({ store: failing([verb], memory), now: clock.now, log });
    bad.browser.cookies.set("session", good.browser.cookies.get("session")!);
    await assertRejects(() => bad.attempt(act), SessionStoreError, `failed to ${verb}`);
    assertEquals(lines, [`error The session store failed to ${verb}: the disk is on fire`]);
    assertEquals(bad.sessions.counters.failed, 1);
    assertEquals(await good.visit(), { n: 1 }, `after ${verb}`);
  }
});

Deno.test("sessions: a page that only reads is answered if its session cannot be extended", async () => {
  const clock = new Clock();
  const memory = new MemoryStore({ now: clock.now });
  const { browser, sessions, visit } = site({ store: failing(["touch"], memory), now: clock.now });
  await visit(register);
  clock.pass(30);
  assertEquals(await visit(), { name: "Ada" });
  assertEquals([browser.setCookies, sessions.counters.used, sessions.counters.failed], [[], 0, 1]);
});

Deno.test("sessions: a full store refuses new ones, and the others stay usable", async () => {
  const { attempt, newBrowser, sessions, visit } = site({ store: new MemoryStore({ max: 1 }), now: Date.now });
  await visit(register);
  await assertRejects(() => attempt(register, newBrowser()), StoreFullError);
  assertEquals(await visit((session) => session.set("n", 1)), { name: "Ada", n: 1 });
  assertEquals(sessions.counters.refused, 1);
});

Deno.test("sessions: a visitor can log out while the store is full or fails", async () => {
  for (const fails of [false, true]) {
    const clock = new Clock();
    const memory = new MemoryStore({ now: clock.now, max: 1 });
    const { browser, sessions, visit } = site({ store: fails ? failing(["create"], memory) : memory, now: clock.now });
    browser.cookies.set(
      "session",
      (await cookieFor(new SessionManager({ keys: [KEY], store: memory, now: clock.now }), { n: 1 })).slice(8),
    );
    const before = browser.cookie;
    const goodbye: Act = (session) => {
      session.logOut();
      session.flash("Goodbye");
    };
    assertEquals(await visit(goodbye), {});
    assert(browser.cookie !== before);
    assertEquals([memory.size, sessions.counters.ended], [fails ? 0 : 1, 1]);
  }
});

// Misuse fails early.

Deno.test("sessions: a session can be committed only once", async () => {
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  await sessions.commit(session, new Response());
  await assertRejects(() => sessions.commit(session, new Response()), TypeError, "committed before");
});

Deno.test("sessions: invalid options are refused at construction", () => {
  const store = new MemoryStore();
  const make = (options: Partial<SessionOptions>) => () => new SessionManager({ store, keys: [KEY], ...options });
  assertThrows(make({ keys: [] }), TypeError, "at least one key");
  assertThrows(make({ keys: [KEY, "x".repeat(31)] }), RangeError, "key 2: needed at least 32 bytes, received 31");
  for (const idle of [0, 0.5, -1, NaN, 400 * 86_400 + 1]) assertThrows(make({ idle }), RangeError, '"idle"');
  for (const idle of [1, 400 * 86_400]) make({ idle, absolute: idle })();
  assertThrows(make({ absolute: 0 }), RangeError, '"absolute"');
  for (const name of ["", "a b", "a;b", "a=b", "é", "x".repeat(101)]) {
    assertThrows(make({ cookie: { name } }), TypeError, "session cookie");
  }
  assertThrows(make({ cookie: { name: "__Host-s" } }), TypeError, '"secure"');
  assertThrows(make({ cookie: { name: "__host-s", secure: true, path: "/app" } }), TypeError, '"path"');
  assertThrows(make({ cookie: { name: "__Host-s", secure: true, domain: "example.com" } }), TypeError, '"domain"');
  assertThrows(make({ cookie: { sameSite: "None" } }), TypeError, '"secure"');
  assertThrows(make({ cookie: { partitioned: true } }), TypeError, '"secure"');
  assertThrows(make({ cookie: { path: "app" } }), TypeError, "path");
  assertThrows(make({ cookie: { path: "/a;b" } }), TypeError, "path");
  assertThrows(make({ cookie: { domain: "example.com-" } }), TypeError, "domain");
});

Deno.test("sessions: no error message shows a key", () => {
  const keys = ["short secret"];
  const error = assertThrows(() => new SessionManager({ store: new MemoryStore(), keys }), RangeError);
  assert(!error.message.includes("secret"));
});

Deno.test("sessions: an option that is undefined counts as not given", async () => {
  const none = undefined;
  const cookie = {
    name: none,
    domain: none,
    path: none,
    httpOnly: none,
    secure: none,
    sameSite: none,
    partitioned: none,
  };
  const options = { cookie, refresh: none, permanent: none, log: none };
  const [plain, undef] = [site(), site(options)];
  for (const one of [plain, undef]) await one.visit(register);
  const attributes = (one: typeof plain) => one.browser.setCookies.map((line) => line.slice(line.indexOf(";")));
  assertEquals(attributes(undef), attributes(plain));
  new SessionManager({ store: new MemoryStore(), keys: [KEY], idle: none, absolute: none, now: none });
});

Deno.test("sessions: options of the wrong type are refused at construction", () => {
  const wrong: Record<string, unknown>[] = [
    { idle: "1800" },
    { absolute: "1h" },
    { permanent: "false" },
    { refresh: 1 },
    { keys: KEY },
    { keys: [1] },
    { store: undefined },
    { log: "info" },
    { cookie: { httpOnly: "yes" } },
    { cookie: { secure: 1 } },
    { cookie: { sameSite: "lax" } },
    { cookie: { sameSite: false } },
    { cookie: { partitioned: null } },
    { cookie: { path: "/é" } },
    { cookie: { path: `/${"x".repeat(1024)}` } },
    { cookie: { domain: "com" } },
    { cookie: { domain: "192.168.0.1" } },
    { cookie: { domain: "a..b" } },
    { cookie: { domain: "" } },
    { cookie: { name: 7 } },
    { cookie: { name: "__Secure-s" } },
    { cookie: { name: "__Http-s", secure: true, httpOnly: false } },
  ];
  for (const options of wrong) {
    const make = () => new SessionManager({ store: new MemoryStore(), keys: [KEY], ...options } as SessionOptions);
    assert(
      [TypeError, RangeError].includes(assertThrows(make).constructor as typeof TypeError),
      JSON.stringify(options),
    );
  }
});

Deno.test("sessions: without a type argument a manager takes any JSON", async () => {
  const sessions = new SessionManager({ store: new MemoryStore(), keys: [KEY] });
  const session = await sessions.open(new Request("http://localhost/"));
  session.set("cart", [{ tea: 1 }, null]);
  assertEquals(session.get("cart"), [{ tea: 1 }, null]);
});

Deno.test("sessions: an unknown or invalid option is refused by name", () => {
  const wrong: [object, string][] = [
    [{ maxAge: 5 }, '"maxAge"'],
    [{ cookie: { maxAge: 5 } }, '"maxAge"'],
    [{ cookie: { sameSite: "lax" } }, '"sameSite"'],
    [{ cookie: "session" }, '"cookie"'],
    [{ idle: NaN }, '"idle"'],
    [{ idle: "60" }, '"idle"'],
    [{ absolute: Infinity }, '"absolute"'],
    [{ refresh: 1 }, '"refresh"'],
    [{ permanent: "yes" }, '"permanent"'],
    [{ on: "event" }, '"on"'],
    [{ log: console }, '"log"'],
    [{ now: 0 }, '"now"'],
    [{ keys: KEY }, '"keys"'],
    [{ keys: [] }, '"keys"'],
    [{ store: {} }, '"store"'],
    [{ store: undefined }, '"store"'],
  ];
  for (const [options, name] of wrong) {
    const all = { store: new MemoryStore(), keys: [KEY], ...options };
    const error = assertThrows(() => new SessionManager(all as SessionOptions)) as Error;
    const isNamed = (error instanceof TypeError || error instanceof RangeError) && error.message.includes(name);
    assert(isNamed && !error.message.includes(KEY), error.message);
  }
});

Deno.test("sessions: a use within a tenth of the lifetime stores nothing", async () => {
  const { calls, clock, visit } = site();
  await visit(register);
  clock.pass(5);
  calls.length = 0;
  await visit();
  assertEquals(calls, ["read"]);
});

Deno.test("sessions: a mere use sends no cookie, which could arrive after a log-in's", async () => {
  const { browser, clock, request, sessions, visit } = site();
  await visit(register);
  clock.pass(30);
  const [reads, writes] = [await sessions.open(request()), await sessions.open(request())];
  writes.set("n", 1);
  const logsIn = await sessions.open(request());
  const late = [await sessions.save(reads), await sessions.save(writes)];
  logsIn.logIn("ada");
  assertEquals((await sessions.save(logsIn)).length, 1);
  assertEquals([late, browser.cookies.size], [[[], []], 1]);
});

Deno.test("sessions: an answer that cannot be sent is refused before anything is stored", async () => {
  const { memory, sessions } = site();
  for (const response of [undefined, null, "hello", {}, Response.error()]) {
    const session = await sessions.open(new Request("http://localhost/"));
    session.set("n", 1);
    await assertRejects(() => sessions.commit(session, response as Response), TypeError, "Response");
  }
  assertEquals(memory.size, 0);
});
