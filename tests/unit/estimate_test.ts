/** The estimate of how many sessions a store holds. */
import { assertEquals, assertRejects } from "@std/assert";
import { StoreFullError } from "../../lib/errors.ts";
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

Deno.test("estimate: near the maximum it counts before each new session", async () => {
  let sessions = 10;
  const count = () => Promise.resolve(sessions);
  const estimate = new Estimate({ count, max: 12, name: "a store", log: silent });
  const create = () => Promise.resolve(void sessions++);
  await estimate.make(create);
  await create(); // by another process
  await assertRejects(() => estimate.make(create), StoreFullError);
  assertEquals(sessions, 12);
});
