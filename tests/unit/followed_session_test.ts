/** FollowedSession: a session in sockets and streams, after its request was answered. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SessionGoneError, SessionStoreError } from "../../lib/errors.ts";
import type { Session } from "../../lib/session.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Watcher } from "../../lib/_watcher.ts";
import { replacing } from "../support/failing.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { type Data, failing, register, site } from "../support/site.ts";

/** A committed session that is followed. */
async function followed(options: Parameters<typeof site>[0] = {}) {
  const one = site(options);
  await one.visit((session) => {
    register(session);
    session.logIn("ada");
  });
  const session = await one.sessions.open(one.request());
  const follow = one.sessions.follow(session);
  await one.sessions.save(session);
  return { ...one, follow };
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

Deno.test("follow: it reads the data stored at that moment, and stores changes", async () => {
  const { follow, visit } = await followed();
  await visit((session) => session.set("n", 1));
  assertEquals((await follow.read()).data, { name: "Ada", n: 1 });
  assertEquals(await follow.change((session) => session.take("n")), 1);
  assertEquals(await visit(), { name: "Ada" });
});

Deno.test("follow: a session that was read cannot be changed", async () => {
  const { follow } = await followed();
  const session = await follow.read();
  assertEquals(await assertRejects(async () => session.set("n", await 1)) instanceof Error, true);
});

Deno.test("follow: a session with a new id is followed under the new id", async () => {
  const { sessions, visit, request } = site();
  await visit(register);
  const session = await sessions.open(request());
  session.logIn("ada");
  const follow = sessions.follow(session);
  const reading = follow.read();
  await sessions.save(session);
  assertEquals((await reading).user, "ada");
  assertEquals((await follow.read()).data, { name: "Ada" });
});

Deno.test("follow: a session that its own request created is followed", async () => {
  const { sessions, request } = site();
  const session = await sessions.open(request());
  register(session);
  const follow = sessions.follow(session);
  await sessions.save(session);
  assertEquals((await follow.read()).data, { name: "Ada" });
});

Deno.test("follow: a session that is followed during its commit is read by its new id", async () => {
  const stored = Promise.withResolvers<void>();
  class SlowStore extends MemoryStore {
    override async create(...args: Parameters<MemoryStore["create"]>): Promise<void> {
      await stored.promise;
      await super.create(...args);
    }
  }
  const { sessions, request } = site({ store: new SlowStore(), now: Date.now });
  const session = await sessions.open(request());
  session.logIn("ada");
  register(session);
  const saving = sessions.save(session);
  const follow = sessions.follow(session);
  const changing = follow.change((session) => session.set("n", 1));
  const { signal } = follow;
  stored.resolve();
  await saving;
  await changing;
  assertEquals((await follow.read()).data, { name: "Ada", n: 1 });
  await sessions.endAll("ada");
  assert(signal.aborted);
});

Deno.test("follow: a log-out in another request ends the followed session", async () => {
  const { follow, sessions, visit } = await followed();
  await visit((session) => session.logOut());
  await assertRejects(() => follow.read(), SessionGoneError);
  await assertRejects(() => follow.change((session) => session.set("n", 1)), SessionGoneError);
  assertEquals(sessions.counters.refused, 2);
});

Deno.test("follow: a session that was never stored has no data, and refuses changes", async () => {
  const { sessions, request } = site();
  const empty = await sessions.open(request());
  await sessions.save(empty);
  const follow = sessions.follow(empty);
  assertEquals((await follow.read()).data, {});
  await assertRejects(() => follow.change((session) => session.set("n", 1)), TypeError, "nothing is stored");
  assertEquals(follow.signal.aborted, false);
});

Deno.test("follow: after a failed commit, a followed session throws the same error", async () => {
  const { request } = site();
  const bad = site({ store: failing(["create"], new MemoryStore()) });
  const session = await bad.sessions.open(request());
  session.set("n", 1);
  const follow = bad.sessions.follow(session);
  const { signal } = follow;
  await assertRejects(() => bad.sessions.save(session));
  await assertRejects(() => follow.read(), SessionStoreError);
  assert(signal.reason instanceof SessionStoreError);
});

Deno.test("follow: a session that its own request ended is gone", async () => {
  const { sessions, visit, request } = site();
  await visit(register);
  const session = await sessions.open(request());
  session.end();
  const follow = sessions.follow(session);
  await sessions.save(session);
  await assertRejects(() => follow.read(), SessionGoneError);
});

Deno.test("follow: a change that needs a new id or returns a promise stores nothing", async () => {
  const { follow } = await followed();
  await assertRejects(() => follow.change((session) => session.logOut()), TypeError, "no cookie");
  await assertRejects(() => follow.change((session) => session.renew()), TypeError, "no cookie");
  await assertRejects(() => follow.change(async (session) => await session.set("n", 1)), TypeError, "promise");
  assertEquals((await follow.read()).data, { name: "Ada" });
});

Deno.test("follow: an error that a change throws reaches the caller unchanged", async () => {
  const { follow, sessions } = await followed();
  const own = new RangeError("no");
  const fail = () => {
    throw own;
  };
  assertEquals(await assertRejects(() => follow.change(fail)), own);
  assertEquals(sessions.counters.failed, 0);
});

Deno.test("follow: reading extends nothing, a change does", async () => {
  const { clock, follow } = await followed();
  clock.pass(50);
  await follow.read();
  clock.pass(9);
  await follow.change((session) => session.set("n", 1));
  clock.pass(59);
  assertEquals((await follow.read()).data, { name: "Ada", n: 1 });
  clock.pass(1);
  await assertRejects(() => follow.read(), SessionGoneError);
});

Deno.test("follow: no concurrent change is lost", async () => {
  const { follow } = await followed();
  await Promise.all(Array.from({ length: 50 }, () => follow.change((s) => s.update("n", (n = 0) => n + 1))));
  assertEquals((await follow.read()).get("n"), 50);
});

Deno.test("follow: its signal aborts when the session ends here, whatever ended it", async () => {
  const ends: ((one: Awaited<ReturnType<typeof followed>>) => Promise<unknown>)[] = [
    ({ visit }) => visit((session) => session.logOut()),
    ({ visit }) => visit((session) => session.end()),
    ({ visit }) => visit((session) => session.renew()),
    ({ sessions }) => sessions.endAll("ada"),
    async ({ sessions }) => {
      for await (const { handle } of sessions.of("ada")) await sessions.end("ada", handle);
    },
  ];
  for (const end of ends) {
    const one = await followed();
    const { signal } = one.follow;
    await one.follow.read();
    await one.visit((session) => session.set("n", 1));
    assertEquals(signal.aborted, false);
    await end(one);
    assertEquals([signal.aborted, signal.reason instanceof SessionGoneError], [true, true]);
  }
});

Deno.test("follow: its signal aborts when the session ends at another server", async () => {
  const one = await followed();
  await inSimulatedTime(async () => {
    const { signal } = one.follow;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await one.follow.read();
    await site({ store: one.memory, now: one.clock.now }).sessions.endAll("ada");
    await aborted;
    assertEquals(signal.reason instanceof SessionGoneError, true);
  });
});

Deno.test("follow: its signal does not abort while the store fails", async () => {
  let fails = false;
  const store = new class extends MemoryStore {
    override read(key: string) {
      return fails ? Promise.reject(new Error("away")) : super.read(key);
    }
  }();
  const one = await followed({ store, now: Date.now });
  await inSimulatedTime(async () => {
    const { signal } = one.follow;
    await one.follow.read();
    fails = true;
    await wait(1500);
    assertEquals(signal.aborted, false);
    one.follow.close();
  });
});

Deno.test("follow: a watched session is read once per second until it is closed", async () => {
  const one = await followed();
  await inSimulatedTime(async () => {
    for (let i = 0; i < 3; i++) assertEquals(one.follow.signal.aborted, false);
    await one.follow.read();
    one.calls.length = 0;
    await wait(3500);
    assertEquals(one.calls, ["read", "read", "read"]);
    one.follow.close();
    one.calls.length = 0;
    await wait(3500);
    assertEquals(one.calls, []);
  });
});

Deno.test("follow: sessions that are followed at different times are read together", async () => {
  await inSimulatedTime(async () => {
    const reads: string[] = [];
    const watch = new Watcher((key) => Promise.resolve(reads.push(key) > 0));
    watch.add("a", new AbortController());
    await wait(500);
    watch.add("b", new AbortController());
    await wait(3100);
    assertEquals(reads, ["a", "b", "a", "b", "a", "b"]);
    watch.close();
  });
});

Deno.test("follow: a watch that is closed during a check reads no further sessions", async () => {
  await inSimulatedTime(async () => {
    let reads = 0;
    const firstRead = Promise.withResolvers<boolean>();
    const watch = new Watcher(() => ++reads === 1 ? firstRead.promise : Promise.resolve(true));
    for (let n = 0; n < 120; n++) watch.add(`key ${n}`, new AbortController());
    await wait(1500);
    const batch = reads;
    watch.close();
    firstRead.resolve(true);
    await wait(3500);
    assertEquals([reads, batch < 120], [batch, true]);
  });
});

Deno.test("follow: a closed watch leaves no timer", () => {
  const watch = new Watcher(() => Promise.resolve(true));
  watch.add("key", new AbortController());
  watch.close();
});

Deno.test("follow: a signal that starts during another's check is read once per second", async () => {
  await inSimulatedTime(async () => {
    let reads = 0;
    const firstRead = Promise.withResolvers<boolean>();
    const watch = new Watcher(() => ++reads === 1 ? firstRead.promise : Promise.resolve(true));
    const [last, next] = [new AbortController(), new AbortController()];
    watch.add("key", last);
    await wait(1500);
    watch.remove("key", last);
    watch.add("key", next);
    firstRead.resolve(true);
    await wait(3500);
    assertEquals(reads, 1 + 3);
    watch.close();
  });
});

Deno.test("follow: a signal that is first read after the manager was closed starts no reads", async () => {
  const one = await followed();
  await inSimulatedTime(async () => {
    await one.sessions.close();
    assertEquals(one.follow.signal.aborted, false);
    one.calls.length = 0;
    await wait(3500);
    assertEquals(one.calls, []);
  });
});

Deno.test("follow: it throws instead of waiting if no one commits the session", async () => {
  const { sessions, visit, request } = site();
  await visit(register);
  const session = await sessions.open(request());
  const follow = sessions.follow(session);
  await inSimulatedTime(() => assertRejects(() => follow.read(), TypeError, "sessions.save(session)"));
});

Deno.test("follow: it fails immediately if the handler of the request failed", async () => {
  const { sessions, request, visit } = site();
  await visit(register);
  let session: Session<Data> | undefined;
  let reading: Promise<unknown> | undefined;
  const handler = sessions.wrap(async (_request, open) => {
    session = await open();
    reading = sessions.follow(session).read();
    reading.catch(() => {});
    throw new Error("own");
  });
  await assertRejects(() => handler(request()), Error, "own");
  await assertRejects(() => reading!, TypeError, "stored nothing");
  // It must not wait, so no timer may start.
  const noTimer = () => () => assert(false);
  await replacing(globalThis, "setTimeout", noTimer, async () => {
    await assertRejects(() => sessions.follow(session!).read(), TypeError, "no one commits");
  });
});
