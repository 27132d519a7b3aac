/** Ids are random and safe as file names. Keys and handles are computed from ids, and open nothing. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { handleOf, isId, keyOf, newId } from "../../lib/id.ts";

Deno.test("id: it is 160 bits in lower-case hex, 128 of them random in a group", () => {
  const ids = new Set(Array.from({ length: 1000 }, (_, i) => newId(i % 2 ? "00c0ffee" : undefined)));
  assertEquals(ids.size, 1000);
  for (const id of ids) assertMatch(id, /^[0-9a-f]{40}$/);
  assertNotEquals(newId("00c0ffee").slice(8), newId("00c0ffee").slice(8));
});

Deno.test("id: it begins with the given group, or else with a random one", () => {
  for (let i = 0; i < 20; i++) assertEquals(newId("00c0ffee").slice(0, 8), "00c0ffee");
  assert(new Set(Array.from({ length: 100 }, () => newId().slice(0, 8))).size > 95);
});

Deno.test("id: a group of another form is refused", () => {
  for (const group of ["", "0", "00c0ffe", "00C0FFEE", "00c0ffee0", "00c0ffeg", "../../..", "Ada"]) {
    assertThrows(() => newId(group), TypeError, "8 lower-case hex digits");
  }
});

Deno.test("id: nothing else has the form of one", () => {
  const id = newId();
  assert(isId(id));
  for (
    const text of ["", id.slice(1), `${id}0`, id.toUpperCase().replace(/[0-9]/g, "A"), `${id.slice(1)}g`, `${id}\n`]
  ) {
    assertEquals(isId(text), false);
  }
});

Deno.test("key: it has the form of an id, its group, and none of its random digits", () => {
  const id = newId();
  assert(isId(keyOf(id)));
  assertEquals(keyOf(id), keyOf(id));
  assertEquals(keyOf(id).slice(0, 8), id.slice(0, 8));
  assertNotEquals(keyOf(id).slice(8), id.slice(8));
  // Another id of the same group, and the same digits in another group, have other keys.
  assertNotEquals(keyOf(newId(id.slice(0, 8))).slice(8), keyOf(id).slice(8));
  assertNotEquals(keyOf(`00c0ffee${id.slice(8)}`).slice(8), keyOf(`00c0fffe${id.slice(8)}`).slice(8));
});

Deno.test("key: it is no id of its own session", () => {
  const id = newId();
  assertNotEquals(keyOf(keyOf(id)), keyOf(id));
});

Deno.test("handle: it has digits of the key's hash, and none of the group", () => {
  const key = keyOf(newId("00c0ffee"));
  assertMatch(handleOf(key), /^[0-9a-f]{16}$/);
  assertEquals(handleOf(key), key.slice(8, 24));
});
