/** Wrong use: what a program gives that cannot work is refused by name, and its late failures end nothing. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isCrossSite } from "../../lib/cross_site.ts";
import { insteadOf } from "../../lib/_headers.ts";
import { createLog } from "../../lib/log.ts";
import { Signer } from "../../lib/signer.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { withTelemetry } from "../../lib/telemetry.ts";
import { failing, KEY, site } from "../support/site.ts";

// deno-lint-ignore no-explicit-any -- values of wrong types
const wrong = (value: unknown) => value as any;

Deno.test("wrong use: a function that rejects late ends no process", async () => {
  const late = () => Promise.reject(new Error("late"));
  createLog("warn", wrong(late))("warn", "text");
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  assertThrows(() => session.update("n", wrong(late)), TypeError, "received a Promise");
  await new Promise((done) => setTimeout(done));
});

Deno.test("telemetry: what a listener returns reaches the manager, which reports it", () => {
  const name = Symbol.for("opentelemetry.js.api.1");
  const counter = { createCounter: () => ({ add() {} }) };
  const before = wrong(globalThis)[name];
  wrong(globalThis)[name] = { trace: { getTracer: () => ({}) }, metrics: { getMeter: () => counter } };
  try {
    const { on } = withTelemetry({ store: new MemoryStore(), keys: [KEY], on: wrong(() => "returned") });
    assertEquals(wrong(on)({ type: "made" }), "returned");
  } finally {
    wrong(globalThis)[name] = before;
  }
});

Deno.test("cross-site: an origin that is no http: or https: address is refused", () => {
  for (const headers of [{ origin: "null" }, { "sec-fetch-site": "same-origin" }] as Record<string, string>[]) {
    const request = new Request("http://localhost/", { headers });
    for (const origin of ["localhost:8000", "example.com", "mailto:x", ""]) {
      assertThrows(() => isCrossSite(request, origin), TypeError, JSON.stringify(origin));
    }
  }
});

Deno.test("headers: an error has no caching that was meant for the withheld answer", () => {
  const headers = { "cdn-cache-control": "max-age=9", "surrogate-control": "max-age=9", "x-accel-expires": "9" };
  const error = new Response("", { status: 503, headers: { "cache-control": "no-store" } });
  const sent = insteadOf(new Response("", { headers }), error).headers;
  assertEquals(Object.keys(headers).map((name) => sent.get(name)), ["no-store", "no-store", "0"]);
});

Deno.test("wrong use: values of a wrong type are named in the error", async () => {
  const { sessions } = site();
  const session = await sessions.open(new Request("http://localhost/"));
  for (const none of [undefined, null, 5]) {
    assertThrows(() => new Signer(wrong(none), "p"), TypeError, "needed a list of keys");
    assertEquals(new Signer([KEY], "p").unsign(wrong(none)), undefined);
    assertThrows(() => sessions.follow(wrong(none)), TypeError, "Cannot use a session");
    assertThrows(() => session.update("n", wrong(none)), TypeError, "needed a function");
    assertThrows(() => sessions.wrap(wrong(none)), TypeError, "needed a function");
    await assertRejects(() => sessions.follow(session).change(wrong(none)), TypeError, "needed a function");
  }
});

Deno.test("wrap: where `unavailable` resolves to nothing, the plain answer is sent", async () => {
  const { sessions } = site({ store: failing(["create"], new MemoryStore()) });
  const handler = sessions.wrap(async (_request, open) => {
    (await open()).set("n", 1);
    return new Response();
  }, { unavailable: wrong(() => Promise.resolve()) });
  assertEquals((await handler(new Request("http://localhost/"))).status, 503);
});
