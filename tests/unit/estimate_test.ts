/** The estimate of how many sessions a store holds. */
import { assertEquals } from "@std/assert";
import { silent } from "../../lib/log.ts";
import { Estimate } from "../../lib/stores/_estimate.ts";

Deno.test("estimate: without a maximum nothing is counted", async () => {
  let counts = 0;
  const count = () => Promise.resolve(counts++);
  const estimate = new Estimate({ count, max: Infinity, name: "a store", log: silent });
  await estimate.make(() => Promise.resolve());
  await estimate.close();
  assertEquals(counts, 0);
});
