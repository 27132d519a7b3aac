/** Concurrent requests of one session: no change is lost, no ended session returns, no value is taken twice. */
import { assertEquals, assertRejects } from "@std/assert";
import { SessionTakenError } from "../../lib/errors.ts";
import type { Flash, Session } from "../../lib/session.ts";
import { type Act, type Data, meet, register, site } from "../support/site.ts";

Deno.test("concurrent requests: changes of different keys are both kept", async () => {
  const { stored, visit } = await meet([(one) => one.set("name", "Ada"), (two) => two.set("other", 2)]);
  assertEquals(stored, [true, true]);
  assertEquals(await visit(), { n: 1, name: "Ada", other: 2 });
});

Deno.test("concurrent requests: a new id keeps data that another request stored in between", async () => {
  const { newBrowser, outcomes, stored, visit } = await meet([(one) => one.set("other", 2), (two) => {
    two.set("name", "Ada");
    two.renew();
  }]);
  assertEquals(stored, [true, true]);
  const browser = newBrowser();
  browser.cookies.set("session", (outcomes[1] as string).split(/[=;]/)[1]!);
  assertEquals(await visit(undefined, browser), { n: 1, name: "Ada", other: 2 });
});

Deno.test("concurrent requests: a commit after the session's end throws and revives nothing", async () => {
  for (
    const late of [
      (session: Session<Data>) => session.set("name", "Ada"),
      (session: Session<Data>) => session.update("n", (n = 0) => n + 1),
      (session: Session<Data>) => {
        session.set("name", "Ada");
        session.renew();
      },
    ]
  ) {
    const { memory, sessions, stored, visit } = await meet([(one) => one.end(), late]);
    assertEquals(stored, [true, false]);
    assertEquals([await visit(), memory.size, sessions.counters.refused], [{}, 0, 2]);
  }
});

Deno.test("concurrent requests: of two that renew the id, one succeeds", async () => {
  const renew: Act = (session) => session.renew();
  const { memory, stored } = await meet([renew, renew]);
  assertEquals([stored, memory.size], [[true, false], 1]);
});

Deno.test("concurrent requests: a page that only reads is answered after the session's end", async () => {
  const { clock, sessions, visit, browser } = site();
  await visit(register);
  clock.pass(30);
  const request = new Request("http://localhost/", { headers: { cookie: browser.cookie } });
  const session = await sessions.open(request);
  await visit((session) => session.end());
  const response = await sessions.commit(session, new Response("read"));
  assertEquals([await response.text(), response.headers.has("set-cookie")], ["read", false]);
});

Deno.test("concurrent requests: an end after another's new id throws and ends nothing", async () => {
  for (const end of [(s: Session<Data>) => s.end(), (s: Session<Data>) => s.logOut()]) {
    const { memory, sessions, stored } = await meet([(session) => session.renew(), end]);
    assertEquals([stored, memory.size, sessions.counters.ended], [[true, false], 1, 0]);
  }
});

Deno.test("concurrent requests: of two that take a value, one commit throws", async () => {
  const take: Act = (session) => session.take("n");
  const { outcomes, visit } = await meet([take, take]);
  assertEquals([outcomes[0] instanceof Error, outcomes[1] instanceof SessionTakenError], [false, true]);
  assertEquals(await visit(), {});
});

Deno.test("concurrent requests: taking a value keeps a newer one stored in between", async () => {
  const { stored, visit } = await meet([(one) => one.set("n", 2), (two) => two.take("n")]);
  assertEquals([stored, await visit()], [[true, true], { n: 2 }]);
});

Deno.test("concurrent requests: a message flashed in between is kept for the next page", async () => {
  const shown: Flash[][] = [];
  const { stored, visit } = await meet(
    [(one) => one.flash("second"), (two) => shown.push(two.takeFlashes())],
    {},
    (before) => before.flash("first"),
  );
  await visit((next) => shown.push(next.takeFlashes()));
  const flash = (message: string) => ({ category: "message", message });
  assertEquals([stored, shown], [[true, true], [[flash("first")], [flash("second")]]]);
});

Deno.test("concurrent requests: no message is shown by two pages that both succeed", async () => {
  const take: Act = (session) => session.takeFlashes();
  const { outcomes } = await meet([take, take], {}, (before) => before.flash("once"));
  assertEquals(outcomes.map((outcome) => outcome instanceof SessionTakenError), [false, true]);
});

Deno.test("concurrent requests: no messages are taken if another request took some", async () => {
  const { attempt, request, sessions, visit } = site();
  await visit((session) => session.flash("first"));
  const early = await sessions.open(request());
  await visit((session) => session.flash("second"));
  await assertRejects(
    () =>
      attempt(async (session) => {
        early.takeFlashes();
        await sessions.commit(early, new Response());
        assertEquals(session.takeFlashes().length, 2);
      }),
    SessionTakenError,
  );
});

Deno.test("concurrent requests: an update that throws at its replay stores nothing", async () => {
  const { calls, sessions, visit, request } = site();
  await visit((session) => session.set("n", 1));
  const slow = await sessions.open(request());
  const own = new RangeError("sold out");
  slow.set("name", "Ada");
  slow.update("n", (n = 0) => {
    if (n < 1) throw own;
    return n - 1;
  });
  await visit((session) => session.set("n", 0));
  calls.length = 0;
  assertEquals(await assertRejects(() => sessions.commit(slow, new Response())), own);
  assertEquals([await visit(), sessions.counters.failed], [{ n: 0 }, 0]);
});
