/** Ids: random, safe as file names, grouped by user, and shown only by handles. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { groupOf, handleOf, isId, newId } from "../../lib/id.ts";

Deno.test("id: it is 160 bits in lower-case hex, 128 of them random for a user", () => {
  const ids = new Set(Array.from({ length: 1000 }, (_, i) => newId(i % 2 ? "ada" : undefined)));
  assertEquals(ids.size, 1000);
  for (const id of ids) assertMatch(id, /^[0-9a-f]{40}$/);
  assertNotEquals(newId("ada").slice(8), newId("ada").slice(8));
});

Deno.test("id: those of a user begin alike, others at random", () => {
  for (const user of ["ada", "", "\0", "🧑‍🚀", "../x"]) {
    for (let i = 0; i < 20; i++) assert(newId(user).startsWith(groupOf(user)));
  }
  assertNotEquals(groupOf("ada"), groupOf("bob"));
  assert(new Set(Array.from({ length: 100 }, () => newId().slice(0, 8))).size > 95);
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

Deno.test("id: its handle is the same every time, and holds no part of it", () => {
  const id = newId("ada");
  assertEquals(handleOf(id), handleOf(id));
  assertMatch(handleOf(id), /^[0-9a-f]{16}$/);
  assert(!id.includes(handleOf(id).slice(0, 8)));
});
