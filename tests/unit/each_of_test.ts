/** EachOf: a user's sessions, listed while some of them get new keys. */
import { assertEquals, assertRejects } from "@std/assert";
import { eachOf } from "../../lib/stores/_each_of.ts";

Deno.test("each of: keys are listed until none is missing, and each is yielded once", async () => {
  const listings = [["a", "moved", "b"], ["a", "new", "b"]];
  const stored: Record<string, number> = { a: 1, b: 2, new: 3 };
  const found = await Array.fromAsync(eachOf(() => listings.shift()!, (key) => stored[key]));
  assertEquals(found, [["a", 1], ["b", 2], ["new", 3]]);
});

Deno.test("each of: it gives up if keys go missing in every listing", async () => {
  let n = 0;
  const found = eachOf(() => [`key ${n++}`], () => undefined);
  await assertRejects(() => Array.fromAsync(found), Error, "kept getting new keys");
  assertEquals(n, 50);
});
