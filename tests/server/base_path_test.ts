/** A site below a path of its host, such as `/app`, behind a proxy that removes the path or one that keeps it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Browser } from "../support/server.ts";
import { alerts, HOME, serve } from "./app_place.ts";

const BASE = "/app";
const ENDED = "Your session has ended, and your name was forgotten.";

/** A browser at the public address, whose requests reach the app with the path or without it. */
const PROXIES: Readonly<Record<string, (url: string) => string>> = {
  "a proxy that keeps the path": (url) => url,
  "a proxy that removes the path": (url) => url.replace(`${HOME}${BASE}`, HOME),
};

for (const [name, rewrite] of Object.entries(PROXIES)) {
  /** Makes the site, and a browser before its proxy. */
  const behind = () => {
    const site = serve({ basePath: BASE });
    const send = async (request: Request) =>
      await site.app(
        new Request(rewrite(request.url), {
          method: request.method,
          headers: request.headers,
          ...(request.body === null ? {} : { body: await request.arrayBuffer() }),
        }),
      );
    return { ...site, browser: new Browser(HOME, send) };
  };

  Deno.test(`base path: ${name}: every link, form, redirect and file is below it`, async () => {
    const { browser } = behind();
    const pages = [await browser.get(`${BASE}/`), await browser.get(`${BASE}/add`), await browser.get(`${BASE}/none`)];
    const response = await browser.request(`${BASE}/add`, {
      method: "POST",
      body: new URLSearchParams({ username: "Ada" }),
    });
    assertEquals([response.status, response.headers.get("location")], [303, `${BASE}/`]);
    const home = await browser.request(`${BASE}/`);
    assertEquals(home.headers.get("refresh"), `61; url=${BASE}/?ended`);
    pages.push(await home.text());
    assertMatch(pages.at(-1)!, /Hi, <bdi>Ada<\/bdi>!/);
    for (const html of pages) {
      const addresses = [...html.matchAll(/(?:href|action)="([^"]*)"/g)].map(([, address]) => address!);
      assert(addresses.length >= 4);
      for (const address of addresses.filter((address) => !address.includes("/remove"))) {
        assertMatch(address, /^\/app\/(add|\?keep|style\.css\?\w+|favicon\.svg\?\w+)?$/);
        const answer = await browser.request(address);
        assertEquals(answer.status, 200, address);
        if (!address.includes("style.css")) continue;
        const [, icon] = /url\("([^"]+)"\)/.exec(await answer.text())!;
        assertEquals((await browser.request(new URL(icon!, HOME + address).pathname)).status, 200);
      }
    }
    assertEquals(await browser.post(`${BASE}/remove`), 303);
  });

  Deno.test(`base path: ${name}: the messages about a session's end are right`, async () => {
    const { browser, clock } = behind();
    await browser.post(`${BASE}/add`, { username: "Ada" });
    clock.time += 61_000;
    assertEquals(alerts(await browser.get(`${BASE}/`, { referer: `${HOME}${BASE}/` })), [ENDED]);
    assertEquals(alerts(await browser.get(`${BASE}/?ended`)), [ENDED]);
    assertEquals(alerts(await browser.get(`${BASE}/`, { referer: `${HOME}/` })), []);
    browser.cookies.clear();
    const hint = alerts(await browser.get(`${BASE}/`, { referer: `${HOME}${BASE}/add` }));
    assertMatch(hint[0]!, /^If you have just registered/);
  });

  Deno.test(`base path: ${name}: the probes answer`, async () => {
    const { browser } = behind();
    for (const path of ["/healthz", "/readyz"]) {
      assertEquals(await browser.get(BASE + path), "ok");
      assertEquals(await browser.get(path), "ok");
    }
  });
}

Deno.test("base path: it is removed once, and only where a slash follows it", async () => {
  const { browser } = serve({ basePath: BASE });
  for (const path of ["/app/app/", "/app/app/add", "/application", "/app.css", "/APP/", "/app//"]) {
    assertEquals((await browser.request(path)).status, 404, path);
  }
});

Deno.test("base path: without a slash it leads to the home page, by the same method", async () => {
  const { browser } = serve({ basePath: BASE });
  for (const path of [BASE, `${BASE}?ended`]) {
    for (const method of ["GET", "HEAD", "POST"]) {
      const { status, headers } = await browser.request(path, { method });
      assertEquals([status, headers.get("location")], [308, `${BASE}/`], method);
      assert(headers.has("content-security-policy") && !headers.has("set-cookie"));
    }
  }
});

Deno.test("base path: it may be the path of a page", async () => {
  const { browser } = serve({ basePath: "/add" });
  assertMatch(await browser.get("/add/add"), /<form method="post" action="\/add\/add">/);
  assertEquals((await browser.request("/add")).status, 308);
});

Deno.test("base path: the log names the page of a request below it", async () => {
  const { browser, lines } = serve({ basePath: BASE, logRequests: true });
  await browser.get(`${BASE}/add`);
  await browser.get("/add");
  assertEquals(lines.map((line) => line.split(" 200")[0]), ["debug Answered: GET /add", "debug Answered: GET /add"]);
});
