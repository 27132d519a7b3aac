/** Session: what a request does to it, and what is replayed on the store. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Session } from "../../lib/session.ts";
import type { SessionData } from "../../lib/store.ts";

// deno-lint-ignore no-explicit-any
type Anything = Record<string, any>;

function stored(data: SessionData): Session<Anything> {
  return new Session<Anything>({ data, created: 0, ends: 2, expires: 1 });
}

Deno.test("session: starts empty and unchanged without a record", () => {
  const session = new Session<Anything>();
  assertEquals(session.data, {});
  assertEquals(session.get("user"), undefined);
  assertEquals([session.changed, session.renewed, session.ended], [false, false, false]);
});

Deno.test("session: reading changes nothing", () => {
  const session = stored({ user: "Ada" });
  assertEquals(session.get("user"), "Ada");
  assertEquals([session.has("user"), session.has("other")], [true, false]);
  assertEquals(session.changed, false);
});

Deno.test("session: a request sees its own changes", () => {
  const session = stored({ user: "Ada", n: 1 });
  session.set("user", "Bob");
  session.delete("n");
  session.update("visits", (visits = 0) => visits + 1);
  assertEquals(session.data, { user: "Bob", visits: 1 });
  session.clear();
  assertEquals(session.data, {});
});

Deno.test("session: changes are replayed on what is stored by then", () => {
  const session = stored({ user: "Ada", visits: 1 });
  session.update("visits", (visits) => visits + 1);
  session.delete("user");
  assertEquals(session.apply({ user: "Ada", visits: 41, cart: [1] }), { visits: 42, cart: [1] });
});

Deno.test("session: replaying leaves what it is given as it is", () => {
  const session = stored({});
  session.set("n", 2);
  const now = { n: 1 };
  session.apply(now);
  assertEquals(now, { n: 1 });
});

Deno.test("session: a value set is copied, so changing the original afterwards changes nothing", () => {
  const session = stored({});
  const cart = ["tea"];
  session.set("cart", cart);
  cart.push("coffee");
  assertEquals(session.get("cart"), ["tea"]);
  assertEquals(session.apply({}), { cart: ["tea"] });
});

Deno.test("session: a value read is frozen, so a change in place fails loudly instead of getting lost", () => {
  const session = stored({});
  session.set("cart", { items: ["tea"] });
  assertThrows(() => session.get("cart").items.push("coffee"), TypeError);
});

Deno.test("session: what JSON cannot say is refused when it is set, by name", () => {
  const session = stored({});
  const cycle: Anything = {};
  cycle.self = cycle;
  for (const value of [undefined, () => {}, Symbol("s"), 1n, cycle]) {
    assertThrows(() => session.set("cart", value), TypeError, 'Cannot store "cart"');
  }
  assertEquals(session.changed, false);
});

Deno.test("session: __proto__, constructor and toString are just keys", () => {
  const session = stored({});
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assertEquals([session.get(key), session.has(key)], [undefined, false]);
    session.set(key, { admin: true });
    assertEquals(session.get(key), { admin: true });
  }
  assertEquals(({} as Anything).admin, undefined);
  assertEquals(
    JSON.stringify(session.apply(JSON.parse('{"__proto__": 1}'))),
    '{"__proto__":{"admin":true},"constructor":{"admin":true},"toString":{"admin":true},"hasOwnProperty":{"admin":true}}',
  );
});

Deno.test("session: one that was ended is empty and takes no more changes", () => {
  const session = stored({ user: "Ada" });
  session.end();
  session.set("user", "Bob");
  assert(session.ended);
  assertEquals([session.data, session.changed], [{}, false]);
});
