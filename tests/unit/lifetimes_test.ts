/** Lifetimes: when sessions end, with a clock that the tests move. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { LogInOptions } from "../../lib/session.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Act, KEY, register, site } from "../support/site.ts";

const SECOND = 1000;

Deno.test("lifetimes: a session ends at its idle limit, and not before", async () => {
  const { clock, visit } = site();
  await visit(register);
  clock.pass(59.999);
  assertEquals(await visit(), { name: "Ada" });

  clock.pass(60);
  assertEquals(await visit(), {});
});

Deno.test("lifetimes: no number of uses extends a session beyond the absolute limit", async () => {
  const { clock, visit } = site();
  await visit(register);
  for (let second = 1; second < 600; second++) {
    clock.pass(1);
    const act: Act = second % 7 === 0 ? (session) => session.renew() : second % 5 === 0 ? register : () => {};
    assertEquals(await visit(act), { name: "Ada" }, `after ${second} seconds`);
  }
  clock.pass(1);
  assertEquals(await visit(), {});
});

Deno.test("lifetimes: a longer idle limit alone sets the absolute one, too", async () => {
  const day = 86_400;
  const manager = new SessionManager({ store: new MemoryStore(), keys: [KEY], idle: 2 * day, now: () => 0 });
  const session = await manager.open(new Request("http://localhost/"));
  const deadlineAfter = (options: LogInOptions) => {
    session.logIn("Ada", options);
    return manager.endTimes(session).deadline / SECOND / day;
  };
  assertEquals(manager.endTimes(session).deadline / SECOND / day, 2);
  const deadlines = [{}, { idle: 30 * day }, { idle: 30 * day, absolute: 7 * day }, { idle: day }].map(deadlineAfter);
  assertEquals(deadlines, [2, 30, 7, 2]);
});

Deno.test("lifetimes: a log-in for longer than the absolute limit lives that long", async () => {
  const { clock, visit } = site();
  await visit((session) => session.logIn("Ada", { idle: 3000 }));
  for (const seconds of [1500, 1499]) {
    clock.pass(seconds);
    await visit((session) => assertEquals(session.user, "Ada"));
  }
  clock.pass(1);
  await visit((session) => assertEquals(session.user, undefined));
});

Deno.test("lifetimes: a use is stored once per tenth of the lifetime, without a cookie", async () => {
  const { browser, calls, clock, visit } = site();
  await visit(register);
  calls.length = 0;
  let cookies = 0;
  for (let second = 0; second < 60; second++) {
    clock.pass(1);
    await visit();
    cookies += browser.setCookies.length;
  }
  assertEquals(calls.filter((verb) => verb !== "read").length, 10);
  clock.pass(5.9);
  await visit();
  assertEquals(calls.filter((verb) => verb !== "read").length, 10, "less than a tenth");
  assertEquals([new Set(calls), cookies], [new Set(["read", "touch"]), 0]);
});

Deno.test("lifetimes: with refresh off only a change extends the life", async () => {
  const { calls, clock, visit } = site({ refresh: false });
  await visit(register);
  clock.pass(30);
  await visit();
  assert(!calls.includes("touch"));
  clock.pass(20);
  await visit((session) => session.set("n", 1));
  clock.pass(59);
  assertEquals(await visit(), { name: "Ada", n: 1 });
});

Deno.test("lifetimes: a clock set back a day extends nothing", async () => {
  const { browser, clock, visit } = site();
  await visit(register);
  clock.pass(-24 * 3600);
  assertEquals(await visit(), {});
  assertEquals(browser.setCookies, []);
});

Deno.test("lifetimes: a shortened one ends sessions earlier, but none used within it", async () => {
  for (const shorter of [{ idle: 60 }, { absolute: 60 }]) {
    const before = site({ idle: 600, absolute: 6000 });
    await before.visit(register);
    const options = { idle: 600, absolute: 6000, ...shorter, store: before.memory, now: before.clock.now };
    const after = site(options);
    after.browser.cookies.set("session", before.browser.cookies.get("session")!);
    before.clock.pass(59.999);
    assertEquals(await after.visit(), { name: "Ada" });
    const again = site(options);
    again.browser.cookies.set("session", before.browser.cookies.get("session")!);
    before.clock.pass("idle" in shorter ? 60 : 0.001);
    assertEquals(await again.visit(), {}, JSON.stringify(shorter));
  }
});

Deno.test("lifetimes: a session unused for longer than a shortened limit is refused", async () => {
  for (const shorter of [{ idle: 60 }, { absolute: 60 }]) {
    const before = site({ idle: 600, absolute: 6000 });
    await before.visit(register);
    const after = site({ idle: 600, absolute: 6000, ...shorter, store: before.memory, now: before.clock.now });
    after.browser.cookies.set("session", before.browser.cookies.get("session")!);
    before.clock.pass(60);
    assertEquals(await after.visit(), {}, JSON.stringify(shorter));
    await after.visit((session) => session.set("n", 1));
    assertEquals(before.memory.size, 2, "nor adopted");
  }
});

Deno.test("lifetimes: a lengthened one applies from the next use on", async () => {
  const before = site({ idle: 60, absolute: 100 });
  await before.visit(register);
  const after = site({ idle: 600, absolute: 6000, store: before.memory, now: before.clock.now });
  after.browser.cookies.set("session", before.browser.cookies.get("session")!);
  await after.visit();
  assertMatch(after.browser.setCookies[0]!, /Max-Age=6000$/);
  before.clock.pass(599);
  assertEquals(await after.visit(), { name: "Ada" });
});

Deno.test("lifetimes: servers with different ones take turns, and end no session", async () => {
  const one = site({ idle: 60 });
  const two = site({ idle: 600, store: one.memory, now: one.clock.now });
  await one.visit(register);
  for (let round = 0; round < 20; round++) {
    const [from, to] = round % 2 ? [two, one] : [one, two];
    to.browser.cookies.set("session", from.browser.cookies.get("session")!);
    one.clock.pass(25);
    assertEquals(await to.visit(), { name: "Ada" }, `round ${round}`);
  }
});

Deno.test("lifetimes: a log-in starts the absolute lifetime again", async () => {
  const { clock, visit } = site({ idle: 600 });
  await visit(register);
  clock.pass(590);
  await visit((session) => session.logIn("ada"));
  clock.pass(590);
  assertEquals(await visit(), { name: "Ada" });
  clock.pass(10);
  assertEquals(await visit(), {});
});

Deno.test("lifetimes: a log-in can have its own lifetimes and its own kind of cookie", async () => {
  const { browser, clock, visit } = site({ permanent: false });
  await visit((session) => {
    session.set("n", 1);
    session.logIn("ada", { idle: 3000, absolute: 5000, permanent: true });
  });
  assertMatch(browser.setCookies[0]!, /Max-Age=5000$/);
  clock.pass(2999);
  assertEquals(await visit(), { n: 1 });
  assertEquals(browser.setCookies, []);
  clock.pass(2000);
  await visit((session) => session.renew());
  clock.pass(1);
  assertEquals(await visit(), {});
});

Deno.test("lifetimes: after a log-out the manager's lifetimes apply again", async () => {
  const { browser, clock, visit } = site();
  await visit((session) => session.logIn("ada", { idle: 3000 }));
  await visit((session) => {
    session.logOut();
    session.set("n", 1);
  });
  assertMatch(browser.setCookies[0]!, /Max-Age=600$/);
  clock.pass(60);
  assertEquals(await visit(), {});
});

Deno.test("lifetimes: endTimes() works for a session that is not stored yet", async () => {
  const { clock, sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  const left = () =>
    [sessions.endTimes(session).expires, sessions.endTimes(session).deadline].map((end) => (end - clock.time) / 1000);
  assertEquals(left(), [60, 600]);
  session.logIn("ada", { idle: 1000, absolute: 900 });
  assertEquals(left(), [900, 900]);
});

Deno.test("lifetimes: endTimes() has the limits of a log-in or log-out in this request", async () => {
  const { clock, sessions, request, visit } = site();
  await visit(register);
  clock.pass(30);
  const session = await sessions.open(request());
  const left = () => {
    const { expires, deadline } = sessions.endTimes(session);
    return [expires - clock.time, deadline - clock.time].map((milliseconds) => milliseconds / SECOND);
  };
  assertEquals(left(), [60, 570]);
  session.logIn("ada", { idle: 100, absolute: 500 });
  assertEquals(left(), [100, 500]);
  session.logOut();
  assertEquals(left(), [60, 600]);
});

Deno.test("lifetimes: clocks that differ by some seconds do no harm", async () => {
  const { clock, visit } = site();
  await visit(register);
  clock.pass(-30);
  assertEquals(await visit(), { name: "Ada" });
});

Deno.test("lifetimes: endTimes() counts this use in the time when the session ends", async () => {
  const { clock, sessions, visit } = site();
  const ends = clock.time + 600 * SECOND;
  const left: number[] = [];
  const look: Act = (session) => void left.push(sessions.endTimes(session).expires - clock.time);
  await visit(register);
  for (const seconds of [5, 45, 45, 45]) {
    clock.pass(seconds);
    await visit(look);
  }
  assertEquals(left, [55, 60, 60, 60].map((seconds) => seconds * SECOND));
  while (clock.time < ends - 50 * SECOND) {
    clock.pass(50);
    await visit(look);
  }
  assert(left.at(-1)! <= ends - clock.time);
});

Deno.test("lifetimes: endTimes() also has the time when the session ends without this use", async () => {
  const { clock, sessions, request, visit } = site();
  await visit(register);
  const end = clock.time + 60 * SECOND;
  clock.pass(30);
  const session = await sessions.open(request());
  assertEquals([sessions.endTimes(session).storedExpires, sessions.endTimes(session).expires], [
    end,
    clock.time + 60 * SECOND,
  ]);
  assertEquals(sessions.endTimes(await sessions.open(new Request("http://localhost/"))).storedExpires, undefined);
});

Deno.test("lifetimes: endTimes() counts a change as a use, however soon after the last", async () => {
  const { clock, sessions, request, visit } = site();
  await visit(register);
  clock.pass(1);
  const session = await sessions.open(request());
  assertEquals(sessions.endTimes(session).expires, clock.time + 59 * SECOND);
  session.set("n", 1);
  assertEquals(sessions.endTimes(session).expires, clock.time + 60 * SECOND);
});
