/** Compare-and-set: a change is tried again while other writes come first, and not for ever. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { compareAndSet } from "../../lib/stores/_compare_and_set.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";

Deno.test("compare and set: the change is made once no other write comes first", async () => {
  let tries = 0;
  const outcome = await inSimulatedTime(() =>
    compareAndSet("a map", () => Promise.resolve(++tries < 50 ? "again" : "made"))
  );
  assertEquals([outcome, tries], ["made", 50]);
});

Deno.test("compare and set: after five seconds of others that come first it gives up", async () => {
  let passed = 0;
  await inSimulatedTime(async () => {
    const start = performance.now();
    const message = "a map: too many processes change a session";
    await assertRejects(() => compareAndSet("a map", () => Promise.resolve("again")), Error, message);
    passed = performance.now() - start;
  });
  assert(passed > 5000 && passed < 5200, `${passed} ms`);
});
