/** ReportingStore and the counters: how failures of a store reach the program, and what is counted. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SessionStoreError, SessionTakenError } from "../../lib/errors.ts";
import type { Change, SessionStore } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Act, register, site } from "../support/site.ts";

/** A memory store with some verbs replaced. */
function storeWith(verbs: (inner: MemoryStore) => Partial<SessionStore>): SessionStore {
  const inner = new MemoryStore();
  return new Proxy(inner, {
    get(target, verb) {
      const own = Reflect.get(verbs(target), verb);
      const value = own ?? Reflect.get(target, verb);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("counters: each event counts once, under its type", async () => {
  const { clock, sessions, visit, newBrowser } = site();
  const { counters } = sessions;
  const counted = async (act: () => Promise<unknown>) => {
    const before: Record<string, number> = { ...counters };
    await act();
    return Object.entries(counters).flatMap(([name, count]) =>
      count === before[name] ? [] : [[name, count - before[name]!]]
    );
  };
  assertEquals(new Set(Object.values(counters)), new Set([0]));
  assertEquals(await counted(() => visit()), []);
  assertEquals(await counted(() => visit(register)), [["made", 1]]);
  assertEquals(await counted(() => visit()), []);
  assertEquals(await counted(() => visit((session) => session.set("n", 1))), [["changed", 1]]);
  clock.pass(30);
  assertEquals(await counted(() => visit()), [["used", 1]]);
  assertEquals(await counted(() => visit((session) => session.renew())), [["new id", 1]]);
  const forged = newBrowser();
  forged.cookies.set("session", "x".repeat(84));
  assertEquals(await counted(() => visit(() => {}, forged)), [["refused", 1]]);
  clock.pass(60);
  assertEquals(await counted(() => visit()), [["refused", 1]]);
  await visit(register);
  assertEquals(await counted(() => visit((session) => session.end())), [["ended", 1]]);
});

Deno.test("counters: two cookies of live sessions count as one refusal", async () => {
  const { sessions, visit, newBrowser } = site();
  const others = [newBrowser(), newBrowser()];
  for (const browser of others) await visit(register, browser);
  const cookie = others.map((browser) => browser.cookie).join("; ");
  await sessions.open({ headers: new Headers({ cookie }) });
  assertEquals(sessions.counters.refused, 1);
});

Deno.test("counters: a request counts as refused if another took its value", async () => {
  const { sessions, request, visit } = site();
  await visit((session) => session.set("n", 1));
  const both = await Promise.all([1, 2].map(() => sessions.open(request())));
  for (const session of both) session.take("n");
  await sessions.save(both[0]!);
  await assertRejects(() => sessions.save(both[1]!), SessionTakenError);
  assertEquals([sessions.counters.refused, sessions.counters.failed], [1, 0]);
});

Deno.test("store: sweep is called after each commit, and close with the manager's", async () => {
  const called: string[] = [];
  const store = storeWith(() => ({
    sweep: () => void called.push("sweep"),
    close: () => new Promise<void>((resolve) => setTimeout(() => resolve(void called.push("close")))),
  }));
  const { sessions, visit } = site({ store });
  await visit();
  await visit(register);
  await sessions.close();
  assertEquals(called, ["sweep", "sweep", "close"]);
});

Deno.test("store: its own failure is thrown if the last run of the change did not throw", async () => {
  const tryTwice = async (inner: MemoryStore, key: string, change: Change) => {
    const record = (await inner.read(key))!;
    try {
      change(record);
    } catch {
      change(record);
    }
    throw new Error("the disk is on fire");
  };
  const store = storeWith((inner) => ({ update: (key, change) => tryTwice(inner, key, change) }));
  const { sessions, request, visit } = site({ store, now: Date.now });
  await visit(register);
  const session = await sessions.open(request());
  let calls = 0;
  const throwOnce: Act = (session) =>
    session.update("n", (n = 0) => {
      // The first call is the request's own.
      if (++calls === 2) throw new RangeError("sold out");
      return n + 1;
    });
  throwOnce(session);
  const error = await assertRejects(() => sessions.save(session), SessionStoreError);
  assert(error.message.includes("on fire"));
  assertEquals(sessions.counters.failed, 1);
});

Deno.test("store: a failure that has no message is reported with its code", async () => {
  const refused = new AggregateError([Object.assign(new Error(), { code: "ECONNREFUSED" })]);
  const { sessions } = site({ store: storeWith(() => ({ create: () => Promise.reject(refused) })), log: () => {} });
  const session = await sessions.open(new Request("http://localhost/"));
  session.set("n", 1);
  const error = await assertRejects(() => sessions.save(session), SessionStoreError);
  assertEquals([error.message, error.cause], ["The session store failed to create: ECONNREFUSED", refused]);
});

Deno.test("store: a listing that is left early is closed", async () => {
  let isLeft = false;
  const store = storeWith((inner) => ({
    async *sessionsOf(user) {
      try {
        yield* inner.sessionsOf(user);
      } finally {
        isLeft = true;
      }
    },
  }));
  const { sessions, visit, newBrowser } = site({ store, now: Date.now });
  for (const browser of [newBrowser(), newBrowser()]) await visit((session) => session.logIn("ada"), browser);
  for await (const _ of sessions.of("ada")) break;
  assert(isLeft);
});
