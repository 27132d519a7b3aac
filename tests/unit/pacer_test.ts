/** Pacer: how many steps a sweep takes, and when. */
import { assert, assertEquals } from "@std/assert";
import { silent } from "../../lib/log.ts";
import { Pacer } from "../../lib/stores/_pacer.ts";
import { replacing } from "../support/failing.ts";

/** A pacer whose steps check 64 entries, ten for each new session. The test moves its clock. */
interface Paced {
  readonly pacer: Pacer;
  readonly logged: string[];
  /** How many steps were begun. */
  steps: number;
  /** How many sessions each step removes, or the error that it throws. */
  outcome: number | Error;
  /** The time, in milliseconds. */
  time: number;
  /** Waits for the steps that are due. */
  done(): Promise<void>;
}

function test(behaviour: string, fn: (paced: Paced) => Promise<void>): void {
  Deno.test(`pacer: ${behaviour}`, async () => {
    const logged: string[] = [];
    const step = () => {
      paced.steps++;
      const { outcome } = paced;
      return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome);
    };
    const pacer = new Pacer({ step, size: 64, perCreate: 10, log: (...words) => void logged.push(words.join(" ")) });
    const done = async () => {
      for (let i = 0; i < 30; i++) await new Promise((resolve) => setTimeout(resolve));
    };
    const paced: Paced = { pacer, logged, steps: 0, outcome: 0, time: 5000, done };
    await replacing(performance, "now", () => () => paced.time, async () => {
      // The first step comes with the first request.
      pacer.run();
      await done();
      assertEquals(paced.steps, 1);
      paced.steps = 0;
      await fn(paced);
      await pacer.close();
    });
  });
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function created({ pacer }: Paced, sessions: number): void {
  for (let i = 0; i < sessions; i++) pacer.created();
  pacer.run();
}

test("without new sessions it takes one step per second while requests come", async (paced) => {
  for (const [passes, steps] of [[999, 0], [1, 1], [999, 1], [1, 2], [60_000, 3]]) {
    paced.time += passes!;
    for (let request = 0; request < 3; request++) paced.pacer.run();
    await paced.done();
    assertEquals(paced.steps, steps);
  }
});

test("new sessions cause as many steps as their checks need, and no more", async (paced) => {
  // After 60 of 64 checks no step is due, after 70 one, then after 6 + 60 one, and after 2 + 640 ten.
  for (const [sessions, steps] of [[6, 0], [1, 1], [6, 2], [64, 12]]) {
    created(paced, sessions!);
    await paced.done();
    assertEquals(paced.steps, steps);
  }
});

test("steps that are behind the new sessions share a turn", async (paced) => {
  created(paced, 64);
  await pause();
  await pause();
  assertEquals(paced.steps, 10);
});

test("new sessions wait while more than the next step is due", async (paced) => {
  for (const [sessions, steps] of [[20, 3], [13, 5]]) {
    created(paced, sessions!);
    await paced.pacer.keepUp();
    assertEquals(paced.steps, steps);
  }
});

test("a removal counts as four checks, so new sessions wait for fewer steps", async (paced) => {
  // The first step pays for 256 of the 400 checks, the second for the rest. The others take a turn each.
  paced.outcome = 64;
  created(paced, 40);
  await paced.pacer.keepUp();
  assertEquals(paced.steps, 2);
  await paced.done();
  assertEquals(paced.steps, 6);
});

test("if no steps run or a step fails, new sessions do not wait", async (paced) => {
  for (let i = 0; i < 40; i++) paced.pacer.created();
  await paced.pacer.keepUp();
  assertEquals(paced.steps, 0);
  paced.outcome = new Error("disk on fire");
  paced.pacer.run();
  await paced.pacer.keepUp();
  assertEquals(paced.steps, 1);
});

test("a step that time caused counts for the new sessions, too", async (paced) => {
  created(paced, 6);
  paced.time += 1000;
  paced.pacer.run();
  await paced.done();
  assertEquals(paced.steps, 1);
  created(paced, 6);
  await paced.done();
  assertEquals(paced.steps, 1);
  created(paced, 1);
  await paced.done();
  assertEquals(paced.steps, 2);
});

test("run returns immediately, and steps run one at a time", async (paced) => {
  let isRunning = false;
  const step = async () => {
    assert(!isRunning);
    isRunning = true;
    await new Promise((resolve) => setTimeout(resolve, 2));
    isRunning = false;
    return 0;
  };
  const pacer = new Pacer({ step, size: 64, perCreate: 64, log: silent });
  for (let i = 0; i < 5; i++) {
    pacer.created();
    pacer.run();
    assert(!isRunning);
    await paced.done();
  }
  await pacer.close();
});

test("close waits for the running step, and drops the others", async (paced) => {
  let begun = 0;
  let ended = 0;
  const step = async () => {
    begun++;
    await new Promise((resolve) => setTimeout(resolve, 5));
    ended++;
    return 1;
  };
  const pacer = new Pacer({ step, size: 64, perCreate: 64, log: silent });
  for (let i = 0; i < 10; i++) pacer.created();
  pacer.run();
  await new Promise((resolve) => setTimeout(resolve, 2));
  await pacer.close();
  assertEquals([begun, ended], [1, 1]);
  paced.time += 1000;
  pacer.run();
  await paced.done();
  assertEquals(begun, 1);
});

test("swept sessions are logged once, and an empty sweep is not logged", async (paced) => {
  created(paced, 64);
  await paced.done();
  assertEquals(paced.logged, []);
  paced.outcome = 3;
  created(paced, 64);
  await paced.done();
  assertEquals(paced.logged, ["info Expired sessions were swept 30"]);
});

test("a step that fails is logged, and the next one comes on time", async (paced) => {
  paced.outcome = new Error("disk on fire");
  created(paced, 7);
  await paced.done();
  assertEquals(paced.logged, ["error The sweep of expired sessions failed disk on fire"]);
  paced.outcome = 0;
  created(paced, 7);
  await paced.done();
  assertEquals([paced.steps, paced.logged.length], [2, 1]);
});

Deno.test("pacer: while steps run, no others begin", async () => {
  let running = 0;
  let most = 0;
  const step = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve));
    running--;
    return 0;
  };
  const pacer = new Pacer({ step, size: 1, perCreate: 3, log: silent });
  for (let i = 0; i < 5; i++) {
    pacer.created();
    pacer.run();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await pacer.close();
  assertEquals(most, 1);
});
