/** Events: which one a manager emits for each change of a session, and which data no event has. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SessionGoneError } from "../../lib/errors.ts";
import type { SessionEvent } from "../../lib/events.ts";
import type { Level } from "../../lib/log.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { failing, register, site } from "../support/site.ts";

/** A site whose events are recorded. */
function recorded(options: Parameters<typeof site>[0] = {}) {
  const events: SessionEvent[] = [];
  const lines: [Level, string, string | undefined][] = [];
  const log = (level: Level, event: string, detail?: string) => void lines.push([level, event, detail]);
  const one = site({ ...options, on: (event) => events.push(event), log });
  /** The events since the last call. */
  const newEvents = () => events.splice(0).map(({ type, user }) => user === undefined ? type : `${type} ${user}`);
  return { ...one, events, lines, newEvents };
}

Deno.test("events: each change of a session makes one event, with its user", async () => {
  const { clock, newBrowser, newEvents, sessions, visit } = recorded();
  await visit();
  assertEquals(newEvents(), []);
  await visit(register);
  assertEquals(newEvents(), ["made"]);
  await visit((session) => session.set("n", 1));
  assertEquals(newEvents(), ["changed"]);
  clock.pass(30);
  await visit();
  assertEquals(newEvents(), ["used"]);
  await visit((session) => session.renew());
  assertEquals(newEvents(), ["new id"]);
  await visit((session) => session.logIn("ada"));
  assertEquals(newEvents(), ["new id ada", "logged in ada"]);
  await visit((session) => session.logOut());
  assertEquals(newEvents(), ["logged out ada"]);
  await visit((session) => session.logIn("bob"), newBrowser());
  assertEquals(newEvents(), ["made bob", "logged in bob"]);
  await sessions.endAll("bob");
  assertEquals(newEvents(), ["ended bob"]);
  await visit(register);
  await visit((session) => session.end());
  assertEquals(newEvents(), ["made", "ended"]);
});

Deno.test("events: a refusal or failure has its reason", async () => {
  const { browser, events, newBrowser, visit } = recorded({ store: new MemoryStore({ max: 1 }), now: Date.now });
  const last = () => events.at(-1)!;
  await visit(register);
  await assertRejects(() => visit(register, newBrowser()));
  assertEquals([last().type, last().reason], ["refused", "store full"]);
  const forged = newBrowser();
  forged.cookies.set("session", browser.cookies.get("session")!.slice(0, -1) + "!");
  await visit(() => {}, forged);
  assertEquals([last().type, last().reason], ["refused", "bad signature"]);

  const bad = recorded({ store: failing(["create"], new MemoryStore()) });
  await assertRejects(() => bad.visit(register));
  const { type, verb, reason } = bad.events.at(-1)!;
  assertEquals([type, verb, reason], ["failed", "create", "the disk is on fire"]);
});

Deno.test("events: a taken value and an ended session have different reasons", async () => {
  const { events, request, sessions, visit } = recorded();
  for (const [does, reason] of [["take", "value taken"], ["end", "session gone"]] as const) {
    await visit((session) => session.set("n", 1));
    const session = await sessions.open(request());
    session.take("n");
    await visit((session) => does === "take" ? session.take("n") : session.end());
    await assertRejects(() => sessions.save(session), SessionGoneError);
    assertEquals(events.at(-1)?.reason, reason);
  }
});

Deno.test("events: none has an id, and all events of a session have its handle", async () => {
  const { browser, events, lines, request, sessions, visit } = recorded();
  const ids: string[] = [];
  const note = () => void ids.push(browser.cookie.split(/[=.]/)[1]!);
  await visit(register);
  note();
  await visit((session) => session.logIn("ada"));
  note();
  await visit((session) => session.set("n", 1));
  const { handle } = await sessions.open(request());
  await visit((session) => session.logOut());
  assertEquals(events.slice(1).map((event) => event.handle), Array(4).fill(handle));
  const all = JSON.stringify([events, lines]);
  for (const id of ids) assert(!all.includes(id) && !all.includes(id.slice(8, 24)));
  for (const event of events) assert(Object.isFrozen(event));
});

Deno.test("events: the log has log-ins, log-outs and ends at info, without the user", async () => {
  const { events, lines, sessions, visit } = recorded();
  await visit((session) => session.logIn("ada"));
  await visit((session) => session.logOut());
  await visit((session) => session.logIn("ada"));
  await sessions.endAll("ada");
  const seen = lines.filter(([level]) => level === "info").map(([, text]) => text);
  const handles = events.filter(({ type }) => /logged|ended/.test(type)).map(({ handle }) => handle);
  assertEquals(seen, [
    `A user logged in: session ${handles[0]}`,
    `A user logged out: session ${handles[1]}`,
    `A user logged in: session ${handles[2]}`,
    `A session was ended: session ${handles[3]}`,
  ]);
  assert(!JSON.stringify(lines).includes("ada"));
});

Deno.test("events: without a log, failures reach standard error, and log-ins do not", async () => {
  const { error } = console;
  const lines: string[] = [];
  console.error = (line: string) => void lines.push(line);
  try {
    const { visit } = site({ store: failing(["update"], new MemoryStore()), now: Date.now });
    await visit((session) => session.logIn("ada"));
    await assertRejects(() => visit((session) => session.set("n", 1)));
  } finally {
    console.error = error;
  }
  assertEquals(lines.map((line) => line.slice(25)), ["error The session store failed to update: the disk is on fire"]);
});

Deno.test("events: the failure of a listener or a log is reported, and fails no request", async () => {
  const { error } = console;
  const reported: unknown[] = [];
  console.error = (...words: unknown[]) => void reported.push(words.at(-1));
  const [now, later] = [new Error("now"), new Error("later")];
  const fail = () => {
    throw now;
  };
  try {
    const failLater = () => Promise.reject(later) as unknown as void;
    for (const options of [{ on: fail }, { log: fail }, { on: failLater }, { log: failLater }]) {
      const { visit } = site(options);
      await visit((session) => session.logIn("ada"));
      assertEquals(await visit((session) => session.set("n", 1)), { n: 1 });
    }
    await new Promise((resolve) => setTimeout(resolve));
  } finally {
    console.error = error;
  }
  assertEquals([...new Set(reported)], [now, later]);
});
