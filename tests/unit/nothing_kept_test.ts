/** SessionManager: a request whose session is empty in the end stores no session. */
import { assertEquals, assertMatch } from "@std/assert";
import { type Act, site } from "../support/site.ts";

Deno.test("sessions: a request whose session is empty in the end stores no session", async () => {
  const { memory, sessions } = site();
  const acts: Act[] = [
    (session) => session.delete("n"),
    (session) => session.clear(),
    (session) => session.set("n", undefined as unknown as number),
    (session) => {
      session.set("n", 1);
      session.delete("n");
    },
    (session) => {
      session.flash("hello");
      session.takeFlashes();
    },
    (session) => session.renew(),
  ];
  for (const act of acts) {
    const session = await sessions.open(new Request("http://localhost/"));
    act(session);
    assertEquals([await sessions.save(session), memory.size], [[], 0]);
  }
});

Deno.test("sessions: a log-out that leaves no data stores no new session", async () => {
  const { attempt, memory, visit } = site();
  await visit((session) => session.logIn("ada"));
  const answer = await attempt((session) => {
    session.logOut();
    session.flash("goodbye");
    session.takeFlashes();
  });
  assertEquals([answer.headers.getSetCookie().length, memory.size], [1, 0]);
  assertMatch(answer.headers.getSetCookie()[0]!, /^session=;.*Max-Age=0/);
});
