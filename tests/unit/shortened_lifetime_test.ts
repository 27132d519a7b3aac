/** Tests of lifetimes that were shortened while sessions live. */
import { assertEquals, assertRejects } from "@std/assert";
import { SessionGoneError } from "../../lib/errors.ts";
import type { Session } from "../../lib/session.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock, cookieFor } from "../../lib/testing.ts";

function managers(...idles: number[]) {
  const { now, pass } = new Clock();
  const store = new MemoryStore({ now });
  const keys = ["the key that these tests sign with, 32 bytes or more"];
  const made = idles.map((idle) => new SessionManager<{ name: string }>({ store, keys, idle, now }));
  const open = (sessions: SessionManager<{ name: string }>, cookie: string) =>
    sessions.open(new Request("http://localhost/", { headers: { cookie } }));
  /** Whether the session is live. The visit counts as a use. */
  const visit = async (sessions: SessionManager<{ name: string }>, cookie: string) => {
    const session = await open(sessions, cookie);
    await sessions.save(session);
    return session.get("name") === "Ada";
  };
  return { made, open, pass, store, visit };
}

Deno.test("lifetimes: uses keep a session alive under a lifetime that was shortened", async () => {
  const { made: [long, short], pass, visit } = managers(60, 30);
  const cookie = await cookieFor(long!, { name: "Ada" });
  for (let i = 0; i < 20; i++) {
    pass(10);
    assertEquals(await visit(short!, cookie), true, `visit ${i}`);
  }
  pass(30);
  assertEquals(await visit(short!, cookie), false);
});

Deno.test("lifetimes: a session used at servers with two lifetimes in turn never ends", async () => {
  const { made, pass, visit } = managers(60, 30);
  const cookie = await cookieFor(made[0]!, { name: "Ada" });
  for (let i = 0; i < 40; i++) {
    pass(10);
    assertEquals(await visit(made[Math.floor(i * 0.61) % 2]!, cookie), true, `visit ${i}`);
  }
});

Deno.test("lifetimes: a lifetime that is lengthened again applies from the next use", async () => {
  const { made: [long, short], pass, visit } = managers(60, 30);
  const cookie = await cookieFor(long!, { name: "Ada" });
  for (const sessions of [short!, short!, long!]) {
    pass(10);
    assertEquals(await visit(sessions, cookie), true);
  }
  pass(59);
  assertEquals(await visit(long!, cookie), true);
});

Deno.test("lifetimes: after one was shortened, the very next use is stored", async () => {
  const { made: [long, short], pass, visit } = managers(1800, 600);
  const cookie = await cookieFor(long!, { name: "Ada" });
  pass(5);
  assertEquals(await visit(short!, cookie), true);
  pass(599);
  assertEquals(await visit(short!, cookie), true);
});

Deno.test("lifetimes: a late request revives no session that is over by a shortened one", async () => {
  const acts: ((session: Session<{ name: string }>) => void)[] = [
    (session) => session.set("name", "Bea"),
    (session) => session.renew(),
    (session) => session.logIn("bea"),
  ];
  for (const act of acts) {
    const { made: [long, short], open, pass, store } = managers(1800, 60);
    const session = await open(short!, await cookieFor(long!, { name: "Ada" }));
    act(session);
    pass(60);
    await assertRejects(() => short!.save(session), SessionGoneError, "lifetimes");
    assertEquals((await Array.fromAsync(store.list())).map(([, { data }]) => ({ ...data })), [{ name: "Ada" }]);
    assertEquals(short!.counters.refused, 1);
  }
});

Deno.test("lifetimes: a late page that only reads revives no session that is over", async () => {
  const { made: [long, short], open, pass, visit } = managers(1800, 60);
  const cookie = await cookieFor(long!, { name: "Ada" });
  const session = await open(short!, cookie);
  pass(60);
  assertEquals(await short!.save(session), []);
  assertEquals(await visit(short!, cookie), false);
});

Deno.test("lifetimes: a followed session that is over by a shortened one refuses changes", async () => {
  const { made: [long, short], open, pass } = managers(1800, 60);
  const session = await open(short!, await cookieFor(long!, { name: "Ada" }));
  const followed = short!.follow(session);
  pass(60);
  await short!.save(session);
  await assertRejects(() => followed.read(), SessionGoneError);
  await assertRejects(() => followed.change((session) => session.set("name", "Bea")), SessionGoneError);
});
