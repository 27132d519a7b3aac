/** The app: each route of the three-page server, requested through the app's handler. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { alerts, NOTIFY, serve } from "./app_place.ts";

const GREET = "Successfully registered username - Ada.";

Deno.test("GET /: a stranger is asked to register, and gets no cookie, alert or session", async () => {
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
  assertMatch(html, /<h1[^>]*>Hi, <bdi>Ada<\/bdi>!<\/h1>/);
  assertMatch(html, /<form[^>]* action="\/remove"[^>]*>\s*<button[^>]*>Log out<\/button>/);
  assertEquals(alerts(html), [GREET]);
  assert(!html.includes("Register First"));
});

Deno.test("POST /add: each new visitor gets one cookie, with a value of its own", async () => {
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

Deno.test("POST /add: a multipart form is answered 415, and registers no one", async () => {
  const { browser, memory } = serve();
  const form = new FormData();
  form.set("username", "Zoë");
  assertEquals((await browser.request("/add", { method: "POST", body: form })).status, 415);
  assertEquals([browser.setCookies, memory.size], [[], 0]);
});

Deno.test("POST /add: gives a new id, and the old one is dead", async () => {
  const { browser, memory, newBrowser } = serve();
  await browser.post("/add", { username: "Ada" });
  const old = newBrowser();
  old.cookies.set("session", browser.cookies.get("session")!);
  await browser.post("/add", { username: "Bob" });
  assert(browser.cookie !== old.cookie);
  assert((await old.get("/")).includes("Register First"));
  assert((await browser.get("/")).includes("Hi, <bdi>Bob</bdi>!"));
  assertEquals(memory.size, 1);
});

Deno.test("POST /add: a name is trimmed and composed", async () => {
  const { browser } = serve();
  await browser.post("/add", { username: " \t Zoe\u0308 \u00a0" });
  assert((await browser.get("/")).includes("Hi, <bdi>Zo\u00eb</bdi>!"));
});

Deno.test("POST /add: a name may have 64 characters, of any length in bytes", async () => {
  const { browser } = serve();
  assertEquals(await browser.post("/add", { username: "👋".repeat(64) }), 303);
});

Deno.test("POST /add: an invalid name gets the form again, with the reason at the field", async () => {
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
    "\u3164\u115F", // the fillers of Hangul, which are letters
    "\u2800", // the blank of Braille, which is a symbol
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

Deno.test("POST /add: the form still has the name that was typed", async () => {
  const { browser } = serve();
  const username = `"><script>${"x".repeat(64)}`;
  const html = await (await browser.request("/add", { method: "POST", body: new URLSearchParams({ username }) }))
    .text();
  assert(html.includes(`value="&quot;&gt;&lt;script&gt;${"x".repeat(64)}"`), html);
});

Deno.test("POST /add: a missing name is invalid", async () => {
  const { browser } = serve();
  assertEquals(await browser.post("/add", { other: "x" }), 422);
});

Deno.test("POST /add: an invalid name does not change the registered name", async () => {
  const { browser } = serve();
  await browser.post("/add", { username: "Ada" });
  await browser.post("/add", { username: "" });
  assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
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

  Deno.test(`${method} /remove: without a name leads home, without an error or a cookie`, async () => {
    const { browser, memory } = serve();
    const response = await browser.request("/remove", { method });
    assertEquals([response.status, response.headers.get("location")], [303, "/"]);
    assertEquals([browser.setCookies, memory.size], [[], 0]);
  });
}

Deno.test("GET /remove: does nothing for a prefetch, another site or a HEAD request", async () => {
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
    assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"), JSON.stringify(headers));
  }
  await browser.request("/remove", { method: "HEAD" });
  assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
  await browser.request("/remove", { headers: { "sec-fetch-site": "same-origin" } });
  assert((await browser.get("/")).includes("Register First"));
});

Deno.test("a visitor is forgotten a minute after the last use, which may be of the form", async () => {
  const { browser, clock } = serve();
  await browser.post("/add", { username: "Ada" });
  for (const path of ["/", "/add", "/", "/add"]) {
    clock.time += 50_000;
    await browser.get(path);
  }
  clock.time += 50_000;
  assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
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

Deno.test("another method is answered 405 and OPTIONS 204, both with the allowed methods", async () => {
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
  // For "OPTIONS *", which is about the whole server, Deno gives this path.
  const server = await browser.request("/*", { method: "OPTIONS" });
  assertEquals([server.status, server.headers.get("allow")], [204, "GET, HEAD, POST, OPTIONS"]);
});

Deno.test("another path is answered 404, as a page", async () => {
  const { browser } = serve();
  for (
    const path of [
      "/nowhere",
      "/bound/register",
      "/add/",
      "/ADD",
      "//",
      "/%2e%2e/etc/passwd",
      "/constructor",
      "/__proto__",
    ]
  ) {
    const response = await browser.request(path);
    assertEquals(response.status, 404, path);
    assertMatch(await response.text(), /^<!doctype html>[^]*<h1/);
  }
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

Deno.test("every answer has the security headers, and no page of a session is cached", async () => {
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
    // The form with an error message shows nothing of the session, and browsers keep it for the back button.
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

Deno.test("POST: a form from another site is answered 403, and changes nothing", async () => {
  const { browser, lines, memory } = serve();
  const headers = { "sec-fetch-site": "cross-site" };
  for (const path of ["/add", "/remove"]) {
    assertEquals(await browser.post(path, { username: "Ada" }, headers), 403, path);
    assertEquals([browser.setCookies, memory.size], [[], 0], path);
  }
  assertEquals(lines, Array(2).fill("warn A cross-site request was refused: "));
});
