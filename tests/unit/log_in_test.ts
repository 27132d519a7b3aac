/** Log-ins and log-outs: which user's data a session has, and how many sessions of a user stay live. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SessionGoneError, SessionStoreError } from "../../lib/errors.ts";
import type { SessionRecord } from "../../lib/record.ts";
import type { Session } from "../../lib/session.ts";
import type { StoredSession } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { type Data, failing, register, site } from "../support/site.ts";

Deno.test("log-in: the data of a guest and of the same user stay", async () => {
  const { visit } = site();
  await visit((session) => session.set("n", 1));
  assertEquals(await visit((session) => session.logIn("ada")), { n: 1 });
  assertEquals(await visit((session) => session.logIn("ada")), { n: 1 });
  assertEquals(await visit(), { n: 1 });
});

Deno.test("log-in: another user starts empty, without stored data or earlier changes", async () => {
  const { visit } = site();
  await visit((session) => {
    session.set("n", 1);
    session.logIn("ada");
    session.flash("for ada");
  });
  const seen = await visit((session) => {
    session.set("other", 2);
    session.flash("for ada, too");
    session.logIn("bob");
    session.set("name", "Bob");
  });
  assertEquals(seen, { name: "Bob" });
  const flashes: unknown[] = [];
  assertEquals(await visit((session) => flashes.push(...session.takeFlashes())), { name: "Bob" });
  assertEquals(flashes, []);
});

Deno.test("log-in: data of the former user that are stored in between are gone, too", async () => {
  const { request, sessions, visit } = site();
  await visit((session) => session.logIn("ada"));
  const session = await sessions.open(request());
  session.logIn("bob");
  await visit((session) => session.set("n", 1));
  const answer = await sessions.commit(session, new Response());
  const [cookie = ""] = answer.headers.getSetCookie();
  assertEquals((await sessions.open(new Request("http://localhost/", { headers: { cookie } }))).data, {});
});

Deno.test("log-in: after two in one request, the second user has no data of the first", async () => {
  const { visit } = site();
  const seen = await visit((session) => {
    session.logIn("ada");
    session.set("n", 1);
    session.logIn("bob");
  });
  assertEquals([seen, await visit()], [{}, {}]);
});

Deno.test("log-in: after end() it throws, and after logOut() it does not", async () => {
  const { attempt, request, sessions, visit } = site();
  await visit((session) => session.logIn("ada"));
  await attempt((session) => {
    session.end();
    assertThrows(() => session.logIn("ada"), Error, "logOut()");
  });
  const session = await sessions.open(request());
  session.logOut();
  session.logIn("bob");
  await sessions.save(session);
  assertEquals(session.user, "bob");
});

Deno.test("log-in: loggedInAt is the time of the log-in, and undefined for a guest", async () => {
  const { clock, request, sessions, visit } = site();
  await visit(register);
  assertEquals((await sessions.open(request())).loggedInAt, undefined);
  clock.pass(5);
  const at = clock.time;
  let during: number | undefined;
  await visit((session) => {
    session.logIn("ada");
    during = session.loggedInAt;
  });
  clock.pass(5);
  await visit((session) => session.set("n", 1));
  await visit((session) => session.renew());
  assertEquals([during, (await sessions.open(request())).loggedInAt], [at, at]);
  await visit((session) => session.logOut());
  assertEquals((await sessions.open(request())).loggedInAt, undefined);
});

Deno.test("log-in: with a maximum, a user's most recently used sessions stay live", async () => {
  const { clock, newBrowser, sessions, visit } = site();
  const browsers = Array.from({ length: 4 }, newBrowser);
  for (const browser of browsers) {
    await visit((session) => session.logIn("ada"), browser);
    clock.pass(10);
  }
  await visit((session) => session.logIn("bob"), newBrowser());
  await visit((session) => session.set("n", 1), browsers[0]);
  await visit((session) => {
    session.set("n", 2);
    session.logIn("ada", { most: 3 });
  });
  const live: number[] = [];
  for (const [index, browser] of browsers.entries()) {
    const headers = new Headers({ cookie: browser.cookie });
    if ((await sessions.open({ headers })).user === "ada") live.push(index);
  }
  assertEquals(live, [0, 3]);
  assertEquals((await Array.fromAsync(sessions.of("ada"))).length, 3);
  assertEquals((await Array.fromAsync(sessions.of("bob"))).length, 1);
});

Deno.test("log-in: it fails if the sessions above its maximum cannot be ended", async () => {
  const { newBrowser, request, sessions, visit } = site({
    store: failing(["delete"], new MemoryStore()),
    now: Date.now,
  });
  await visit((session) => session.logIn("ada"), newBrowser());
  const session = await sessions.open(request());
  session.logIn("ada", { most: 1 });
  await assertRejects(() => sessions.save(session), SessionStoreError);
  assertEquals((await Array.fromAsync(sessions.of("ada"))).length, 2, "the new session stays");
});

Deno.test("log-in: one browser can log in repeatedly with a maximum of one session", async () => {
  const { browser, sessions, visit } = site();
  for (let i = 0; i < 5; i++) {
    await visit((session) => session.logIn("ada", { most: 1 }));
    assertEquals((await sessions.open({ headers: new Headers({ cookie: browser.cookie }) })).user, "ada");
  }
  assertEquals((await Array.fromAsync(sessions.of("ada"))).length, 1);
});

Deno.test("log-in: one at a server whose clock is behind still ends earlier ones", async () => {
  const { clock, newBrowser, sessions, visit } = site();
  await visit((session) => session.logIn("ada", { most: 1 }), newBrowser());
  clock.pass(-30);
  const late = newBrowser();
  await visit((session) => session.logIn("ada", { most: 1 }), late);
  assertEquals((await sessions.open({ headers: new Headers({ cookie: late.cookie }) })).user, "ada");
  assertEquals((await Array.fromAsync(sessions.of("ada"))).length, 1);
});

Deno.test("log-in: loggedInAt is the stored time, even if the clock is behind", async () => {
  const { clock, memory, newBrowser, request, sessions, visit } = site();
  await visit((session) => session.logIn("ada"), newBrowser());
  const first = clock.time;
  clock.pass(-30);
  const session = await sessions.open(request(newBrowser()));
  session.logIn("ada", { most: 1 });
  await sessions.save(session);
  const [[, stored]] = await Array.fromAsync(memory.sessionsOf("ada")) as [StoredSession];
  assertEquals([session.loggedInAt, stored?.created], [first + 1, first + 1]);
});

/** A memory store that lets other requests run at each step. */
class SlowStore extends MemoryStore {
  override async create(key: string, record: SessionRecord): Promise<void> {
    await turn();
    await super.create(key, record);
    await turn();
  }
  override async *sessionsOf(user: string) {
    await turn();
    yield* super.sessionsOf(user);
    await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.floor(Math.random() * 3)));
}

Deno.test("log-in: of concurrent ones with a maximum of one session, exactly one lives", async () => {
  for (let round = 0; round < 100; round++) {
    const clock = new Clock();
    const store = new SlowStore({ now: clock.now });
    // The clocks of the servers differ.
    const servers = [0, 30_000, -30_000].map((by) => site({ store, now: () => clock.time + by }).sessions);
    const logIn = async (_: unknown, index: number) => {
      const sessions = servers[index % servers.length]!;
      const session = await sessions.open(new Request("http://localhost/"));
      session.logIn("ada", { most: 1 });
      if (index > 0) await turn();
      await sessions.save(session);
    };
    await Promise.all(Array.from({ length: 2 + round % 3 }, logIn));
    assertEquals((await Array.fromAsync(servers[0]!.of("ada"))).length, 1, `round ${round}`);
  }
});

Deno.test("log-in: one that finds another's session ends it, even if its clock is behind", async () => {
  const clock = new Clock();
  const [secondStored, firstDone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let second: Promise<void> | undefined;
  // The second log-in begins when the first one is stored. It lists the sessions again when the first one is done.
  const store = new class extends MemoryStore {
    override async create(key: string, record: SessionRecord): Promise<void> {
      await super.create(key, record);
      if (second === undefined) {
        second = logIn(2, -30_000);
        await secondStored.promise;
      } else {
        secondStored.resolve();
        await firstDone.promise;
      }
    }
  }({ now: clock.now });
  const logIn = async (n: number, behind: number) => {
    const { sessions } = site({ store, now: () => clock.time + behind });
    const session = await sessions.open(new Request("http://localhost/"));
    session.logIn("ada", { most: 1 });
    session.set("n", n);
    await sessions.save(session);
  };
  await logIn(1, 0);
  firstDone.resolve();
  await second;
  assertEquals((await Array.fromAsync(store.sessionsOf("ada"))).map(([, record]) => record?.data), [{ n: 2 }]);
});

Deno.test("log-out: a message after endAll() and logOut() is stored for the next page", async () => {
  const { attempt, newBrowser, request, sessions, visit } = site();
  await visit((session) => session.logIn("ada"), newBrowser());
  await visit((session) => session.logIn("ada"));
  const answer = await attempt(async (session: Session<Data>) => {
    assertEquals(await sessions.endAll("ada"), 2);
    session.logOut();
    session.flash("You are logged out everywhere");
  });
  const [cookie = ""] = answer.headers.getSetCookie();
  const next = await sessions.open(new Request("http://localhost/", { headers: { cookie } }));
  assertEquals([next.user, next.takeFlashes()[0]?.message], [undefined, "You are logged out everywhere"]);
  assertEquals((await sessions.open(request())).user, undefined);
});

Deno.test("log-out: a message after endAll() alone is refused, and the error says why", async () => {
  const { request, sessions, visit } = site();
  await visit((session) => session.logIn("ada"));
  const session = await sessions.open(request());
  await sessions.endAll("ada");
  session.flash("Goodbye");
  await assertRejects(() => sessions.save(session), SessionGoneError, "call session.logOut()");
});

Deno.test("log-out: it is refused if another request gave the session a new id", async () => {
  const { request, sessions, visit } = site();
  await visit((session) => session.logIn("ada"));
  const session = await sessions.open(request());
  await visit((session) => session.renew());
  session.logOut();
  await assertRejects(() => sessions.save(session), SessionGoneError);
  assert((await Array.fromAsync(sessions.of("ada"))).length === 1);
});
