/** SessionManager: cookies, lifetimes, new ids, and what happens when requests meet. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { Session } from "../../lib/session.ts";
import { SessionGoneError, SessionManager, type SessionOptions, SessionStoreError } from "../../lib/session_manager.ts";
import { Signer } from "../../lib/signer.ts";
import { type SessionStore, StoreFullError } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Browser, Clock, newId } from "../support/server.ts";

interface Data {
  user: string;
  n: number;
  other: number;
}

const KEY = "the key that these tests sign with, 32 bytes or more";
const OLD_KEY = "an older key that these tests sign with, 32 bytes or more";
const SECOND = 1000;

type Act = (session: Session<Data>) => void | Promise<void>;

/** A site of one page that does to the session whatever the test says. */
function site(options: Partial<SessionOptions> = {}) {
  const clock = new Clock();
  const calls: string[] = [];
  const memory = new MemoryStore(clock);
  const store: SessionStore = options.store ?? memory;
  const counted = new Proxy(store, {
    get(target, verb: keyof SessionStore) {
      const value = target[verb];
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (verb !== "sweep") calls.push(verb);
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const sessions = new SessionManager<Data>({
    keys: [KEY],
    idle: 60,
    absolute: 600,
    now: clock.now,
    ...options,
    store: counted,
  });
  let act: Act = () => {};
  const handler = sessions.wrap(async (_request, open) => {
    const session = await open();
    await act(session);
    return new Response(JSON.stringify(session.data));
  });
  const newBrowser = () => new Browser("http://localhost", handler);
  const browser = newBrowser();
  const visit = async (does: Act = () => {}, by = browser): Promise<Data> => {
    act = does;
    return JSON.parse(await by.get("/"));
  };
  return { browser, calls, clock, handler, memory, newBrowser, sessions, visit };
}

const logIn: Act = (session) => session.set("user", "Ada");

Deno.test("sessions: a visitor for whom nothing is stored gets no cookie, and the store is not asked", async () => {
  const { browser, calls, visit } = site();
  await visit();
  assertEquals([browser.setCookies, calls], [[], []]);
});

Deno.test("sessions: a handler that does not open the session causes no call, cookie or header", async () => {
  const { browser, calls, sessions, visit } = site();
  await visit(logIn);
  calls.length = 0;
  const handler = sessions.wrap(() => new Response("static"));
  const response = await handler(new Request("http://localhost/", { headers: { cookie: browser.cookie } }));
  assertEquals([[...response.headers.keys()], calls], [["content-type"], []]);
});

Deno.test("sessions: what is stored in one request is there in the next", async () => {
  const { visit } = site();
  await visit(logIn);
  assertEquals(await visit(), { user: "Ada" } as Data);
});

Deno.test("sessions: the cookie is a 128-bit id and its signature, with every attribute spelled out", async () => {
  const { browser, visit } = site();
  await visit(logIn);
  assertMatch(
    browser.setCookies.join("\n"),
    /^session=[0-9a-f]{32}\.[\w-]{43}; HttpOnly; Max-Age=60; SameSite=Lax; Path=\/$/,
  );
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
  await visit(logIn);
  assertMatch(
    browser.setCookies.join("\n"),
    /^sid=\S+; Secure; Partitioned; Max-Age=60; Domain=example.com; SameSite=None; Path=\/app$/,
  );
});

Deno.test("sessions: a browser-length cookie has no Max-Age, and is not sent again when the session is extended", async () => {
  const { browser, clock, visit } = site({ permanent: false });
  await visit(logIn);
  assertMatch(browser.setCookies.join("\n"), /^session=\S+; HttpOnly; SameSite=Lax; Path=\/$/);
  clock.time += 30 * SECOND;
  await visit();
  assertEquals(browser.setCookies, []);
  clock.time += 59 * SECOND;
  assertEquals(await visit(), { user: "Ada" } as Data);
});

Deno.test("sessions: an answer that read the session is neither stored by caches nor shared by them", async () => {
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
    (await open()).set("user", "Ada");
    return Response.redirect("http://localhost/home", 303);
  });
  const response = await handler(new Request("http://localhost/"));
  assertEquals([response.status, response.headers.get("location")], [303, "http://localhost/home"]);
  assertEquals(response.headers.getSetCookie().length, 1);
});

Deno.test("sessions: a wrapped handler is given what else the server passes along", async () => {
  const { sessions } = site();
  const handler = sessions.wrap((_request, _open, info: { remote: string }) => new Response(info.remote));
  assertEquals(await (await handler(new Request("http://localhost/"), { remote: "127.0.0.1" })).text(), "127.0.0.1");
});

Deno.test("sessions: a handler that throws stores nothing", async () => {
  const { browser, calls, visit } = site();
  const fails: Act = (session) => {
    session.set("user", "Ada");
    throw new Error("no");
  };
  await assertRejects(() => visit(fails), Error, "no");
  assertEquals([browser.setCookies, calls], [[], []]);
});

// The cookie as an attacker may change it.

Deno.test("sessions: a forged cookie is the same as none, and the store is not asked", async () => {
  const { calls, newBrowser, sessions, visit } = site();
  const id = newId();
  const right = new Signer([KEY], "session id\0session").sign(id);
  const forged = [
    "",
    "x",
    id,
    `${id}.`,
    `${newId()}${right.slice(32)}`,
    `${right}x`,
    right.slice(0, -1),
    ` ${right.slice(0, 40)} ${right.slice(40)}`,
    new Signer([OLD_KEY], "session id\0session").sign(id),
    new Signer([KEY], "session id\0other").sign(id),
    new Signer([KEY], "session id\0session").sign("../../etc/passwd"),
    new Signer([KEY], "session id\0session").sign(id.toUpperCase()),
  ];
  for (const value of forged) {
    const browser = newBrowser();
    browser.cookies.set("session", value);
    assertEquals(await visit(undefined, browser), {} as Data);
    assertEquals(browser.setCookies, []);
  }
  assertEquals(calls, []);
  assertEquals(sessions.counters.badSignature, forged.length);
});

Deno.test("sessions: a validly signed id that the store does not know is never adopted", async () => {
  const { newBrowser, visit } = site();
  const browser = newBrowser();
  const planted = newId();
  browser.cookies.set("session", new Signer([KEY], "session id\0session").sign(planted));
  assertEquals(await visit(undefined, browser), {} as Data);
  await visit(logIn, browser);
  assert(!browser.cookie.includes(planted));
});

Deno.test("sessions: a cookie does not work under another name", async () => {
  const one = site({ cookie: { name: "one" } });
  await one.visit(logIn);
  const two = site({ cookie: { name: "two" }, store: one.memory });
  two.browser.cookies.set("two", one.browser.cookies.get("one")!);
  assertEquals(await two.visit(), {} as Data);
});

Deno.test("sessions: a cookie signed with an older key works, and is signed anew at its next use", async () => {
  const before = site({ keys: [OLD_KEY] });
  await before.visit(logIn);
  const after = site({ keys: [KEY, OLD_KEY], store: before.memory });
  after.browser.cookies.set("session", before.browser.cookies.get("session")!);
  assertEquals(await after.visit(), { user: "Ada" } as Data);
  assertEquals(after.browser.setCookies.length, 1);

  await after.visit();
  assertEquals(after.browser.setCookies, [], "once is enough");
  const later = site({ keys: [KEY], store: before.memory });
  later.browser.cookies.set("session", after.browser.cookies.get("session")!);
  assertEquals(await later.visit(), { user: "Ada" } as Data);
});

Deno.test("sessions: of several cookies of the name, the one valid one counts", async () => {
  const { browser, handler, visit } = site();
  await visit(logIn);
  await visit();
  const valid = browser.cookie;
  for (
    const cookie of [`session=x; ${valid}`, `${valid}; session=x`, `${valid}; ${valid}`, `=x; ${valid};;`, `a;${valid}`]
  ) {
    const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
    assertEquals(await response.json(), { user: "Ada" }, cookie);
  }
});

Deno.test("sessions: two distinct valid cookies count as none and are deleted, with the attributes they were set with", async () => {
  const { browser, handler, newBrowser, visit } = site({ cookie: { name: "__Host-session", secure: true } });
  await visit(logIn);
  const other = newBrowser();
  await visit(logIn, other);
  await visit();
  const cookie = `${browser.cookie}; ${other.cookie}`;
  const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
  assertEquals(await response.json(), {});
  assertEquals(response.headers.getSetCookie(), [
    "__Host-session=; Secure; HttpOnly; Max-Age=0; SameSite=Lax; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
  ]);
});

// Lifetimes.

Deno.test("sessions: one is there a millisecond before its idle limit, and gone at it", async () => {
  const { clock, visit } = site();
  await visit(logIn);
  clock.time += 60 * SECOND - 1;
  assertEquals(await visit(), { user: "Ada" } as Data);

  clock.time += 60 * SECOND;
  assertEquals(await visit(), {} as Data);
});

Deno.test("sessions: no number of uses passes the absolute limit", async () => {
  const { clock, visit } = site();
  await visit(logIn);
  for (let second = 1; second < 600; second++) {
    clock.time += SECOND;
    const act: Act = second % 7 === 0 ? (session) => session.renew() : second % 5 === 0 ? logIn : () => {};
    assertEquals(await visit(act), { user: "Ada" } as Data, `after ${second} seconds`);
  }
  clock.time += SECOND;
  assertEquals(await visit(), {} as Data);
});

Deno.test("sessions: use is stored once in a tenth of the lifetime at most, and the cookie sent with it", async () => {
  const { browser, calls, clock, visit } = site();
  await visit(logIn);
  calls.length = 0;
  let cookies = 0;
  for (let second = 0; second < 60; second++) {
    clock.time += SECOND;
    await visit();
    cookies += browser.setCookies.length;
  }
  assertEquals(calls.filter((verb) => verb !== "read").length, 10);
  assertEquals([new Set(calls), cookies], [new Set(["read", "touch"]), 10]);
});

Deno.test("sessions: with refresh off only a change extends the life", async () => {
  const { calls, clock, visit } = site({ refresh: false });
  await visit(logIn);
  clock.time += 30 * SECOND;
  await visit();
  assert(!calls.includes("touch"));
  clock.time += 20 * SECOND;
  await visit((session) => session.set("n", 1));
  clock.time += 59 * SECOND;
  assertEquals(await visit(), { user: "Ada", n: 1 } as Data);
});

Deno.test("sessions: a clock set back a day extends nothing", async () => {
  const { browser, clock, visit } = site();
  await visit(logIn);
  clock.time -= 24 * 3600 * SECOND;
  assertEquals(await visit(), {} as Data);
  assertEquals(browser.setCookies, []);
});

Deno.test("sessions: a shorter lifetime ends the sessions that would outlive it", async () => {
  for (const shorter of [{ idle: 60 }, { absolute: 60 }]) {
    const before = site({ idle: 600, absolute: 600 });
    await before.visit(logIn);
    const after = site({ idle: 600, absolute: 600, ...shorter, store: before.memory, now: before.clock.now });
    after.browser.cookies.set("session", before.browser.cookies.get("session")!);
    assertEquals(await after.visit(), {} as Data, JSON.stringify(shorter));
  }
});

Deno.test("sessions: clocks that differ by some seconds do no harm", async () => {
  const { clock, visit } = site();
  await visit(logIn);
  clock.time -= 30 * SECOND;
  assertEquals(await visit(), { user: "Ada" } as Data);
});

Deno.test("sessions: expires() tells when the session will end, the use under way counted", async () => {
  const { clock, sessions, visit } = site();
  const ends = clock.time + 600 * SECOND;
  const left: number[] = [];
  const look: Act = (session) => void left.push(sessions.expires(session) - clock.time);
  await visit(logIn);
  for (const seconds of [5, 45, 45, 45]) {
    clock.time += seconds * SECOND;
    await visit(look);
  }
  assertEquals(left, [55, 60, 60, 60].map((seconds) => seconds * SECOND));
  while (clock.time < ends - 50 * SECOND) {
    clock.time += 50 * SECOND;
    await visit(look);
  }
  assert(left.at(-1)! <= ends - clock.time);
});

// Ends and new ids.

Deno.test("sessions: end() deletes the data and the cookie, with the attributes it was set with", async () => {
  const cookie = { name: "__Host-session", secure: true, partitioned: true, sameSite: "Strict" } as const;
  const { browser, memory, visit } = site({ cookie });
  await visit(logIn);
  await visit((session) => session.end());
  assertEquals(browser.setCookies, [
    "__Host-session=; Secure; HttpOnly; Partitioned; Max-Age=0; SameSite=Strict; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
  ]);
  assertEquals(memory.size, 0);
});

Deno.test("sessions: ending a session that was never stored does nothing", async () => {
  const { browser, calls, visit } = site();
  await visit((session) => {
    session.set("user", "Ada");
    session.end();
  });
  assertEquals([browser.setCookies, calls], [[], []]);
});

Deno.test("sessions: renew() moves the data to a new id, and the old one is dead before the answer leaves", async () => {
  const { browser, memory, newBrowser, visit } = site();
  await visit((session) => session.set("n", 1));
  const old = newBrowser();
  old.cookies.set("session", browser.cookies.get("session")!);
  await visit((session) => {
    session.set("user", "Ada");
    session.renew();
  });
  assert(browser.cookie !== old.cookie);
  assertEquals(await visit(), { n: 1, user: "Ada" } as Data);
  assertEquals(await visit(undefined, old), {} as Data);
  assertEquals(memory.size, 1);
});

// Requests that meet.

/** Opens the session for two requests, then commits them in order; returns whether each commit was stored. */
async function meet(first: Act, second: Act, options: Partial<SessionOptions> = {}) {
  const one = site(options);
  await one.visit((session) => session.set("n", 1));
  const request = () => new Request("http://localhost/", { headers: { cookie: one.browser.cookie } });
  const sessions = [await one.sessions.open(request()), await one.sessions.open(request())];
  await first(sessions[0]!);
  await second(sessions[1]!);
  const stored = [];
  const cookies = [];
  for (const session of sessions) {
    try {
      const response = await one.sessions.commit(session, new Response());
      cookies.push(response.headers.get("set-cookie"));
      stored.push(true);
    } catch (error) {
      if (!(error instanceof SessionGoneError)) throw error;
      stored.push(false);
    }
  }
  return { ...one, stored, cookies };
}

Deno.test("sessions: requests that change different keys at once both keep theirs", async () => {
  const { stored, visit } = await meet((one) => one.set("user", "Ada"), (two) => two.set("other", 2));
  assertEquals(stored, [true, true]);
  assertEquals(await visit(), { n: 1, user: "Ada", other: 2 });
});

Deno.test("sessions: a new id takes along what another request stored meanwhile", async () => {
  const { newBrowser, cookies, stored, visit } = await meet((one) => one.set("other", 2), (two) => {
    two.set("user", "Ada");
    two.renew();
  });
  assertEquals(stored, [true, true]);
  const browser = newBrowser();
  browser.cookies.set("session", cookies[1]!.split(/[=;]/)[1]!);
  assertEquals(await visit(undefined, browser), { n: 1, user: "Ada", other: 2 });
});

Deno.test("sessions: a request whose session was ended meanwhile says that it stored nothing, and revives nothing", async () => {
  for (
    const late of [
      (session: Session<Data>) => session.set("user", "Ada"),
      (session: Session<Data>) => session.update("n", (n = 0) => n + 1),
      (session: Session<Data>) => {
        session.set("user", "Ada");
        session.renew();
      },
    ]
  ) {
    const { memory, sessions, stored, visit } = await meet((one) => one.end(), late);
    assertEquals(stored, [true, false]);
    assertEquals([await visit(), memory.size, sessions.counters.gone], [{} as Data, 0, 1]);
  }
});

Deno.test("sessions: of two requests that get a new id at once, one does, and one session is left", async () => {
  const renew: Act = (session) => session.renew();
  const { memory, stored } = await meet(renew, renew);
  assertEquals([stored, memory.size], [[true, false], 1]);
});

Deno.test("sessions: a page that only read a session that ended meanwhile is answered, without a cookie", async () => {
  const { clock, sessions, visit, browser } = site();
  await visit(logIn);
  clock.time += 30 * SECOND;
  const request = new Request("http://localhost/", { headers: { cookie: browser.cookie } });
  const session = await sessions.open(request);
  await visit((session) => session.end());
  const response = await sessions.commit(session, new Response("read"));
  assertEquals([await response.text(), response.headers.has("set-cookie")], ["read", false]);
});

// A store that fails.

function failing(verbs: (keyof SessionStore)[], inner: SessionStore): SessionStore {
  const fail = () => Promise.reject(new Error("the disk is on fire"));
  return new Proxy(inner, {
    get: (target, verb: keyof SessionStore) => {
      if (verbs.includes(verb)) return fail;
      const value = target[verb];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("sessions: a store that fails is told apart, and what was stored before still stands", async () => {
  const clock = new Clock();
  const cases: [verb: keyof SessionStore, act: Act][] = [
    ["read", () => {}],
    ["update", (session) => session.set("n", 2)],
    ["delete", (session) => session.end()],
    ["create", (session) => session.renew()],
    ["delete", (session) => session.renew()],
  ];
  for (const [verb, act] of cases) {
    const memory = new MemoryStore(clock);
    const good = site({ store: memory, now: clock.now });
    await good.visit((session) => session.set("n", 1));
    const lines: string[] = [];
    const log = (level: string, event: string, detail?: string) => void lines.push(`${level} ${event}: ${detail}`);
    const bad = site({ store: failing([verb], memory), now: clock.now, log });
    bad.browser.cookies.set("session", good.browser.cookies.get("session")!);
    await assertRejects(() => bad.visit(act), SessionStoreError, `failed to ${verb}`);
    assertEquals(lines, [`error The session store failed to ${verb}: the disk is on fire`]);
    assertEquals(bad.sessions.counters.failed, 1);
    assertEquals(await good.visit(), { n: 1 } as Data, `after ${verb}`);
  }
});

Deno.test("sessions: a page that only reads is answered though its session cannot be extended", async () => {
  const clock = new Clock();
  const memory = new MemoryStore(clock);
  const { browser, visit } = site({ store: failing(["touch"], memory), now: clock.now });
  await visit(logIn);
  clock.time += 30 * SECOND;
  assertEquals(await visit(), { user: "Ada" } as Data);
  assertEquals(browser.setCookies, []);
});

Deno.test("sessions: a full store refuses new sessions, and the others go on", async () => {
  const { newBrowser, sessions, visit } = site({ store: new MemoryStore({ max: 1 }), now: Date.now });
  await visit(logIn);
  await assertRejects(() => visit(logIn, newBrowser()), StoreFullError);
  assertEquals(await visit((session) => session.set("n", 1)), { user: "Ada", n: 1 } as Data);
  assertEquals(sessions.counters.full, 1);
});

// Misuse fails early.

Deno.test("sessions: a session is committed once, and only by the one who opened it", async () => {
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  await sessions.commit(session, new Response());
  await assertRejects(() => sessions.commit(session, new Response()), TypeError, "committed before");
});

Deno.test("sessions: settings that cannot work are refused at construction", () => {
  const store = new MemoryStore();
  const make = (options: Partial<SessionOptions>) => () => new SessionManager({ store, keys: [KEY], ...options });
  assertThrows(make({ keys: [] }), TypeError, "at least one key");
  assertThrows(make({ keys: [KEY, "x".repeat(31)] }), RangeError, "key 2: needed at least 32 bytes, received 31");
  for (const idle of [0, 0.5, -1, NaN, 400 * 86_400 + 1]) assertThrows(make({ idle }), RangeError, '"idle"');
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

Deno.test("sessions: no message of theirs shows a key", () => {
  const keys = ["short secret"];
  const error = assertThrows(() => new SessionManager({ store: new MemoryStore(), keys }), RangeError);
  assert(!error.message.includes("secret"));
});
