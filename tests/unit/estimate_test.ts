/** The estimate of how many sessions a store holds. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { StoreFullError } from "../../lib/errors.ts";
import { silent } from "../../lib/log.ts";
import { Estimate } from "../../lib/stores/_estimate.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";

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

Deno.test("estimate: not every new session waits for a count that takes long or fails", async () => {
  for (const fails of [false, true]) {
    await inSimulatedTime(async () => {
      let counts = 0;
      const count = async () => {
        counts++;
        await new Promise((resolve) => setTimeout(resolve, 1000));
        if (fails) throw new Error("canceling statement due to statement timeout");
        return 1;
      };
      const estimate = new Estimate({ count, max: 20, name: "a store", log: silent });
      for (let made = 0; made < 15; made++) await estimate.make(() => Promise.resolve());
      assertEquals(counts, 1);
      await new Promise((resolve) => setTimeout(resolve, 30_000));
      await estimate.make(() => Promise.resolve());
      assertEquals(counts, 2);
    });
  }
});

Deno.test("estimate: a count that takes long is awaited for a second", async () => {
  await inSimulatedTime(async () => {
    const count = () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 10_000));
    const estimate = new Estimate({ count, max: 20, name: "a store", log: silent });
    const start = performance.now();
    for (let made = 0; made < 15; made++) await estimate.make(() => Promise.resolve());
    assert(performance.now() - start < 2000);
    await estimate.close();
  });
});

Deno.test("estimate: new sessions do not wait for each other while a count takes long", async () => {
  await inSimulatedTime(async () => {
    const count = () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 10_000));
    const estimate = new Estimate({ count, max: 20, name: "a store", log: silent });
    let underway = 0;
    let most = 0;
    const create = async () => {
      most = Math.max(most, ++underway);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      underway--;
    };
    await estimate.make(create);
    const making: Promise<void>[] = [];
    for (let n = 0; n < 10; n++) {
      making.push(estimate.make(create));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(making);
    assertEquals(most, 10);
    await estimate.close();
  });
});
