/** The cost of a request grows linearly with its changes. The tests count steps, not time. */
import { assert, assertEquals } from "@std/assert";
import { draftOf } from "../../lib/_session_state.ts";
import { site } from "../support/site.ts";

/** Counts how often some work defines, copies or looks up properties of objects, as a measure of its steps. */
async function steps(work: () => unknown): Promise<number> {
  let count = 0;
  const { assign, freeze, hasOwn } = Object;
  Object.assign = (target: object, ...sources: object[]) => {
    for (const source of sources) count += Object.keys(source ?? {}).length;
    return assign(target, ...sources);
  };
  Object.freeze = <T>(value: T) => (count++, freeze(value));
  Object.hasOwn = (value, key) => (count++, hasOwn(value, key));
  try {
    await work();
  } finally {
    Object.assign = assign;
    Object.freeze = freeze;
    Object.hasOwn = hasOwn;
  }
  return count;
}

/** Checks that twice as many changes take about twice as many steps. */
async function isLinear(work: (n: number) => unknown) {
  const [once, twice] = [await steps(() => work(500)), await steps(() => work(1000))];
  assert(once > 0 && twice < 2.5 * once, `${once} steps, then ${twice}`);
}

Deno.test("cost: the steps of a request and its commit are linear in its changes", async () => {
  await isLinear(async (n) => {
    const { sessions } = site();
    const session = await sessions.open(new Request("http://localhost/"));
    for (let i = 0; i < n; i++) session.set(`key ${i}` as "n", i);
    for (let i = 0; i < n; i++) session.update(`key ${i}` as "n", (n = 0) => n + 1);
    for (let i = 0; i < n; i++) session.delete(`key ${i}` as "n");
    await sessions.save(session);
  });
});

Deno.test("cost: the steps of leaving and taking messages are linear in their number", async () => {
  let taken = 0;
  const { sessions, request, visit } = site();
  await isLinear(async (n) => {
    await visit((session) => {
      for (let i = 0; i < n; i++) session.flash(`message ${i}`);
    });
    const session = await sessions.open(request());
    taken += session.takeFlashes().length;
    await sessions.save(session);
  });
  assertEquals(taken, 1500);
});

Deno.test("cost: taking messages reads each of them once", async () => {
  const { sessions, request, visit } = site();
  const compared = async (n: number) => {
    await visit((session) => {
      for (let i = 0; i < n; i++) session.flash(`message ${i}`);
    });
    const session = await sessions.open(request());
    let count = 0;
    const { some, find } = Array.prototype;
    Array.prototype.some = function (...args: unknown[]) {
      count += this.length;
      return Reflect.apply(some, this, args);
    };
    Array.prototype.find = function (...args: unknown[]) {
      count += this.length;
      return Reflect.apply(find, this, args);
    };
    try {
      session.takeFlashes();
      await sessions.save(session);
    } finally {
      Object.assign(Array.prototype, { some, find });
    }
    return count;
  };
  assertEquals([await compared(100) < 500, await compared(1000) < 5000], [true, true]);
});

Deno.test("cost: the steps of copying a deeply nested value are linear in its depth", async () => {
  const nested = (n: number) => {
    let value: unknown = 1;
    for (let i = 0; i < 150; i++) value = [value, i];
    return Array.from({ length: n / 100 }, () => value);
  };
  await isLinear(async (n) => {
    const { sessions } = site();
    const session = await sessions.open(new Request("http://localhost/"));
    session.set("list", nested(n) as string[]);
  });
});

Deno.test("cost: a draft is a copy, so that data read before stay unchanged", () => {
  const flashes = [{ id: "1", category: "message", message: "hello" }];
  const data = Object.freeze({ n: 1 });
  const draft = draftOf(data, flashes);
  draft.data["n"] = 2;
  draft.flashes.pop();
  assertEquals([data.n, flashes.length], [1, 1]);
});
