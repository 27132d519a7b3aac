/** NullStore: it stores nothing. */
import { assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { NullStore } from "../../lib/stores/null.ts";

Deno.test("null store: it stores nothing, ends nothing and finds no one", async () => {
  const store = new NullStore();
  await assertRejects(() => store.create(), Error, "stores nothing");
  assertEquals(await store.read(newId()), undefined);
  assertEquals([await store.update(), await store.move()], [undefined, undefined]);
  assertEquals([await store.touch(), await store.delete()], [false, false]);
  assertEquals(await Array.fromAsync(store.list()), []);
  assertEquals(await Array.fromAsync(store.sessionsOf()), []);
});
