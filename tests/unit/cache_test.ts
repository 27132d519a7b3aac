/** Cache: which values it keeps and drops, and that it never exceeds its bytes. */
import { assert, assertEquals } from "@std/assert";
import { Cache } from "../../lib/_cache.ts";

/** How many of the keys from 0 on are still cached. The reads count as uses. */
function kept(cache: Cache<number>, keys: number): number {
  return Array.from({ length: keys }, (_, key) => cache.get(String(key))).filter((value) => value !== undefined).length;
}

Deno.test("cache: it returns a value that was set, and nothing after its deletion", () => {
  const cache = new Cache<number>(100);
  cache.set("a", 1, 10);
  assertEquals(cache.get("a"), 1);
  cache.set("a", 2, 10);
  assertEquals(cache.get("a"), 2);
  cache.delete("a");
  assertEquals(cache.get("a"), undefined);
});

Deno.test("cache: it never holds more than its bytes, and at least half of them", () => {
  for (const bytes of [1, 10]) {
    const cache = new Cache<number>(100);
    for (let key = 0; key < 1000; key++) cache.set(String(key), key, bytes);
    const held = bytes * kept(cache, 1000);
    assert(held <= 100 && held >= 50, `it kept ${held} bytes`);
  }
});

Deno.test("cache: a value that is used stays, however many others are set", () => {
  const cache = new Cache<number>(100);
  cache.set("used", 1, 10);
  for (let key = 0; key < 1000; key++) {
    cache.set(String(key), key, 10);
    assertEquals(cache.get("used"), 1);
  }
});

Deno.test("cache: setting or deleting one key repeatedly drops no other value", () => {
  const cache = new Cache<number>(100);
  cache.set("other", 1, 10);
  for (let round = 0; round < 1000; round++) cache.set("same", round, 10);
  for (let round = 0; round < 1000; round++) {
    cache.set("deleted", round, 10);
    cache.delete("deleted");
  }
  assertEquals([cache.get("other"), cache.get("same"), cache.get("deleted")], [1, 999, undefined]);
});

Deno.test("cache: a value deleted or replaced after it became old does not come back", () => {
  const cache = new Cache<number>(100);
  cache.set("deleted", 1, 10);
  cache.set("replaced", 1, 10);
  for (let key = 0; key < 4; key++) cache.set(String(key), key, 10);
  cache.delete("deleted");
  assertEquals(cache.get("deleted"), undefined);
  cache.set("replaced", 2, 10);
  for (let key = 4; key < 8; key++) cache.set(String(key), key, 10);
  assertEquals([cache.get("deleted"), cache.get("replaced")], [undefined, 2]);
});

Deno.test("cache: it keeps no value over half its bytes, and with 0 bytes none at all", () => {
  const cache = new Cache<number>(100);
  cache.set("a", 1, 10);
  cache.set("a", 2, 60);
  assertEquals(cache.get("a"), undefined);
  const none = new Cache<number>(0);
  none.set("a", 1, 10);
  assertEquals(none.get("a"), undefined);
});
