/** The app: each route of the three-page server, asked through its handler. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import type { SessionStore } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { NullStore } from "../../lib/stores/null.ts";
import { Browser, Clock } from "../support/server.ts";

const KEY = "the key that these tests sign with of 32 bytes or more";
const HOME = "http://localhost";
const GREET = "Successfully registered username - Ada.";
const NOTIFY = "Username Removed from Session Storage.";

interface Site {
  origin?: string;
  store?: SessionStore;
  max?: number;
  logRequests?: boolean;
}

function serve({ origin, store, max, logRequests }: Site = {}) {
  const clock = new Clock();
  const memory = new MemoryStore({ now: clock.now, max });
  const lines: string[] = [];
  const log = (level: string, event: string, detail = "") => void lines.push(`${level} ${event}: ${detail}`);
  const { now } = clock;
  const sessions = new SessionManager<Visitor>({ store: store ?? memory, keys: [KEY], idle: 60, now, log });
  const app = createApp({ sessions, store: store ?? memory, origin, log, logRequests });
  const newBrowser = () => new Browser(HOME, app);
  return { app, browser: newBrowser(), clock, lines, memory, newBrowser };
}

/** The text of every alert on a page. */
function alerts(html: string): string[] {
  return [...html.matchAll(/role="alert"[^>]*>([^<]*)</g)].map((match) => match[1]!.trim());
}

Deno.test("GET /: a stranger is asked to register, and gets no cookie, no alert and no session", async () => {
  const { browser, memory } = serve();
  const response = await browser.request("/");
  const html = await response.text();
  assertEquals([response.status, response.headers.get("content-type")], [200, "text/html; charset=utf-8"]);
  assertMatch(html, /<h1[^>]*>You Need to Register First!<\/h1>/);
  assertMatch(html, /<a[^>]* href="\/add"[^>]*>Register<\/a>/);
  assertEquals([alerts(html), browser.setCookies, memory.size], [[], [], 0]);
});

Deno.test("GET /add: the form, under its alert", async () => {
  const { browser } = serve();
  const html = await browser.get("/add");
  assertEquals(alerts(html), ["Enter your username to continue."]);
  assertMatch(html, /<form[^>]* method="post"[^>]* action="\/add"|<form[^>]* action="\/add"[^>]* method="post"/);
  assertMatch(html, /<label for="username">/);
  assertMatch(html, /<input[^>]* id="username"[^>]* name="username"|<input[^>]* name="username"[^>]* id="username"/);
  assertEquals(browser.setCookies, []);
});

Deno.test("POST /add: registers the name, greets and offers to log out", async () => {
  const { browser } = serve();
  const response = await browser.request("/add", { method: "POST", body: new URLSearchParams({ username: "Ada" }) });
  assertEquals([response.status, response.headers.get("location")], [303, "/"]);
  const html = await browser.get("/");
  assertMatch(html, /<h1[^>]*>Hi, Ada!<\/h1>/);
  assertMatch(html, /<form[^>]* action="\/remove"[^>]*>\s*<button[^>]*>Log out<\/button>/);
  assertEquals(alerts(html), [GREET]);
  assert(!html.includes("Register First"));
});

Deno.test("POST /add: the answer has one cookie, whoever came before", async () => {
  const { newBrowser } = serve();
  const cookies = new Set<string>();
  for (let visitor = 0; visitor < 3; visitor++) {
    const browser = newBrowser();
    await browser.post("/add", { username: "Ada" });
    assertEquals(browser.setCookies.length, 1);
    cookies.add(browser.cookie);
  }
  assertEquals(cookies.size, 3);
});

Deno.test("POST /add: a multipart form will do", async () => {
  const { browser } = serve();
  const form = new FormData();
  form.set("username", "Zoë");
  assertEquals((await browser.request("/add", { method: "POST", body: form })).status, 303);
  assert((await browser.get("/")).includes("Hi, Zoë!"));
});

Deno.test("POST /add: gives a new id, and the old one is dead", async () => {
  const { browser, memory, newBrowser } = serve();
  await browser.post("/add", { username: "Ada" });
  const old = newBrowser();
  old.cookies.set("session", browser.cookies.get("session")!);
  await browser.post("/add", { username: "Bob" });
  assert(browser.cookie !== old.cookie);
  assert((await old.get("/")).includes("Register First"));
  assert((await browser.get("/")).includes("Hi, Bob!"));
  assertEquals(memory.size, 1);
});

Deno.test("POST /add: a name is trimmed and composed", async () => {
  const { browser } = serve();
  await browser.post("/add", { username: " \t Zoe\u0308 \u00a0" });
  assert((await browser.get("/")).includes("Hi, Zo\u00eb!"));
});

Deno.test("POST /add: 64 characters are a name, whatever they take in bytes", async () => {
  const { browser } = serve();
  assertEquals(await browser.post("/add", { username: "👋".repeat(64) }), 303);
});

Deno.test("POST /add: an unusable name gets the form again, with the reason beside the field", async () => {
  const { browser, memory } = serve();
  const unusable = [
    "",
    "   ",
    "x".repeat(65),
    "a\0b",
    "a\nb",
    "a\u0085b",
    "\u2028x\u2029y",
    "a\u202Eb",
    "\u200B\u200D",
  ];
  for (const username of unusable) {
    const response = await browser.request("/add", { method: "POST", body: new URLSearchParams({ username }) });
    const html = await response.text();
    assertEquals(response.status, 422, JSON.stringify(username));
    assertMatch(html, /<input[^>]* aria-invalid="true"/);
    const [, problem] = /aria-describedby="([^"]+)"/.exec(html)!;
    assertMatch(html, new RegExp(`id="${problem}"[^>]*>[A-Z][^<]+\\.<`));
    assert(/<title>Error: /.test(html));
  }
  assertEquals([browser.setCookies, memory.size], [[], 0]);
});

Deno.test("POST /add: what was typed is still in the form", async () => {
  const { browser } = serve();
  const username = `"><script>${"x".repeat(64)}`;
  const html = await (await browser.request("/add", { method: "POST", body: new URLSearchParams({ username }) }))
    .text();
  assert(html.includes(`value="&quot;&gt;&lt;script&gt;${"x".repeat(64)}"`), html);
});

Deno.test("POST /add: a missing name, or a file for a name, is an unusable one", async () => {
  const { browser } = serve();
  assertEquals(await browser.post("/add", { other: "x" }), 422);
  const form = new FormData();
  form.set("username", new File(["Ada"], "ada.txt"));
  assertEquals((await browser.request("/add", { method: "POST", body: form })).status, 422);
});

Deno.test("POST /add: an unusable name leaves the registered one alone", async () => {
  const { browser } = serve();
  await browser.post("/add", { username: "Ada" });
  await browser.post("/add", { username: "" });
  assert((await browser.get("/")).includes("Hi, Ada!"));
});

for (const method of ["POST", "GET"]) {
  Deno.test(`${method} /remove: forgets the name, says so, and gives a new id`, async () => {
    const { browser, memory, newBrowser } = serve();
    await browser.post("/add", { username: "Ada" });
    const old = newBrowser();
    old.cookies.set("session", browser.cookies.get("session")!);
    const response = await browser.request("/remove", { method });
    assertEquals([response.status, response.headers.get("location")], [303, "/"]);
    assert(browser.cookie !== old.cookie);
    const html = await browser.get("/");
    assertEquals(alerts(html), [NOTIFY]);
    assert(html.includes("Register First") && !html.includes("Ada"));
    assertEquals(alerts(await old.get("/")), []);
    assertEquals(memory.size, 1);
  });

  Deno.test(`${method} /remove: with nobody registered goes home without an error or a cookie`, async () => {
    const { browser, memory } = serve();
    const response = await browser.request("/remove", { method });
    assertEquals([response.status, response.headers.get("location")], [303, "/"]);
    assertEquals([browser.setCookies, memory.size], [[], 0]);
  });
}

Deno.test("GET /remove: does nothing when a browser prefetches it, another site asks, or only its head is asked for", async () => {
  const { browser } = serve();
  await browser.post("/add", { username: "Ada" });
  for (
    const headers of [
      { "sec-purpose": "prefetch" },
      { "sec-purpose": "prefetch;prerender" },
      { "purpose": "prefetch" },
      { "x-moz": "prefetch" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ]
  ) {
    assertEquals((await browser.request("/remove", { headers: headers as HeadersInit })).status, 303);
    assert((await browser.get("/")).includes("Hi, Ada!"), JSON.stringify(headers));
  }
  await browser.request("/remove", { method: "HEAD" });
  assert((await browser.get("/")).includes("Hi, Ada!"));
  await browser.request("/remove", { headers: { "sec-fetch-site": "same-origin" } });
  assert((await browser.get("/")).includes("Register First"));
});

Deno.test("a visitor is forgotten after a minute of silence, and kept by use, of the form too", async () => {
  const { browser, clock } = serve();
  await browser.post("/add", { username: "Ada" });
  for (const path of ["/", "/add", "/", "/add"]) {
    clock.time += 50_000;
    await browser.get(path);
  }
  clock.time += 50_000;
  assert((await browser.get("/")).includes("Hi, Ada!"));
  clock.time += 60_000;
  assert((await browser.get("/")).includes("Register First"));
});

Deno.test("HEAD of a page is its GET without the body", async () => {
  const { browser } = serve();
  for (const path of ["/", "/add", "/style.css", "/healthz", "/nowhere"]) {
    const head = await browser.request(path, { method: "HEAD" });
    const get = await browser.request(path);
    assertEquals(head.status, get.status);
    assertEquals(head.headers.get("content-type"), get.headers.get("content-type"));
    assertEquals(await head.text(), "");
    assert((await get.text()).length > 0);
  }
});

Deno.test("another method is answered 405 with what is allowed, OPTIONS 204 with the same", async () => {
  const { browser } = serve();
  const allowed = {
    "/": "GET, HEAD, OPTIONS",
    "/add": "GET, HEAD, POST, OPTIONS",
    "/remove": "GET, HEAD, POST, OPTIONS",
    "/style.css": "GET, HEAD, OPTIONS",
    "/healthz": "GET, HEAD, OPTIONS",
  };
  for (const [path, allow] of Object.entries(allowed)) {
    for (const method of ["PUT", "DELETE", "PATCH", "PROPFIND"]) {
      const response = await browser.request(path, { method });
      assertEquals([response.status, response.headers.get("allow")], [405, allow], `${method} ${path}`);
    }
    const options = await browser.request(path, { method: "OPTIONS" });
    assertEquals([options.status, options.headers.get("allow"), await options.text()], [204, allow, ""]);
  }
  assertEquals(await browser.post("/"), 405);
});

Deno.test("another path is answered 404, as a page", async () => {
  const { browser } = serve();
  for (const path of ["/nowhere", "/add/", "/ADD", "//", "/%2e%2e/etc/passwd", "/constructor", "/__proto__"]) {
    const response = await browser.request(path);
    assertEquals(response.status, 404, path);
    assertMatch(await response.text(), /^<!doctype html>[^]*<h1/);
  }
});

Deno.test("GET /healthz: ok, without a session", async () => {
  const { browser } = serve({ store: new NullStore() });
  const response = await browser.request("/healthz");
  assertEquals([response.status, await response.text(), response.headers.get("vary")], [200, "ok", null]);
});

Deno.test("GET /readyz: ok if the store answers, else 503, without a session", async () => {
  let failure: Promise<void> | undefined;
  const store = Object.assign(new MemoryStore(), { ready: () => failure ?? Promise.resolve() });
  const { browser, clock } = serve({ store });
  await browser.post("/add", { username: "Ada" });
  clock.time += 30_000;
  const ask = async () => {
    const response = await browser.request("/readyz");
    const { headers, status } = response;
    assertEquals([headers.get("vary"), headers.get("cache-control"), browser.setCookies], [null, "no-store", []]);
    return [status, await response.text(), headers.get("retry-after")];
  };
  assertEquals(await ask(), [200, "ok", null]);
  failure = Promise.reject(new Error("away"));
  failure.catch(() => {});
  assertEquals(await ask(), [503, "The session store does not answer.\n", "5"]);
  failure = undefined;
  assertEquals(await ask(), [200, "ok", null]);
  failure = new Promise(() => {});
  assertEquals((await ask())[0], 503, "a store that never answers");
});

Deno.test("GET /readyz: probes that come at once ask the store once", async () => {
  let asked = 0;
  const answer = Promise.withResolvers<void>();
  const store = Object.assign(new MemoryStore(), { ready: () => (asked++, answer.promise) });
  const { browser } = serve({ store });
  const probes = Promise.all(Array.from({ length: 20 }, () => browser.request("/readyz")));
  answer.resolve();
  assertEquals((await probes).map(({ status }) => status), Array.from({ length: 20 }, () => 200));
  assertEquals(asked, 1);
});

Deno.test("probes are answered whatever host is named, and pages are not", async () => {
  const { app, lines } = serve({ origin: "https://example.com" });
  for (const host of ["10.0.0.7:8000", "example.org", "a b"]) {
    for (const [path, status] of [["/healthz", 200], ["/readyz", 200], ["/", 400], ["/style.css", 400]] as const) {
      const request = new Request("http://localhost/", { headers: { host } });
      Object.defineProperty(request, "url", { value: `http://${host}${path}` });
      assertEquals((await app(request)).status, status, `${host}${path}`);
    }
  }
  assertEquals(
    new Set(lines),
    new Set(['warn A request was refused: it named another host than "ORIGIN" does: https://example.com']),
  );
});

Deno.test("every request is a line in the log if asked for, with nothing that a visitor sent", async () => {
  const { browser, lines } = serve({ logRequests: true });
  await browser.post("/add?secret=1", { username: "Ada" });
  await browser.request("/secret/Ada", { headers: { "user-agent": "secret" } });
  await browser.request("/", { method: "SECRET" });
  await browser.request("/style.css?secret", { method: "HEAD" });
  assertEquals(lines.map((line) => line.replace(/[\d.]+ ms$/, "n ms")), [
    "debug Answered: POST /add 303 in n ms",
    "debug Answered: GET another path 404 in n ms",
    "debug Answered: another method / 405 in n ms",
    "debug Answered: HEAD /style.css 200 in n ms",
  ]);
});

Deno.test("the style sheet that pages link is cacheable and never touches a session", async () => {
  const { browser } = serve();
  await browser.post("/add", { username: "Ada" });
  const [, path] = /<link rel="stylesheet" href="(\/style\.css[^"]*)">/.exec(await browser.get("/"))!;
  const response = await browser.request(path!);
  assertEquals([response.status, response.headers.get("content-type")], [200, "text/css; charset=utf-8"]);
  assertMatch(response.headers.get("cache-control")!, /public, max-age=\d{4,}/);
  assertEquals([response.headers.get("vary"), response.headers.getSetCookie()], [null, []]);
  assert((await response.text()).includes("main {"));
});

Deno.test("every answer carries the security headers, and no page of a session is cached", async () => {
  const { browser, app } = serve();
  const answers = [
    await browser.request("/"),
    await browser.request("/add"),
    await browser.request("/add", { method: "POST", body: new URLSearchParams({ username: "Ada" }) }),
    await browser.request("/add", { method: "POST", body: new URLSearchParams() }),
    await browser.request("/add", { method: "POST", body: "x" }),
    await browser.request("/remove"),
    await browser.request("/nowhere"),
    await browser.request("/", { method: "PUT" }),
    await app(new Request("http://localhost/", { headers: { host: "a b" } })),
  ];
  assertEquals(answers.map((answer) => answer.status), [200, 200, 303, 422, 415, 303, 404, 405, 400]);
  const others = [await browser.request("/style.css"), await browser.request("/", { method: "OPTIONS" })];
  for (const { headers, status } of [...answers, ...others]) {
    const csp = headers.get("content-security-policy")!;
    assert(csp.startsWith("default-src 'none'; ") && csp.includes("frame-ancestors 'none'"), String(status));
    assert(!csp.includes("unsafe-") && !csp.includes("*"));
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("referrer-policy"), "same-origin");
    assertEquals(headers.get("cross-origin-opener-policy"), "same-origin");
    assertEquals(headers.get("strict-transport-security"), null);
  }
  for (const { headers, status } of answers) {
    // The form with a problem holds nothing of the session, and stays for the back button.
    const caching = status === 422 ? [null, "private, no-cache"] : ["Cookie", "no-store"];
    assertEquals([headers.get("vary"), headers.get("cache-control")], caching, String(status));
    assertEquals(headers.has("permissions-policy"), status !== 303, String(status));
  }
});

Deno.test("under https, browsers are told to stay with it, and another host is refused", async () => {
  const { app } = serve({ origin: "https://example.com" });
  const ask = (host: string) => app(new Request(`http://${host}/`, { headers: { host } }));
  const response = await ask("example.com");
  assertEquals(response.status, 200);
  assertMatch(response.headers.get("strict-transport-security")!, /max-age=\d{7,}/);
  assertEquals((await ask("example.com:443")).status, 200);
  for (const host of ["example.org", "example.com:8000", "www.example.com", "localhost"]) {
    assertEquals((await ask(host)).status, 400, host);
  }
});

Deno.test("a store that fails costs nobody the pages that need none, and the others say to come again", async () => {
  const refuse = () => Promise.reject(new Error("away"));
  const store = { create: refuse, read: refuse, update: refuse, touch: refuse, delete: refuse, move: refuse };
  const { browser } = serve();
  await browser.post("/add", { username: "Ada" });
  const bad = serve({ store });
  for (const path of ["/", "/add", "/healthz"]) {
    assertEquals((await bad.browser.request(path)).status, 200, path);
  }
  const response = await bad.browser.request("/add", {
    method: "POST",
    body: new URLSearchParams({ username: "Ada" }),
  });
  assertEquals([response.status, response.headers.get("retry-after"), bad.browser.setCookies], [503, "5", []]);
  bad.browser.cookies.set("session", browser.cookies.get("session")!);
  assert((await response.text()).includes("could not be stored"));
  for (const path of ["/", "/remove"]) {
    const unread = await bad.browser.request(path);
    assertEquals([unread.status, unread.headers.get("retry-after")], [503, "5"]);
    assert((await unread.text()).includes("could not be read"), path);
  }
  assertEquals(bad.lines, ["create", "read", "read"].map((verb) => `error The session store failed to ${verb}: away`));
});

Deno.test("the null store is refused by name in the log, and answered 503", async () => {
  const { browser, lines } = serve({ store: new NullStore() });
  assertEquals(await browser.post("/add", { username: "Ada" }), 503);
  assert(lines.join().includes("the null store stores nothing"), lines.join());
});

Deno.test("past the most sessions, new visitors are told to come again, and the others go on", async () => {
  const { browser, newBrowser } = serve({ max: 1 });
  await browser.post("/add", { username: "Ada" });
  const second = newBrowser();
  const response = await second.request("/add", { method: "POST", body: new URLSearchParams({ username: "Bob" }) });
  assertEquals([response.status, response.headers.get("retry-after")], [503, "5"]);
  assert((await browser.get("/")).includes("Hi, Ada!"));
  await browser.post("/add", { username: "Zoe" });
  await browser.post("/remove");
  assertEquals(alerts(await browser.get("/")), [NOTIFY]);
});

Deno.test("a form under way when its session is ended is told so, and registers nobody", async () => {
  const { app, browser } = serve();
  await browser.post("/add", { username: "Ada" });
  const cookie = browser.cookie;
  let send = (_text: string) => {};
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      send = (text) => {
        controller.enqueue(new TextEncoder().encode(text));
        controller.close();
      };
    },
  });
  const headers = { cookie, "content-type": "application/x-www-form-urlencoded" };
  const slow = app(new Request(`${HOME}/add`, { method: "POST", body, headers }));
  await browser.post("/remove");
  send("username=Bob");
  const response = await slow;
  assertEquals([response.status, response.headers.getSetCookie()], [409, []]);
  browser.cookies.set("session", cookie.split("=")[1]!);
  assert((await browser.get("/")).includes("Register First"));
});
