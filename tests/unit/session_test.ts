/** Session: the changes that a request can make, and those that are refused. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { SessionManager } from "../../lib/session_manager.ts";
import { cookieFor } from "../../lib/testing.ts";
import { site } from "../support/site.ts";

// deno-lint-ignore no-explicit-any -- any data at all
type Anything = Record<string, any>;

/** An opened session that holds some data already. */
async function stored(data: Anything = {}) {
  const one = site();
  const sessions = one.sessions as unknown as SessionManager<Anything>;
  const cookie = await cookieFor(sessions, data);
  one.browser.cookies.set("session", cookie.split(/[=;]/)[1]!);
  return { ...one, sessions, session: await sessions.open(one.request()) };
}

Deno.test("session: it starts empty and unchanged", async () => {
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  assertEquals([session.data, session.get("name"), session.changed], [{}, undefined, false]);
  assertEquals([session.user, session.handle], [undefined, undefined]);
});

Deno.test("session: reading changes nothing", async () => {
  const { session } = await stored({ name: "Ada" });
  assertEquals([session.get("name"), session.has("name"), session.has("other")], ["Ada", true, false]);
  assertEquals([session.take("other"), session.takeFlashes(), session.changed], [undefined, [], false]);
});

Deno.test("session: a request sees its own changes", async () => {
  const { session } = await stored({ name: "Ada", n: 1 });
  session.set("name", "Bob");
  session.delete("n");
  session.update("visits", (visits = 0) => visits + 1);
  assertEquals(session.data, { name: "Bob", visits: 1 });
  assertEquals([session.take("visits"), session.get("visits")], [1, undefined]);
  session.flash("one");
  session.flash("two", "error");
  const flashes = [{ category: "message", message: "one" }, { category: "error", message: "two" }];
  assertEquals([session.takeFlashes(), session.takeFlashes()], [flashes, []]);
  session.clear();
  assertEquals(session.data, {});
});

Deno.test("session: undefined removes a value, set or returned by an update", async () => {
  const { session } = await stored({ a: 1, b: 2 });
  session.set("a", undefined);
  session.update("b", () => undefined);
  assertEquals([session.data, session.has("a")], [{}, false]);
});

Deno.test("session: a value set is copied", async () => {
  const { session } = await stored();
  const cart = ["tea"];
  session.set("cart", cart);
  cart.push("coffee");
  assertEquals(session.get("cart"), ["tea"]);
});

Deno.test("session: a value that was read is frozen, so that changing it throws", async () => {
  const { session } = await stored({ old: { items: ["tea"] } });
  session.set("cart", { items: ["tea"] });
  for (const key of ["cart", "old"]) assertThrows(() => session.get(key)!.items.push("coffee"), TypeError);
});

Deno.test("session: set refuses a value that JSON would change, and names its place", async () => {
  const { session } = await stored();
  const cycle: Anything = {};
  cycle["self"] = cycle;
  const wrong = [
    ...[() => {}, Symbol("s"), 1n, NaN, Infinity, -Infinity, cycle, new Map(), new Set([1]), new Date(), /x/],
    ...[new Uint8Array(2), new (class Cart {})(), Object(1), [undefined], [, 1], { a: undefined }, { a: [NaN] }],
    ..."tea".matchAll(/t/g),
    ...[{ [Symbol("s")]: 1 }, { toJSON: () => 1 }, { deep: { map: new Map([[1, 2]]) } }, nested(10_000)],
  ];
  for (const value of wrong) {
    assertThrows(() => session.set("cart", value), TypeError, 'Cannot set "cart"');
    assertThrows(() => session.update("cart", () => value), TypeError, 'Cannot update "cart"');
  }
  assertThrows(() => session.set("cart", { a: [1, NaN] }), TypeError, "its value at .a[1] must be one that JSON keeps");
  assertThrows(() => session.set("cart", NaN), TypeError, "its value must be one that JSON keeps");
  assertEquals(session.changed, false);
  const right = [null, true, 0, -1.5, "", "\ud800", [], {}, Object.create(null), [[{ a: [1] }]], nested(100)];
  for (const value of right) session.set("cart", value);
});

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

Deno.test("session: __proto__, constructor and toString are ordinary keys", async () => {
  const { session, sessions, request } = await stored();
  const keys = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  for (const key of keys) {
    assertEquals([session.get(key), session.has(key)], [undefined, false]);
    session.set(key, JSON.parse('{"__proto__": {"admin": true}}'));
  }
  assertEquals(({} as Anything)["admin"], undefined);
  await sessions.save(session);
  const again = await sessions.open(request());
  assertEquals(Object.keys(again.data), keys);
  for (const key of keys) assertEquals(JSON.stringify(again.get(key)), '{"__proto__":{"admin":true}}');
});

Deno.test("session: one that was ended is empty, and later changes have no effect", async () => {
  const { session, sessions } = await stored({ name: "Ada" });
  session.renew();
  session.end();
  session.set("name", "Bob");
  session.logOut();
  session.renew();
  assertEquals(session.data, {});
  assertEquals((await sessions.save(session)).map((line) => line.split(";")[0]), ["session="]);
  assertThrows(() => session.end(), Error, "sessions.follow");
});

Deno.test("session: a log-in makes it the user's under a new id, and keeps the data", async () => {
  const { browser, sessions, visit } = site();
  await visit((session) => session.set("n", 1));
  const before = browser.cookie;
  assertEquals(await visit((session) => session.logIn("ada@example.com")), { n: 1 });
  assert(browser.cookie !== before);
  const users: unknown[] = [];
  assertEquals(await visit((session) => users.push(session.user)), { n: 1 });
  assertEquals([users, sessions.counters["new id"]], [["ada@example.com"], 1]);
});

Deno.test("session: after a log-out only later data and messages are left", async () => {
  const { browser, memory, visit, newBrowser } = site();
  await visit((session) => {
    session.set("n", 1);
    session.flash("before");
    session.logIn("ada");
  });
  const old = newBrowser();
  old.cookies.set("session", browser.cookies.get("session")!);
  await visit((session) => {
    session.set("other", 1);
    session.logOut();
    assertEquals([session.user, session.data, session.takeFlashes()], [undefined, {}, []]);
    session.set("name", "guest");
    session.flash("Goodbye");
  });
  const seen: unknown[] = [];
  assertEquals(await visit((session) => seen.push(session.user, session.takeFlashes())), { name: "guest" });
  assertEquals(seen, [undefined, [{ category: "message", message: "Goodbye" }]]);
  assertEquals([await visit(undefined, old), memory.size], [{}, 1]);
});

Deno.test("session: a log-out that keeps nothing deletes session and cookie", async () => {
  const { browser, memory, visit } = site();
  await visit((session) => session.logIn("ada"));
  await visit((session) => session.logOut());
  assertEquals([browser.cookie, memory.size], ["", 0]);
});

Deno.test("session: another user can log in right after a log-out", async () => {
  const { visit } = site();
  await visit((session) => {
    session.set("n", 1);
    session.logIn("ada");
  });
  await visit((session) => {
    session.logOut();
    session.logIn("bob");
  });
  const users: unknown[] = [];
  assertEquals([await visit((session) => users.push(session.user)), users], [{}, ["bob"]]);
});

Deno.test("session: a log-in with an invalid user or option is refused", async () => {
  const { session } = await stored();
  assertThrows(() => session.logIn(7 as unknown as string), TypeError, "must be a string");
  assertThrows(() => session.logIn("ada", { idle: 0 }), RangeError, '"idle"');
  assertThrows(() => session.logIn("ada", { absolute: "1h" as unknown as number }), TypeError, '"absolute"');
  assertThrows(() => session.logIn("ada", { most: 0 }), RangeError, '"most"');
  assertThrows(() => session.logIn("ada", { remember: true } as object), TypeError, 'no option "remember"');
  assertThrows(() => session.logIn("ada", { permanent: 1 as unknown as boolean }), TypeError, '"permanent"');
  assertThrows(() => session.flash(7 as unknown as string), TypeError, "needed strings");
  assertEquals([session.user, session.changed], [undefined, false]);
});

Deno.test("session: a change after the commit throws, and the error says what to do", async () => {
  const { session, sessions } = await stored({ n: 1 });
  session.flash("x");
  await sessions.save(session);
  const acts = [
    () => session.set("n", 2),
    () => session.update("n", () => 2),
    () => session.delete("n"),
    () => session.clear(),
    () => session.take("n"),
    () => session.flash("y"),
    () => session.takeFlashes(),
    () => session.renew(),
    () => session.logIn("ada"),
    () => session.logOut(),
    () => session.end(),
  ];
  for (const act of acts) assertThrows(act, Error, "sessions.follow");
  assertEquals([session.get("n"), session.changed], [1, true]);
});

Deno.test("session: one of another library is refused by name", async () => {
  const { sessions } = site();
  const other = {} as Awaited<ReturnType<typeof sessions.open>>;
  await assertRejects(() => sessions.save(other), TypeError, "open() of the same library");
});

Deno.test("session: its handle is the one in sessions.of, and no part of its id", async () => {
  const { browser, sessions, visit } = site();
  await visit((session) => session.logIn("ada"));
  const handles: (string | undefined)[] = [];
  await visit((session) => handles.push(session.handle));
  for await (const { handle } of sessions.of("ada")) handles.push(handle);
  assertEquals(handles.length, 2);
  assertEquals(handles[0], handles[1]);
  assert(!browser.cookie.includes(handles[0]!));
});

Deno.test("session: a log-out after end() does not start a new session", async () => {
  const { browser, memory, visit } = site();
  await visit((session) => session.set("n", 1));
  await visit((session) => {
    session.end();
    session.logOut();
    session.set("n", 2);
  });
  assertEquals([memory.size, browser.cookies.size], [0, 0]);
});

Deno.test("session: it accepts no new members, and data that it returned never change", async () => {
  const { session } = await stored({ n: 1 });
  assertThrows(() => Object.assign(session, { views: 1 }), TypeError);
  const before = session.data;
  session.set("n", 2);
  const between = session.data;
  session.set("n", 3);
  assertEquals([before, between, session.data], [{ n: 1 }, { n: 2 }, { n: 3 }]);
  for (const data of [before, between, session.data]) {
    assertThrows(() => Object.assign(data, { n: 4 }), TypeError);
  }
});

Deno.test("session: minus zero is refused, because JSON turns it into zero", async () => {
  const { session } = await stored();
  for (const value of [-0, [-0], { n: -0 }]) {
    assertThrows(() => session.set("n", value as number), TypeError, "received -0");
  }
  session.set("n", 0);
});
