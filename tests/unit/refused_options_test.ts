/** SessionManager: unknown options of its methods are refused, and a log that fails ends nothing. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkStoreOptions } from "../../lib/stores/_options.ts";
import { cookieFor } from "../../lib/testing.ts";
import { site } from "../support/site.ts";

Deno.test("sessions: methods refuse unknown options, and a user who is no string", async () => {
  const { sessions, visit } = site();
  await visit((session) => session.logIn("ada"));
  await assertRejects(() => sessions.endAll("ada", { exept: undefined, only: {} } as object), TypeError, '"only"');
  assertThrows(
    () => sessions.wrap(() => new Response(), { unavailble: () => {} } as object),
    TypeError,
    '"unavailble"',
  );
  await assertRejects(() => cookieFor(sessions, {}, { usr: "ada" } as object), TypeError, '"usr"');
  const none = undefined as unknown as string;
  await assertRejects(() => sessions.endAll(none), TypeError, "the user must be a string");
  await assertRejects(() => sessions.end(none, "x"), TypeError, "the user must be a string");
  assertThrows(() => sessions.of(none), TypeError, "the user must be a string");
  assertEquals((await Array.fromAsync(sessions.of("ada"))).length, 1);
});

Deno.test("sessions: a log of a store that throws or rejects is reported and ends nothing", async () => {
  const reports: unknown[] = [];
  const { error } = console;
  console.error = (...args) => void reports.push(args[0]);
  try {
    const failures = [() => Promise.reject(new Error("late")), () => {
      throw new Error("soon");
    }];
    for (const log of failures) checkStoreOptions("store", { log }).log("warn", "text");
    await new Promise((done) => setTimeout(done));
  } finally {
    console.error = error;
  }
  assertEquals(reports, ["The log of a store failed:", "The log of a store failed:"]);
});

Deno.test("options: a message shows a plain value, and only the type of any other", () => {
  const received = { 5: 5, true: true, null: null, "a list": [1], "an empty list": [], "a Map": new Map(), object: {} };
  for (const [words, value] of Object.entries(received)) {
    assertThrows(() => checkStoreOptions("store", { log: value as never }), TypeError, `received ${words}`);
  }
  assertThrows(() => checkStoreOptions("store", { log: "text" as never }), TypeError, 'received "text"');
});
