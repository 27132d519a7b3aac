/** The form and the home page: hints, messages, names in any script, and the link that keeps a name. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { MemoryStore } from "../../lib/stores/memory.ts";
import { NullStore } from "../../lib/stores/null.ts";
import type { Browser } from "../support/server.ts";
import { alerts, NOTIFY, serve } from "./app_place.ts";

const ENDED = "Your session has ended, and your name was forgotten.";

/** Sends the form, and returns the parts of the answer that matter to a visitor. */
async function submit(browser: Browser, username: string) {
  const response = await browser.request("/add", { method: "POST", body: new URLSearchParams({ username }) });
  const { headers, status } = response;
  const html = await response.text();
  const typed = /<input[^>]* value="([^"]*)"/.exec(html)?.[1];
  return { status, headers, html, typed, alerts: alerts(html), title: /<title>(.*?) /.exec(html)?.[1] };
}

/** Makes a store fail. Returns a function that makes it work again. */
function takeAway(store: MemoryStore): () => void {
  const fail = () => Promise.reject(new Error("away"));
  Object.assign(store, { create: fail, read: fail, move: fail });
  return () => ["create", "read", "move"].forEach((verb) => Reflect.deleteProperty(store, verb));
}

Deno.test("form: the hint names the longest name, and belongs to the field", async () => {
  const html = await serve().browser.get("/add");
  assertMatch(html, /<input[^>]* aria-describedby="username-hint"/);
  assertMatch(html, /id="username-hint">Up to 64 characters\.</);
  // With a maxlength, a browser would cut off pasted text, and count UTF-16 units.
  assert(!html.includes("maxlength"));
});

Deno.test("form: it keeps the typed name if the store is away or full", async () => {
  const { browser, memory, newBrowser } = serve();
  await browser.post("/add", { username: "Ada" });
  const bringBack = takeAway(memory);
  const full = serve({ max: 1 });
  await full.newBrowser().post("/add", { username: "Ada" });
  // The session of a stranger cannot be created, and that of a registered visitor cannot even be read.
  for (const visitor of [newBrowser(), browser, full.browser]) {
    const page = await submit(visitor, ' "Zoë" <b>');
    assertEquals([page.status, page.headers.get("retry-after")], [503, "5"]);
    assertEquals([page.typed, page.title, page.alerts.length], ["&quot;Zoë&quot; &lt;b&gt;", "Error:", 1]);
    assertMatch(page.alerts[0]!, /Please try again in a moment\.$/);
    assertMatch(page.html, /<input[^>]* aria-describedby="message username-hint" autofocus/);
    assert(!page.html.includes("aria-invalid"));
    // The page shows nothing of a session, so the back button may show it.
    assertEquals([page.headers.get("cache-control"), page.headers.get("vary")], ["private, no-cache", null]);
    assertEquals(visitor.setCookies, []);
  }
  bringBack();
  assertEquals((await submit(browser, "Zoë")).status, 303);
  assert((await browser.get("/")).includes("Hi, <bdi>Zoë</bdi>!"));
});

Deno.test("form: an invalid name is refused with the reason, even if the store fails", async () => {
  const { browser, memory } = serve();
  await browser.post("/add", { username: "Ada" });
  takeAway(memory);
  assertEquals((await submit(browser, "x".repeat(65))).status, 422);
});

Deno.test("form: it keeps the typed name if a log-out came in between", async () => {
  const { browser, memory } = serve();
  await browser.post("/add", { username: "Ada" });
  memory.move = () => Promise.resolve(undefined); // As if another request had logged out in between.
  const page = await submit(browser, "Bob");
  assertEquals([page.status, page.typed, browser.setCookies], [409, "Bob", []]);
  assertMatch(page.alerts[0]!, /Nothing was stored\. Please try again\.$/);
});

Deno.test("form: it keeps the typed name after an unexpected error, which is logged", async () => {
  const { app, lines } = serve();
  const request = new Request("http://localhost/add", {
    method: "POST",
    body: new URLSearchParams({ username: "Ada" }),
  });
  const { get } = request.headers;
  request.headers.get = (name) => {
    if (name === "cookie") throw new Error("unexpected");
    return get.call(request.headers, name);
  };
  const response = await app(request);
  assertEquals(response.status, 500);
  assertMatch(await response.text(), /value="Ada"/);
  assertEquals(lines.length, 1);
});

Deno.test("the null store: the pages say that names are not kept, and not to try again", async () => {
  const { browser } = serve({ store: new NullStore() });
  const home = await browser.get("/");
  assertMatch(
    home,
    /<h1>You Need to Register First!<\/h1>\n<p>[^<]*server keeps no names, because SESSION_TYPE is null/,
  );
  assertMatch(await browser.get("/add"), /id="username-hint">[^<]*server keeps no names, because SESSION_TYPE is null/);
  const page = await submit(browser, "Ada");
  assertEquals([page.status, page.headers.get("retry-after"), page.typed], [503, null, "Ada"]);
  assertMatch(page.alerts[0]!, /server keeps no names, because SESSION_TYPE is null/);
  assert(!page.html.includes("try again"));
});

Deno.test("a form that is too long is refused in plain words", async () => {
  const { status, html } = await submit(serve().browser, "x".repeat(20_000));
  assertEquals(status, 413);
  assertMatch(html, /<p>You typed more than this form accepts\./);
});

Deno.test("no link to the home page sends a Referer, not even on error pages", async () => {
  const { browser } = serve();
  const pages = [await browser.get("/"), await browser.get("/add"), await browser.get("/nowhere")];
  pages.push((await submit(browser, "x".repeat(20_000))).html, (await submit(browser, "")).html);
  await browser.post("/add", { username: "Ada" });
  pages.push(await browser.get("/"));
  for (const html of pages) {
    const links = [...html.matchAll(/<a [^>]*href="\/(?:\?[^"]*)?"[^>]*>/g)].map(([link]) => link);
    assert(links.length > 0);
    assertEquals(links.filter((link) => !link.includes('rel="noreferrer"')), []);
  }
});

Deno.test("every page isolates the writing direction of a name", async () => {
  const { browser } = serve();
  for (const name of ["שלום (1)", "Ada", "a", "user", "<i>", "-."]) {
    await browser.post("/add", { username: name });
    const html = await browser.get("/");
    const shown = `<bdi>${name.replace("<", "&lt;").replace(">", "&gt;")}</bdi>`;
    assert(html.includes(`<h1>Hi, ${shown}!</h1>`), html);
    assertMatch(html, /username - (?=<bdi>)/);
    assertEquals(alerts(html), [`Successfully registered username - ${shown.replace(/<\/?bdi>/g, "")}.`]);
  }
});

Deno.test("pages are ASCII except for the names that visitors typed", async () => {
  const { browser } = serve();
  const pages = [await browser.get("/"), await browser.get("/?ended"), await browser.get("/add")];
  pages.push(await browser.get("/", { referer: "http://localhost/add" }), await browser.get("/nowhere"));
  pages.push((await submit(browser, "")).html);
  await browser.post("/add", { username: "Ada" });
  pages.push(await browser.get("/"));
  await browser.post("/remove");
  pages.push(await browser.get("/"));
  // deno-lint-ignore no-control-regex -- the range of ASCII
  for (const html of pages) assertMatch(html, /^[\x00-\x7f]+$/);
});

Deno.test("a visitor can keep the name, even if use alone does not extend the session", async () => {
  for (const refresh of [true, false]) {
    const { browser, clock } = serve({ refresh });
    await browser.post("/add", { username: "Ada" });
    for (let time = 0; time < 5; time++) {
      clock.time += 50_000;
      const html = await browser.get("/");
      const [, path] = /<a class="button" href="([^"]+)"[^>]*>Keep my name</.exec(html)!;
      assertMatch(await browser.get(path!), /Hi, <bdi>Ada<\/bdi>![^]*forgotten in 1&nbsp;minute/);
    }
    clock.time += 61_000;
    assertEquals(alerts(await browser.get("/?keep")), [ENDED]);
  }
});

Deno.test("only the visitor keeps the name: not a prefetch, HEAD or another site", async () => {
  const { browser, clock } = serve({ refresh: false });
  await browser.post("/add", { username: "Ada" });
  clock.time += 30_000;
  for (const headers of [{ "sec-purpose": "prefetch" }, { "sec-fetch-site": "cross-site" }]) {
    assertMatch(await browser.get("/?keep", headers as HeadersInit), /forgotten in 30&nbsp;seconds/);
  }
  await browser.request("/?keep", { method: "HEAD" });
  assertMatch(await browser.get("/"), /forgotten in 30&nbsp;seconds/);
  await browser.post("/remove");
  assertEquals(alerts(await browser.get("/?keep")), [NOTIFY]);
});

Deno.test("a session that cannot be extended has no link to keep the name", async () => {
  const { browser, clock } = serve();
  await browser.post("/add", { username: "Ada" });
  for (let time = 0; time < 43_150; time += 50) {
    await browser.get("/");
    clock.time += 50_000;
  }
  const html = await browser.get("/");
  assertMatch(html, /<p>Your name is forgotten in 50&nbsp;seconds\.<\/p>/);
  assert(!html.includes("Keep my name"));
});
