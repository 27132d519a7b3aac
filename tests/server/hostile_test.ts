/** Hostile requests to the app: forged cookies, nonsense in every header, path and body, and pages that show it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../lib/server/app.ts";
import { newId } from "../../lib/id.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { Signer } from "../../lib/signer.ts";
import type { SessionStore } from "../../lib/store.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { HEADER_CHARS, mutateCookie, NASTY, Random } from "../support/fuzz.ts";
import { Browser } from "../support/server.ts";

const KEY = "the key that these tests sign with of 32 bytes or more";
const HOME = "http://localhost";
const [COOKIES, OTHERS] = Deno.env.has("TEST_FULL") ? [50_000, 5_000] : [5_000, 2_000];

/** The app over a store whose calls are counted. */
function serve(inner: SessionStore = new MemoryStore()) {
  const calls: string[] = [];
  const store: SessionStore = {
    create: (...args) => (calls.push("create"), inner.create(...args)),
    read: (...args) => (calls.push("read"), inner.read(...args)),
    update: (...args) => (calls.push("update"), inner.update(...args)),
    touch: (...args) => (calls.push("touch"), inner.touch(...args)),
    delete: (...args) => (calls.push("delete"), inner.delete(...args)),
    move: (...args) => (calls.push("move"), inner.move(...args)),
    ...(inner.groupOf && { groupOf: (user) => inner.groupOf!(user) }),
  };
  const lines: string[] = [];
  const log = (level: string, event: string, detail = "") => void lines.push(`${level} ${event}: ${detail}`);
  const sessions = new SessionManager<Visitor>({ store, keys: [KEY], log });
  return { app: createApp({ sessions, store, log }), calls, lines, sessions };
}

/** A request as Deno makes it: its address is what the client sent, without a check. */
function received(url: string, init: RequestInit = {}): Request {
  return Object.defineProperty(new Request(HOME, init), "url", { value: url });
}

async function register(app: (request: Request) => Promise<Response>, username: string): Promise<Browser> {
  const browser = new Browser(HOME, app);
  assertEquals(await browser.post("/add", { username }), 303);
  return browser;
}

/** Does some work and records every call of Deno's file functions. */
async function watchFiles(work: () => Promise<void>): Promise<string[]> {
  const functions = Deno as unknown as Record<string, (...args: unknown[]) => unknown>;
  const names = Object.keys(functions).filter((name) =>
    /^(open(Sync)?$|create|read|write|l?stat|mkdir|make|remove|rename|u?time|futime|link|symlink|truncate|chmod|chown|copy|real)/
      .test(name) && typeof functions[name] === "function"
  );
  assert(names.includes("openSync") && names.includes("readTextFileSync") && names.includes("lstatSync"));
  const originals = names.map((name) => [name, functions[name]!] as const);
  const seen: string[] = [];
  for (const [name, original] of originals) {
    functions[name] = (...args) => {
      seen.push(`${name} ${args[0]}`);
      return original(...args);
    };
  }
  try {
    await work();
  } finally {
    for (const [name, original] of originals) functions[name] = original;
  }
  return seen;
}

Deno.test(`hostile: none of ${COOKIES} mutated cookies is accepted or reaches the store`, async () => {
  const dir = await Deno.makeTempDir();
  try {
    const { app, calls, lines, sessions } = serve(new FileStore({ dir, cacheBytes: 0 }));
    const victim = await register(app, "Victim-of-forgery");
    const other = await register(app, "Other-victim");
    // Used once, so that their signatures are among those already known.
    assertMatch(
      await victim.get("/") + await other.get("/"),
      /Hi, <bdi>Victim-of-forgery<\/bdi>![^]*Hi, <bdi>Other-victim<\/bdi>!/,
    );
    const random = new Random(1);

    calls.length = 0;
    const seen = { accepted: 0, errors: 0, cookies: 0 };
    const files = await watchFiles(async () => {
      for (let i = 0; i < COOKIES; i++) {
        const cookie = mutateCookie(random, victim.cookie, other.cookie);
        const response = await app(new Request(`${HOME}/`, { headers: { cookie } }));
        if (response.status !== 200) seen.errors++;
        if (response.headers.getSetCookie().some((line) => !line.startsWith("session=;"))) seen.cookies++;
        if (!(await response.text()).includes("You Need to Register First!")) seen.accepted++;
      }
    });
    assertEquals([seen, calls, files], [{ accepted: 0, errors: 0, cookies: 0 }, [], []]);
    // Some of them are not even cookies of the name.
    assert(sessions.counters.refused > COOKIES / 2, `${sessions.counters.refused} were looked at`);
    assert(lines.includes("warn A session cookie was refused: its signature is not one of ours: "));

    // The counters work: the right cookie is accepted, after a call of the store and a read of a file.
    const touched = await watchFiles(async () =>
      assertMatch(await victim.get("/"), /Hi, <bdi>Victim-of-forgery<\/bdi>!/)
    );
    assertEquals(calls, ["read"]);
    assert(touched.length > 0);
    for (const call of touched) assertMatch(call, new RegExp(`^\\w+ ${dir}/[0-9a-f]{3}/[0-9a-f]{37}\\.json$`));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("hostile: a signed value that is not an id never reaches the store", async () => {
  const { app, calls, sessions } = serve();
  const signer = new Signer([KEY], "session id\0session");
  const values = [...NASTY, newId().toUpperCase(), newId().slice(1), `${newId()}0`, `${newId()}.json`, `${newId()}\t`];
  for (const value of values) {
    const response = await app(new Request(`${HOME}/`, { headers: { cookie: `session=${signer.sign(value)}` } }));
    assertEquals([response.status, response.headers.get("set-cookie")], [200, null], value);
  }
  assertEquals(calls, []);
  await app(new Request(`${HOME}/`, { headers: { cookie: `session=${signer.sign(newId())}` } }));
  assertEquals([calls, sessions.counters.refused], [["read"], values.length + 1], "a signed id does reach it");
});

Deno.test(`hostile: ${OTHERS} requests with nonsense in every header change nothing`, async () => {
  const { app, calls } = serve();
  const random = new Random(2);
  const names = ["cookie", "origin", "sec-fetch-site", "content-type", "content-length", "host", "purpose"];
  names.push("sec-purpose", "x-forwarded-host", "x-forwarded-proto", "forwarded", "accept", "if-none-match", "range");
  names.push("transfer-encoding", "expect", "upgrade", "connection", "x-http-method-override", "authorization");
  const statuses = new Set<number>();
  for (let i = 0; i < OTHERS; i++) {
    const headers = new Headers();
    for (let left = 1 + random.below(6); left > 0; left--) {
      const value = random.pick([() => random.pick(NASTY), () => random.text(100, HEADER_CHARS)])();
      headers.append(random.pick(names), value);
    }
    const [method, path] = random.pick([["GET", "/"], ["GET", "/add"], ["POST", "/add"], ["GET", "/remove"], [
      "HEAD",
      "/",
    ]]);
    const response = await app(new Request(HOME + path, { method: method!, headers }));
    await response.body?.cancel();
    statuses.add(response.status);
    assertEquals([response.headers.get("set-cookie"), response.headers.get("location") ?? "/"], [null, "/"]);
  }
  assertEquals([...statuses].filter((status) => status >= 500), []);
  assert(statuses.has(200) && statuses.has(400) && statuses.has(403) && statuses.has(415), `${[...statuses]}`);
  assertEquals(calls, []);
});

Deno.test(`hostile: ${OTHERS} nonsense paths cause no error and no other redirect`, async () => {
  const { app, calls } = serve();
  const random = new Random(3);
  const pieces = [
    ...NASTY,
    "//evil.example/",
    "/add",
    "/remove",
    "?",
    "#",
    "%2f",
    "%zz",
    "%",
    "/./",
    "/../",
    "\\",
    "@",
    ":",
  ];
  const statuses = new Set<number>();
  for (let i = 0; i < OTHERS; i++) {
    const path = Array.from({ length: 1 + random.below(4) }, () => random.pick(pieces)).join("");
    const start = random.pick([
      "http://localhost/",
      "http://localhost",
      "http://localhost//",
      "",
      "http://",
      "//localhost/",
    ]);
    const response = await app(
      received(start + path, { method: random.pick(["GET", "HEAD", "OPTIONS", "PUT", "get"]) }),
    );
    await response.body?.cancel();
    statuses.add(response.status);
    assertEquals([response.headers.get("set-cookie"), response.headers.get("location") ?? "/"], [null, "/"]);
  }
  assertEquals([...statuses].filter((status) => status >= 500), []);
  assert(statuses.has(404) && statuses.has(400) && statuses.has(405), `${[...statuses]}`);
  assertEquals(calls, []);
});

Deno.test(`hostile: only the valid names of ${OTHERS} nonsense bodies are stored`, async () => {
  const memory = new MemoryStore();
  const { app } = serve(memory);
  const random = new Random(4);
  const statuses = new Set<number>();
  for (let i = 0; i < OTHERS; i++) {
    const field = random.pick(["username=", "username", "user=", "=", "&", "username=%", "username=a&username="]);
    const value = random.pick([() => random.pick(NASTY), () => random.text(200, HEADER_CHARS), () => ""])();
    const [type, body] = random.pick<[string, string]>([
      ["application/x-www-form-urlencoded", field + value],
      ["application/x-www-form-urlencoded; charset=utf-16", field + encodeURIComponent(value)],
      ["application/x-www-form-urlencoded", field + "\u0301\u0316".repeat(random.below(2000))],
      ["multipart/form-data; boundary=b", value],
      ["application/x-www-form-urlencoded", "x".repeat(16_384 + random.below(2))],
    ]);
    const browser = new Browser(HOME, app);
    const response = await browser.request("/add", { method: "POST", body, headers: { "content-type": type } });
    await response.body?.cancel();
    statuses.add(response.status);
    assertEquals(browser.setCookies.length, response.status === 303 ? 1 : 0);
    if (response.status === 303) {
      const greeted = /<h1>Hi, <bdi>([^<]*)<\/bdi>!<\/h1>/.exec(await browser.get("/"))![1]!;
      const length = [...greeted.replace(/&[\w#]+;/g, "x")].length;
      assert(length >= 1 && length <= 64 && !/\p{Cc}/u.test(greeted), `a name of ${length} characters`);
    }
  }
  assertEquals([...statuses].filter((status) => status >= 500), []);
  assertEquals([...statuses].sort(), [303, 413, 415, 422]);
});

Deno.test("hostile: 200 names of markup are shown as text on every page", async () => {
  const { app } = serve();
  const random = new Random(5);
  const pieces = [
    "<script>",
    "</script>",
    "<img src=x onerror=alert(1)>",
    '"',
    "'",
    ">",
    "<",
    "&",
    "&lt;",
    "</title>",
    "-->",
  ];
  pieces.push(
    "<!--",
    "{{x}}",
    "<%= it %>",
    "`",
    "onfocus=alert(1)",
    "javascript:alert(1)",
    "/>",
    "<svg/onload=a()>",
    "]]>",
  );
  // The tags of the site's own pages, without their texts.
  const shape = (html: string) => html.replace(/>[^<]*</g, "><").replace(/ value="[^"]*"/, "");
  const registered = shape(await (await register(app, "Ada")).get("/"));
  const refused = async (browser: Browser, username: string) => {
    const body = new URLSearchParams({ username });
    return shape(await (await browser.request("/add", { method: "POST", body })).text());
  };
  const form = await refused(new Browser(HOME, app), "x".repeat(65));
  for (let i = 0; i < 200; i++) {
    let username = "";
    while (username.length < 20) username += random.pick(pieces);
    const browser = await register(app, username.slice(0, 64));
    assertEquals(shape(await browser.get("/")), registered, username);
    // The name is too long to register, so it is in the field again.
    assertEquals(await refused(browser, `${username.padEnd(65, username)}x`), form, username);
  }
});

Deno.test("hostile: another site can neither register nor remove a user", async () => {
  const { app, calls, lines } = serve();
  const browser = await register(app, "Ada");
  calls.length = 0;
  const foreign: Record<string, string>[] = [
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site", origin: HOME },
    { origin: "https://evil.example" },
    { origin: "null" },
  ];
  for (const headers of foreign) {
    assertEquals(await browser.post("/add", { username: "Eve" }, headers), 403);
    assertEquals(await browser.post("/remove", {}, headers), 403);
    const response = await browser.request("/remove", { headers });
    assertEquals([response.status, response.headers.get("location")], [303, "/"]);
  }
  for (const headers of [{ "sec-purpose": "prefetch;prerender" }, { purpose: "prefetch" }, { "x-moz": "prefetch" }]) {
    assertEquals((await browser.request("/remove", { headers: headers as Record<string, string> })).status, 303);
  }
  await browser.request("/remove", { method: "HEAD" });
  assertEquals(calls, [], "the session is not even opened");
  assertMatch(await browser.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
  assert(lines.includes("warn A cross-site request was refused: "));
});

Deno.test("hostile: the site's own forms work in every browser, and programs work too", async () => {
  const own: Record<string, string>[] = [
    { "sec-fetch-site": "same-origin", origin: HOME },
    { "sec-fetch-site": "none" },
    { origin: HOME }, // plain http in a home network
    {},
  ];
  for (const headers of own) {
    const { app } = serve();
    const browser = new Browser(HOME, app);
    assertEquals(await browser.post("/add", { username: "Ada" }, headers), 303);
    assertMatch(await browser.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
    assertEquals(await browser.post("/remove", {}, headers), 303);
    assertMatch(await browser.get("/"), /Username Removed from Session Storage\./);
  }
});

Deno.test("hostile: headers that proxies add are ignored", async () => {
  const { app, calls } = serve();
  const headers = {
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    "forwarded": "host=evil.example;proto=https",
    "x-original-url": "/remove",
    "x-rewrite-url": "/remove",
    "x-http-method-override": "POST",
  };
  const response = await app(new Request(`${HOME}/`, { headers }));
  assertEquals([response.status, response.headers.get("strict-transport-security"), calls], [200, null, []]);
  assert(!(await response.text()).includes("evil.example"));
  const post = new Request(`${HOME}/add`, { method: "POST", headers: { ...headers, origin: "https://evil.example" } });
  assertEquals((await app(post)).status, 403);
});
