/** Hostile request lines and headers: no answer has status 500, and the log contains nothing of them. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { isHost } from "../../lib/server/protection.ts";
import { placeOf } from "../../lib/_reason.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { alerts, HOME, serve } from "./app_place.ts";

/** Requests the home page as Deno does: the host that was sent becomes part of the address, without a check. */
async function askAs(host: string, headers: Record<string, string> = {}) {
  const { app, lines } = serve();
  const request = new Request(`${HOME}/`, { headers });
  const response = await app(Object.defineProperty(request, "url", { value: `http://${host}/` }));
  return { status: response.status, html: await response.text(), lines };
}

// These include an invalid Punycode label, a number that is too large for an address, and a name that ends in a number.
const NO_HOSTS = [
  "999.999.999.999",
  "256.1.1.1",
  "1.2.3.4.5",
  "4294967296",
  "a.0x",
  "example.1",
  "1.2.3.4.5.6",
  "0x1ffffffff",
];
NO_HOSTS.push(
  "xn--",
  "xn--a",
  "a.xn--0",
  "xn--a.example",
  "[:::]",
  "[1::2::3]",
  "[1:2:3:4:5:6:7:8:9]",
  "[::1.2.3.256]",
);
NO_HOSTS.push("[::ffff:1.2.3]", "[1.2.3.4]", "09.1", "1.2.3.08", "localhost:65536", "[::1]:99999");

Deno.test("hostile input: a host that the URL parser refuses is answered 400", async () => {
  for (const name of NO_HOSTS) {
    assert(!URL.canParse(`http://${name}/`), `${name} is one that it refuses`);
    assert(!isHost(name), name);
    for (const referer of [`http://${name}/`, "http://localhost/", name]) {
      const { status, lines } = await askAs(name, { referer });
      assertEquals([status, lines], [400, ["warn A request was refused: it named no valid host: "]], name);
    }
  }
});

Deno.test("hostile input: the URL parser accepts every host that the check accepts", () => {
  const pieces = [
    "a",
    "1",
    "0x",
    "256",
    "xn--",
    ".",
    "-",
    ":",
    "[",
    "]",
    "::",
    "f",
    "_",
    "08",
    "%",
    "/",
    "@",
    "é",
    "\xa0",
  ];
  // Every host of up to four pieces.
  for (let n = 0; n < pieces.length ** 4; n++) {
    let host = "";
    for (let rest = n; rest > 0; rest = Math.floor(rest / pieces.length)) host += pieces[rest % pieces.length];
    if (isHost(host)) assert(URL.canParse(`http://${host}/`), host);
  }
});

Deno.test("hostile input: no Referer is an error, and only the site's own gets a hint", async () => {
  const others = [
    "",
    "/",
    "x",
    "http://",
    "http:///",
    "://",
    "http://localhost",
    "http://localhost:x/",
    "//localhost/",
  ];
  others.push("http://999.999.999.999/", "http://[::1", "http://localhost@evil.example/", "http://localhost.evil/");
  others.push("http://xn--/add", "\xff\xfe", `http://${"a".repeat(60_000)}/`, `http://localhost/${"/".repeat(60_000)}`);
  for (const referer of others) {
    const { status, html, lines } = await askAs("localhost", { referer });
    assertEquals([status, alerts(html), lines], [200, [], []], referer.slice(0, 80));
  }
  const { html } = await askAs("localhost", { referer: "http://localhost/" });
  assertMatch(alerts(html)[0]!, /^Your session has ended/);
});

Deno.test("hostile input: a name of 16 kB of marks is refused before it is composed", async () => {
  const { browser, memory } = serve();
  const composed: number[] = [];
  const { normalize } = String.prototype;
  String.prototype.normalize = function (form) {
    composed.push(this.length);
    return normalize.call(this, form);
  };
  try {
    for (const username of ["\u0301\u0316".repeat(1300), " ".repeat(10_000) + "Ada", "x".repeat(1025)]) {
      assertEquals(await browser.post("/add", { username }), 422);
    }
    assertEquals([composed, memory.size], [[], 0]);
    // As long as a name of 64 characters can be, in four parts each.
    assertEquals(
      await browser.post("/add", { username: `${" ".repeat(700)}${"α\u0313\u0300\u0345".repeat(64)}` }),
      303,
    );
    assertEquals(composed, [256]);
  } finally {
    String.prototype.normalize = normalize;
  }
});

Deno.test("hostile input: an unexpected error is logged without its message", async () => {
  const lines: string[] = [];
  const log = (level: string, event: string, detail = "") => void lines.push(`${level} ${event}: ${detail}`);
  const store = new MemoryStore();
  const sessions = new SessionManager<Visitor>({ store, keys: ["a key of this test that is long enough for it"] });
  const words = "words of a visitor\n    at the-visitor (evil:1:1)";
  sessions.open = () => Promise.reject(new TypeError(words));
  const response = await createApp({ sessions, store, log })(new Request(`${HOME}/`));
  assertEquals(response.status, 500);
  assertMatch(lines.join("\n"), /^error A request failed: TypeError at .*hostile_input_test\.ts:\d+:\d+\)?$/);
});

Deno.test("hostile input: the log has an error's name and place, and nothing else of it", () => {
  class OwnError extends Error {
    override name = "OwnError";
  }
  for (const message of ["", "x", "at", "\n", "a\n    at b\n    at c", "Error: Error"]) {
    for (const error of [new Error(message), new OwnError(message), new TypeError(message)]) {
      const place = placeOf(error);
      assert(place.startsWith(`${error.name} at `) && place.includes("hostile_input_test.ts:"), place);
    }
  }
  const changed = Object.assign(new Error("a\nb"), { message: "words", stack: "nothing" });
  assertEquals([placeOf(changed), placeOf("words"), placeOf(undefined)], ["Error", "string", "undefined"]);
});
