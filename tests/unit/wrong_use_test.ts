/** Wrong use: invalid arguments are refused by name, and late failures of a program's functions end nothing. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { honoSessions } from "../../lib/adapters/hono.ts";
import { nodeSessions } from "../../lib/adapters/node.ts";
import { oakSessions } from "../../lib/adapters/oak.ts";
import { isCrossSite } from "../../lib/cross_site.ts";
import { replaceAnswer } from "../../lib/_headers.ts";
import { createLog } from "../../lib/log.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { Signer } from "../../lib/signer.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { withTelemetry } from "../../lib/telemetry.ts";
import { Clock, cookieFor, testStore } from "../../lib/testing.ts";
import { failing, KEY, site } from "../support/site.ts";

// deno-lint-ignore no-explicit-any -- values of wrong types
const wrong = (value: unknown) => value as any;

Deno.test("wrong use: a function that rejects late ends no process", async () => {
  const late = () => Promise.reject(new Error("late"));
  createLog("warn", wrong(late))("warn", "text");
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  assertThrows(() => session.update("n", wrong(late)), TypeError, "received a Promise");
  await new Promise((done) => setTimeout(done));
});

/** Runs some work while the API of OpenTelemetry is registered. */
function withApi(work: () => void): void {
  const name = Symbol.for("opentelemetry.js.api.1");
  const counter = { createCounter: () => ({ add() {} }) };
  const before = wrong(globalThis)[name];
  wrong(globalThis)[name] = { trace: { getTracer: () => ({}) }, metrics: { getMeter: () => counter } };
  try {
    work();
  } finally {
    wrong(globalThis)[name] = before;
  }
}

Deno.test("telemetry: the manager reports the failure of an asynchronous listener", () => {
  withApi(() => {
    const { on } = withTelemetry({ store: new MemoryStore(), keys: [KEY], on: wrong(() => "returned") });
    assertEquals(wrong(on)({ type: "made" }), "returned");
  });
});

Deno.test("telemetry: invalid options are refused by name, as by the manager", () => {
  const valid = { store: new MemoryStore(), keys: [KEY] };
  withApi(() => {
    for (const [name, value] of [["on", 5], ["store", {}], ["store", undefined], ["idle", "60"]] as const) {
      assertThrows(() => withTelemetry(wrong({ ...valid, [name]: value })), TypeError, `"${name}"`);
    }
    assertThrows(() => withTelemetry(wrong(undefined)), TypeError, "needed an object with options");
  });
});

Deno.test("wrong use: a store without a verb of the contract is refused, naming the verb", () => {
  for (const verb of ["create", "read", "update", "touch", "delete", "move"]) {
    const store = new Proxy(new MemoryStore(), {
      get: (target, name) => name === verb ? undefined : Reflect.get(target, name),
    });
    assertThrows(() => new SessionManager({ store, keys: [KEY] }), TypeError, `"store" must be a session store`);
    assertThrows(() => new SessionManager({ store, keys: [KEY] }), TypeError, `has no ${verb}`);
  }
});

Deno.test("wrong use: a list, a Map or a promise is refused as an object with options", () => {
  const { sessions } = site();
  const valid = { store: new MemoryStore(), keys: [KEY] };
  for (const none of [[], new Map([["secure", true]]), new Set(), Promise.resolve({ secure: true }), new Date()]) {
    assertThrows(() => new SessionManager(wrong({ ...valid, cookie: none })), TypeError, '"cookie" must be an object');
    assertThrows(() => sessions.wrap(() => new Response(), wrong(none)), TypeError, "needed an object with options");
  }
  class Cookie {
    secure = true;
  }
  for (const cookie of [new Cookie(), Object.assign(Object.create(null), { secure: true })]) {
    new SessionManager({ ...valid, cookie, bound: { path: "/bound" } });
  }
});

Deno.test("wrong use: a bound path that no address can have is refused", () => {
  const valid = { store: new MemoryStore(), keys: [KEY], cookie: { secure: true } };
  for (const path of ["/.", "/..", "/../", "/a/..", "/a/./b", "/../a"]) {
    assertThrows(() => new SessionManager({ ...valid, bound: { path } }), TypeError, '"path"');
  }
  for (const path of ["/.a", "/a.", "/...", "/.well-known/bound/"]) new SessionManager({ ...valid, bound: { path } });
});

Deno.test("wrong use: a log's level and functions are refused by name", () => {
  for (const level of ["verbose", undefined, 5]) assertThrows(() => createLog(wrong(level)), TypeError, '"least"');
  assertThrows(() => createLog("warn", wrong("x")), TypeError, '"write"');
  assertThrows(() => createLog("warn", undefined, wrong(5)), TypeError, '"now"');
});

Deno.test("wrong use: adapters refuse a manager or a context of another type", () => {
  const { sessions } = site();
  type Adapter = (manager: typeof sessions) => { open(context: object): unknown };
  for (const make of [honoSessions, oakSessions, nodeSessions] as unknown as Adapter[]) {
    for (const none of [undefined, null, {}]) assertThrows(() => make(wrong(none)), TypeError, '"sessions" must be');
    const { open } = make(sessions);
    for (const none of [undefined, {}]) assertThrows(() => open(wrong(none)), Error, "the middleware");
  }
});

Deno.test("wrong use: a request without a Headers object is refused, naming the adapter", async () => {
  const { sessions } = site();
  for (const none of [undefined, null, {}, "http://localhost/", { headers: { cookie: "session=1" } }]) {
    await assertRejects(() => sessions.open(wrong(none)), TypeError, "nodeSessions");
    const handler = sessions.wrap(async (_request, open) => Response.json((await open()).data));
    await assertRejects(() => handler(wrong(none)), TypeError, "nodeSessions");
    assertThrows(() => isCrossSite(wrong(none)), TypeError, '"headers"');
  }
});

Deno.test("wrong use: a key that is no string is refused by every method", async () => {
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  session.set("n", 1);
  for (const key of [undefined, null, {}, 5, Symbol("key")].map(wrong)) {
    const uses = {
      get: () => session.get(key),
      "look for": () => session.has(key),
      set: () => session.set(key, 1),
      update: () => session.update(key, () => 1),
      take: () => session.take(key),
      delete: () => session.delete(key),
    };
    for (const [verb, use] of Object.entries(uses)) {
      assertThrows(use, TypeError, `Cannot ${verb} a value: its key must be a string`);
    }
  }
  assertEquals(session.data, { n: 1 });
});

Deno.test("wrong use: the helpers for tests name a missing or invalid argument", async () => {
  const { sessions } = site();
  await assertRejects(() => cookieFor(wrong(undefined), {}), TypeError, '"sessions"');
  for (const data of [undefined, null, "abc"]) {
    await assertRejects(() => cookieFor(sessions, wrong(data)), TypeError, '"data"');
  }
  for (const time of ["x", NaN, null]) assertThrows(() => new Clock(wrong(time)), TypeError, '"time"');
  assertThrows(() => testStore(wrong(undefined)), TypeError, "Cannot test a store");
  assertThrows(() => testStore(wrong({})), TypeError, '"name"');
});

Deno.test("headers: an error has no header that would send a file or another page", () => {
  const headers = { "x-accel-redirect": "/private/a", "x-sendfile": "/a", refresh: "0; url=/home", "x-mine": "1" };
  const sent = replaceAnswer(new Response("", { headers }), new Response("", { status: 409 })).headers;
  assertEquals(Object.keys(headers).map((name) => sent.get(name)), [null, null, null, "1"]);
});

Deno.test("cross-site: an origin that is not an http: or https: address is refused", () => {
  for (const headers of [{ origin: "null" }, { "sec-fetch-site": "same-origin" }] as Record<string, string>[]) {
    const request = new Request("http://localhost/", { headers });
    for (const origin of ["localhost:8000", "example.com", "mailto:x", ""]) {
      assertThrows(() => isCrossSite(request, origin), TypeError, JSON.stringify(origin));
    }
  }
});

Deno.test("headers: an error has no cache headers that were meant for the withheld answer", () => {
  const headers = { "cdn-cache-control": "max-age=9", "surrogate-control": "max-age=9", "x-accel-expires": "9" };
  const error = new Response("", { status: 503, headers: { "cache-control": "no-store" } });
  const sent = replaceAnswer(new Response("", { headers }), error).headers;
  assertEquals(Object.keys(headers).map((name) => sent.get(name)), ["no-store", "no-store", "0"]);
});

Deno.test("wrong use: values of a wrong type are named in the error", async () => {
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  for (const none of [undefined, null, 5]) {
    assertThrows(() => new Signer(wrong(none), "p"), TypeError, "needed a list of keys");
    assertEquals(new Signer([KEY], "p").unsign(wrong(none)), undefined);
    assertThrows(() => sessions.follow(wrong(none)), TypeError, "Cannot use a session");
    assertThrows(() => session.update("n", wrong(none)), TypeError, "needed a function");
    await assertRejects(() => sessions.end("ada", wrong(none)), TypeError, "the handle must be a string");
    assertThrows(() => sessions.wrap(wrong(none)), TypeError, "needed a function");
    await assertRejects(() => sessions.follow(session).change(wrong(none)), TypeError, "needed a function");
  }
});

Deno.test("wrap: if `unavailable` resolves to nothing, the plain answer is sent", async () => {
  const { sessions } = site({ store: failing(["create"], new MemoryStore()) });
  const handler = sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    return new Response();
  }, { unavailable: wrong(() => Promise.resolve()) });
  assertEquals((await handler(new Request("http://localhost/"))).status, 503);
});
