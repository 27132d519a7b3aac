/** The pages around the end of a session: the times they show, their renewal, and their messages. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { Browser } from "../support/server.ts";
import { alerts } from "./app_place.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const ENDED = "Your session has ended, and your name was forgotten.";
const REMOVED = "Username Removed from Session Storage.";

interface Limits {
  idle: number;
  absolute: number;
  refresh?: boolean;
}

/** A site of its own with a clock, and a visitor's browser. */
function site(limits: Limits = { idle: MINUTE, absolute: 12 * HOUR }) {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  const keys = ["a secret key of at least 32 bytes"];
  const sessions = new SessionManager<Visitor>({ store, keys, now: clock.now, ...limits });
  return { clock, browser: new Browser("http://localhost", createApp({ sessions, store })) };
}

/** The text of a page's alert, if it has one. */
function alertOf(html: string): string | undefined {
  return alerts(html)[0];
}

/** The home page's sentences about the remaining time, some seconds after registering. */
async function sentence(limits: Limits, after = 0): Promise<string> {
  const { clock, browser } = site(limits);
  await browser.post("/add", { username: "Ada" });
  clock.time += after * 1000;
  return />([^<>]*your name is forgotten[^<]*)</i.exec(await browser.get("/"))![1]!.replaceAll("&nbsp;", " ");
}

Deno.test("pages: the home page says when the name is forgotten, unused and at the latest", async () => {
  assertEquals(
    await sentence({ idle: MINUTE, absolute: 12 * HOUR }),
    "If you do nothing, your name is forgotten in 1 minute. Otherwise, in 12 hours at the latest.",
  );
  assertEquals(
    await sentence({ idle: 30 * MINUTE, absolute: 30 * DAY }),
    "If you do nothing, your name is forgotten in 30 minutes. Otherwise, in 30 days at the latest.",
  );
  assertEquals(
    await sentence({ idle: 1, absolute: 100 }),
    "If you do nothing, your name is forgotten in 1 second. Otherwise, in 100 seconds at the latest.",
  );
  assertEquals(
    await sentence({ idle: 90, absolute: 3.4 * DAY }),
    "If you do nothing, your name is forgotten in 90 seconds. Otherwise, in about 3 days at the latest.",
  );
});

Deno.test("pages: the home page names one time only if use no longer extends the session", async () => {
  assertEquals(await sentence({ idle: HOUR, absolute: HOUR }), "Your name is forgotten in 1 hour.");
  assertEquals(await sentence({ idle: MINUTE, absolute: 90 }, 50), "Your name is forgotten in 40 seconds.");
  assertEquals(await sentence({ idle: 60, absolute: 60 }, 59.6), "Your name is forgotten in 0 seconds.");
});

Deno.test("pages: the home page counts down if only a change extends the session", async () => {
  assertEquals(
    await sentence({ idle: MINUTE, absolute: 12 * HOUR, refresh: false }, 45),
    "If you do nothing, your name is forgotten in 15 seconds. Otherwise, in 12 hours at the latest.",
  );
});

/** After how many seconds a page renews itself, and where. */
function renewalOf(response: Response): [seconds: number, path: string] {
  const match = /^(\d+); url=(.+)$/.exec(response.headers.get("refresh") ?? "none");
  return [Number(match?.[1]), match?.[2] ?? ""];
}

/** GETs a path and reads the page. */
async function look(browser: Browser, path: string) {
  const response = await browser.request(path);
  const html = await response.text();
  return { renewal: renewalOf(response), html, alert: alertOf(html), setCookies: browser.setCookies };
}

Deno.test("pages: the home page renews itself after the session's end, and says so", async () => {
  const { clock, browser } = site();
  await browser.post("/add", { username: "Ada" });
  const { renewal: [seconds, path] } = await look(browser, "/");
  assertEquals([seconds, path], [61, "/?ended"]);
  clock.time += seconds * 1000;
  const renewed = await look(browser, path);
  assertMatch(renewed.html, /<h1>You Need to Register First!<\/h1>/);
  assertEquals([renewed.alert, renewed.renewal[1]], [ENDED, ""]);
});

Deno.test("pages: a page that renews itself does not count as a use of the session", async () => {
  const { clock, browser } = site();
  await browser.post("/add", { username: "Ada" });
  await browser.get("/");
  clock.time += 40_000;
  await browser.get("/"); // In another tab.
  for (const [after, wait] of [[21_000, 40], [20_000, 20], [18_500, 2]] as const) {
    clock.time += after;
    const renewed = await look(browser, "/?ended");
    assertEquals([renewed.renewal, renewed.setCookies], [[wait, "/?ended"], []]);
    assertMatch(renewed.html, /Hi, <bdi>Ada<\/bdi>!/);
  }
  clock.time += 2000;
  assertEquals((await look(browser, "/?ended")).alert, ENDED);
});

Deno.test("pages: the wait for a session of 30 days fits the timers of browsers", async () => {
  const { browser } = site({ idle: 30 * DAY, absolute: 30 * DAY });
  await browser.post("/add", { username: "Ada" });
  assertEquals((await look(browser, "/")).renewal, [DAY, "/?ended"]);
});

Deno.test("pages: only a page that shows a name renews itself", async () => {
  const { browser } = site();
  for (const path of ["/", "/add", "/?ended", "/nowhere"]) {
    assertEquals((await browser.request(path)).headers.get("refresh"), null, path);
  }
});

Deno.test("pages: a page renewed after a log-out in another tab says that the name is gone", async () => {
  const { browser } = site();
  await browser.post("/add", { username: "Ada" });
  await browser.post("/remove");
  assertEquals((await look(browser, "/?ended")).alert, REMOVED);
});

Deno.test("pages: a log-out that comes after the session's end says that it ended", async () => {
  const { clock, browser } = site();
  await browser.post("/add", { username: "Ada" });
  clock.time += 61_000;
  assertEquals(await browser.post("/remove"), 303);
  assertEquals(alertOf(await browser.get("/", { referer: "http://localhost/" })), ENDED);
  assertEquals(alertOf(await browser.get("/", { referer: "http://localhost/?ended" })), ENDED);
});

Deno.test("pages: a visitor who comes from the form without a cookie reads about cookies", async () => {
  const { browser } = site();
  const referer = { referer: "http://localhost/add" };
  assertMatch(alertOf(await browser.get("/", referer))!, /^If you have just registered, your browser did not keep/);
  assertEquals(alertOf(await browser.get("/", { ...referer, cookie: "theme=dark" })), undefined);
  await browser.post("/add", { username: "Ada" });
  assertEquals(alertOf(await browser.get("/", referer)), "Successfully registered username - Ada.");
  await browser.post("/remove");
  assertEquals(alertOf(await browser.get("/", referer)), REMOVED);
});

Deno.test("pages: a visitor who comes from another site gets no such message", async () => {
  const { browser } = site();
  const elsewhere = [
    "http://example.com/add",
    "http://example.com/",
    "http://localhost:81/add",
    "about:client",
    "/add",
  ];
  for (const referer of [...elsewhere, "http://localhost/nowhere", "http://localhost/remove"]) {
    const html = await browser.get("/", { referer });
    assertEquals(alertOf(html), undefined, referer);
    assert(!html.includes("<details"), referer);
  }
});

Deno.test("pages: browsers may keep the page of a refused name, which shows no session", async () => {
  const { clock, browser } = site();
  await browser.post("/add", { username: "Ada" });
  clock.time += 30_000; // A use would extend the session here, and set a cookie.
  const body = new URLSearchParams({ username: "" });
  const response = await browser.request("/add", { method: "POST", body });
  const { headers } = response;
  assertEquals(response.status, 422);
  assertEquals([headers.get("cache-control"), headers.get("vary")], ["private, no-cache", null]);
  assertEquals(headers.getSetCookie(), []);
  assert(headers.get("content-security-policy"));
  assertMatch(headers.get("permissions-policy")!, /camera=\(\), .*geolocation=\(\), .*microphone=\(\), .*payment=\(\)/);
  const html = await response.text();
  assertEquals([html.includes("Ada"), alertOf(html)], [false, undefined]);
});

Deno.test("pages: the files that pages link to are cached forever and open no session", async () => {
  const { browser } = site();
  const html = await browser.get("/");
  const links = [...html.matchAll(/<link rel="\w+" href="([^"]+)"/g)].map(([, path]) => path!);
  assertEquals(links.map((path) => path.split("?")[0]), ["/style.css", "/favicon.svg"]);
  await browser.post("/add", { username: "Ada" });
  for (const path of links) {
    const response = await browser.request(path);
    await response.body?.cancel();
    const { headers } = response;
    assertEquals([response.status, headers.get("vary"), headers.getSetCookie()], [200, null, []]);
    assertEquals(headers.get("cache-control"), "public, max-age=31536000, immutable");
  }
});

Deno.test("pages: every title names the page and the site", async () => {
  const { browser } = site();
  const titleOf = async (path: string) => /<title>(.*)<\/title>/.exec(await browser.get(path))![1];
  assertEquals(await titleOf("/"), "Not registered &ndash; Session Server");
  assertEquals(await titleOf("/add"), "Register &ndash; Session Server");
  assertEquals(await titleOf("/nowhere"), "Error 404 &ndash; Session Server");
  await browser.post("/add", { username: "Ada" });
  assertEquals(await titleOf("/"), "Welcome &ndash; Session Server");
});

Deno.test("pages: the head and the page fit into what Deno sends in one write", async () => {
  const { browser } = site();
  const write = async (path: string) => {
    const response = await browser.request(path);
    const body = await response.text();
    const added = { "content-length": String(body.length), date: new Date(0).toUTCString() };
    const lines = [...response.headers, ...Object.entries(added)].map(([name, value]) => `${name}: ${value}\r\n`);
    return { head: `HTTP/1.1 200 OK\r\n${lines.join("")}\r\n`.length, body: body.length };
  };
  const writes = [await write("/"), await write("/add")];
  await browser.post("/add", { username: "Ada Lovelace" });
  writes.push(await write("/"));
  // The buffer has 1,024 bytes, and doubles when a head is longer. The page is written into it if it fits.
  for (const { head, body } of writes) assert(head > 1024 && head + body <= 2048, `${head} + ${body}`);
});
