/** The app when its store is away or full, and for operators: probes, and one line per request. */
import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { NullStore } from "../../lib/stores/null.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { alerts, HOME, NOTIFY, serve } from "./app_place.ts";

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
  const broken = Promise.reject(new Error("away"));
  broken.catch(() => {});
  for (const [state, status] of [[broken, 503], [undefined, 200], [new Promise<void>(() => {}), 503]] as const) {
    failure = state;
    clock.time += 1000;
    const [kept, text, retryAfter] = await inSimulatedTime(ask);
    assertEquals(kept, status);
    if (status === 503) assertEquals([text, retryAfter], ["The session store does not answer.\n", "5"]);
  }
});

Deno.test("GET /readyz: the store is queried once a second, even if many probes come", async () => {
  let asked = 0;
  let answer = Promise.withResolvers<void>();
  const store = Object.assign(new MemoryStore(), { ready: () => (asked++, answer.promise) });
  const { browser, clock } = serve({ store });
  const probe = async (count: number) => {
    const responses = await Promise.all(Array.from({ length: count }, () => browser.request("/readyz")));
    return [...new Set(responses.map(({ status }) => status)), asked];
  };
  const first = probe(20);
  // Even if the answer takes long, there is only one query.
  clock.time += 5000;
  const more = probe(20);
  answer.resolve();
  assertEquals([await first, await more], [[200, 1], [200, 1]]);
  clock.time += 999;
  answer = Promise.withResolvers();
  answer.reject(new Error("away"));
  answer.promise.catch(() => {});
  assertEquals(await probe(20), [200, 1]);
  clock.time += 1;
  assertEquals(await probe(20), [503, 2]);
  clock.time += 999;
  assertEquals(await probe(20), [503, 2], "a refusal is kept as long");
  clock.time -= 86_400_000;
  assertEquals(await probe(20), [503, 3], "a clock that was set back keeps no answer for ever");
});

Deno.test("probes are answered for any host, pages only for a valid one", async () => {
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
    new Set(['warn A request was refused: it did not name the host of "ORIGIN": https://example.com']),
  );
});

Deno.test("with logRequests the log has one line per request, without visitors' data", async () => {
  const { browser, lines } = serve({ logRequests: true });
  await browser.post("/add?secret=1", { username: "Ada" });
  await browser.request("/secret/Ada", { headers: { "user-agent": "secret" } });
  await browser.request("/", { method: "SECRET" });
  await browser.request("/style.css?secret", { method: "HEAD" });
  const answered = lines.filter((line) => line.includes("Answered"));
  assertEquals(answered.map((line) => line.replace(/[\d.]+ ms$/, "n ms")), [
    "debug Answered: POST /add 303 in n ms",
    "debug Answered: GET another path 404 in n ms",
    "debug Answered: another method / 405 in n ms",
    "debug Answered: HEAD /style.css 200 in n ms",
  ]);
});

Deno.test("if the store fails, pages that need it are 503, and others are served", async () => {
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
  assert((await response.text()).includes("cannot be reached"));
  for (const path of ["/", "/remove"]) {
    const unread = await bad.browser.request(path);
    assertEquals([unread.status, unread.headers.get("retry-after")], [503, "5"]);
    assert((await unread.text()).includes("cannot be reached"), path);
  }
  assertEquals(bad.lines, ["create", "read", "read"].map((verb) => `error The session store failed to ${verb}: away`));
});

Deno.test("with the null store a form is answered 503, and the log names the store", async () => {
  const { browser, lines } = serve({ store: new NullStore() });
  assertEquals(await browser.post("/add", { username: "Ada" }), 503);
  assert(lines.join().includes("the null store stores nothing"), lines.join());
});

Deno.test("if the store is full, new visitors get 503, and registered visitors go on", async () => {
  const { browser, newBrowser } = serve({ max: 1 });
  await browser.post("/add", { username: "Ada" });
  const second = newBrowser();
  const response = await second.request("/add", { method: "POST", body: new URLSearchParams({ username: "Bob" }) });
  assertEquals([response.status, response.headers.get("retry-after")], [503, "5"]);
  assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
  await browser.post("/add", { username: "Zoe" });
  await browser.post("/remove");
  assertEquals(alerts(await browser.get("/")), [NOTIFY]);
});

Deno.test("a form that arrives while its session ends is refused, and registers no one", async () => {
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
