/** SessionCookie: the cookie as a browser sends it, and as an attacker may change it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { SessionCookie } from "../../lib/session_cookie.ts";
import { Signer } from "../../lib/signer.ts";
import { KEY, OLD_KEY, register, site } from "../support/site.ts";

Deno.test("cookie: a forged one counts as none, and the store is not queried", async () => {
  const { calls, newBrowser, sessions, visit } = site();
  const id = newId();
  const right = new Signer([KEY], "session id\0session").sign(id);
  const forged = [
    "",
    "x",
    id,
    `${id}.`,
    `${newId()}${right.slice(40)}`,
    `${right}x`,
    right.slice(0, -1),
    ` ${right.slice(0, 20)} ${right.slice(20)}`,
    new Signer([OLD_KEY], "session id\0session").sign(id),
    new Signer([KEY], "session id\0other").sign(id),
    new Signer([KEY], "session id\0session").sign("../../etc/passwd"),
    new Signer([KEY], "session id\0session").sign(id.toUpperCase()),
  ];
  for (const value of forged) {
    const browser = newBrowser();
    browser.cookies.set("session", value);
    assertEquals(await visit(undefined, browser), {});
    assertEquals(browser.setCookies, []);
  }
  assertEquals(calls, []);
  assertEquals(sessions.counters.refused, forged.length);
});

Deno.test("cookie: a signed id that the store does not know is never adopted", async () => {
  const { newBrowser, visit } = site();
  const browser = newBrowser();
  const planted = newId();
  browser.cookies.set("session", new Signer([KEY], "session id\0session").sign(planted));
  assertEquals(await visit(undefined, browser), {});
  await visit(register, browser);
  assert(!browser.cookie.includes(planted));
});

Deno.test("cookie: it does not work under another name", async () => {
  const one = site({ cookie: { name: "one" } });
  await one.visit(register);
  const two = site({ cookie: { name: "two" }, store: one.memory });
  two.browser.cookies.set("two", one.browser.cookies.get("one")!);
  assertEquals(await two.visit(), {});
});

Deno.test("cookie: one signed by an older key works, and is signed again when used", async () => {
  const before = site({ keys: [OLD_KEY] });
  await before.visit(register);
  const after = site({ keys: [KEY, OLD_KEY], store: before.memory });
  after.browser.cookies.set("session", before.browser.cookies.get("session")!);
  assertEquals(await after.visit(), { name: "Ada" });
  assertEquals([after.browser.setCookies.length, after.calls], [1, ["read"]]);

  await after.visit();
  assertEquals(after.browser.setCookies, [], "once is enough");
  const later = site({ keys: [KEY], store: before.memory });
  later.browser.cookies.set("session", after.browser.cookies.get("session")!);
  assertEquals(await later.visit(), { name: "Ada" });
});

Deno.test("cookie: of several cookies of the name, only one with a valid signature counts", async () => {
  const { browser, handler, visit } = site();
  await visit(register);
  await visit();
  const valid = browser.cookie;
  for (
    const cookie of [`session=x; ${valid}`, `${valid}; session=x`, `${valid}; ${valid}`, `=x; ${valid};;`, `a;${valid}`]
  ) {
    const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
    assertEquals(await response.json(), { name: "Ada" }, cookie);
  }
});

Deno.test("cookie: of two cookies of live sessions none counts, and both are deleted", async () => {
  const { browser, handler, newBrowser, visit } = site({ cookie: { name: "__Host-session", secure: true } });
  await visit(register);
  const other = newBrowser();
  await visit(register, other);
  await visit();
  const cookie = `${browser.cookie}; ${other.cookie}`;
  const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
  assertEquals(await response.json(), {});
  assertEquals(response.headers.getSetCookie(), [
    "__Host-session=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
  ]);
});

Deno.test("cookie: of several with valid signatures, the one with a live session counts", async () => {
  const { browser, clock, handler, memory, visit } = site();
  await visit(register);
  const dead = browser.cookie;
  clock.pass(61);
  browser.cookies.clear();
  await visit(register);
  await visit();
  for (const cookie of [`${dead}; ${browser.cookie}`, `${browser.cookie}; ${dead}`]) {
    const response = await handler(new Request("http://localhost/", { headers: { cookie } }));
    assertEquals([await response.json(), response.headers.getSetCookie()], [{ name: "Ada" }, []]);
  }
  assertEquals(memory.size, 1);
});

Deno.test("cookie: several dead ones are deleted for each domain and path", async () => {
  const cookie = { domain: "example.com", path: "/app" };
  const { handler, browser, clock, visit } = site({ cookie });
  await visit(register);
  const first = browser.cookie;
  browser.cookies.clear();
  await visit(register);
  await visit();
  clock.pass(61);
  const headers = { cookie: `${first}; ${browser.cookie}` };
  const response = await handler(new Request("http://www.example.com/app/shop/tea", { headers }));
  const deleted = response.headers.getSetCookie();
  assert(deleted.every((line) => /^session=;.*Max-Age=0/.test(line)));
  const variant = (line: string) => [/Domain=([^;]+)/.exec(line)?.[1], /Path=([^;]+)/.exec(line)?.[1]].join(" ");
  const variants = new Set(deleted.map(variant));
  for (const domain of ["", "example.com", "www.example.com"]) {
    for (const path of ["/", "/app", "/app/shop"]) assert(variants.has(`${domain} ${path}`), `${domain} ${path}`);
  }
});

Deno.test("cookie: a new session's cookie comes after the deletions of others", async () => {
  const { browser, clock, newBrowser, sessions, visit } = site();
  await visit(register);
  const other = newBrowser();
  await visit(register, other);
  clock.pass(61);
  const headers = { cookie: `${browser.cookie}; ${other.cookie}` };
  const session = await sessions.open(new Request("http://localhost/", { headers }));
  session.set("n", 1);
  const cookies = await sessions.save(session);
  assertMatch(cookies.at(-1)!, /^session=[0-9a-f]{40}/);
  assert(cookies.slice(0, -1).every((line) => line.startsWith("session=;")));
});

Deno.test("cookie: if there are more than four, none is verified, and all are deleted", async () => {
  const { calls, newBrowser, sessions, visit } = site();
  const [victim, ...attackers] = Array.from({ length: 5 }, newBrowser);
  await visit(register, victim);
  // Cookies of live sessions, cookies of dead ones, and forged ones are treated alike.
  for (const browser of attackers) await visit(register, browser);
  const forged = Array.from({ length: 5 }, () => `session=${newId()}.${"A".repeat(43)}`);
  calls.length = 0;
  const { unsign } = Signer.prototype;
  let verified = 0;
  Signer.prototype.unsign = function (signed) {
    verified++;
    return unsign.call(this, signed);
  };
  try {
    for (const others of [attackers.map(({ cookie }) => cookie), forged]) {
      for (const cookies of [[...others, victim!.cookie], [victim!.cookie, ...others]]) {
        const session = await sessions.open({ headers: new Headers({ cookie: cookies.join("; ") }) });
        assertEquals(session.data, {});
        const deleted = await sessions.save(session);
        assert(deleted.length > 0 && deleted.every((line) => line.startsWith("session=;")));
      }
    }
  } finally {
    Signer.prototype.unsign = unsign;
  }
  assertEquals([calls, verified], [[], 0]);
});

Deno.test("cookie: values of another form are never verified", async () => {
  const { newBrowser, sessions, visit } = site();
  const browser = newBrowser();
  await visit(register, browser);
  const { unsign } = Signer.prototype;
  let verified = 0;
  Signer.prototype.unsign = function (signed) {
    verified++;
    return unsign.call(this, signed);
  };
  try {
    const value = browser.cookie.slice("session=".length);
    const others = [
      "x",
      value.toUpperCase(),
      ` "${value}"`,
      `${value}=`,
      value.slice(1),
      `${newId()}.${"é".repeat(43)}`,
    ];
    for (const other of others) {
      const headers = new Headers({ cookie: `${`session=${other}; `.repeat(200)}${browser.cookie}` });
      assertEquals((await sessions.open({ headers })).get("name"), "Ada");
    }
    assertEquals(verified, others.length);
  } finally {
    Signer.prototype.unsign = unsign;
  }
});

Deno.test("cookie: only space and tab are white space, and names are equal byte for byte", async () => {
  const { browser, sessions, visit } = site();
  await visit(register);
  const open = async (cookie: string) => (await sessions.open({ headers: new Headers({ cookie }) })).get("name");
  for (const space of ["", " ", "\t", " \t "]) {
    assertEquals(await open(`a=b;${space}${browser.cookie}${space};c=d`), "Ada");
  }
  // White space for String.trim that a header can hold, and characters that make another name.
  for (const before of ["\u00a0", "\v", "\f", "\x1c", "\x85", "\xad", "\u00a0 ", "__Host-", "x", "\xff"]) {
    assertEquals(await open(`${before}${browser.cookie}`), undefined, JSON.stringify(before));
    assertEquals(await open(`${browser.cookie}${before}`), undefined, JSON.stringify(before));
  }
  const value = browser.cookie.slice("session=".length);
  for (const name of ["Session", "SESSION", "session ", "session\t", "session\u00a0", "\xdfession"]) {
    assertEquals(await open(`${name}=${value}`), undefined, JSON.stringify(name));
  }
});

Deno.test("cookie: one answer deletes at most 24 cookies, and one with a __Host- name", async () => {
  const url = "http://a.b.c.d.e.example.com/one/two/three/four/five/six";
  const deleted = async (cookie?: { name: string; secure: boolean }) => {
    const { newBrowser, sessions, visit } = site({ cookie });
    const browsers = [newBrowser(), newBrowser()];
    for (const browser of browsers) await visit(register, browser);
    const headers = new Headers({ cookie: browsers.map((browser) => browser.cookie).join("; ") });
    return (await sessions.save(await sessions.open({ headers, url }))).length;
  };
  assertEquals(await deleted(), 24);
  assertEquals(await deleted({ name: "__Host-session", secure: true }), 1);
});

Deno.test("cookie: a long address costs no more deletions than a short one", () => {
  const cookie = new SessionCookie({}, [KEY]);
  const { join } = Array.prototype;
  let joins = 0;
  Array.prototype.join = function (separator) {
    joins++;
    return Reflect.apply(join, this, [separator]);
  };
  try {
    const url = `http://${"a.".repeat(120)}com${"/a".repeat(2000)}`;
    assertEquals(new Set(cookie.clearAll(url)).size, 24);
  } finally {
    Array.prototype.join = join;
  }
  assert(joins < 200, `${joins} parts of the address were made`);
});

Deno.test("cookie: a cookie whose name only ends like the session's is no invalid one", () => {
  const cookie = new SessionCookie(undefined, [KEY]);
  assertEquals(cookie.read("xsession=1").hasInvalid, false);
  assertEquals(cookie.read("session=1").hasInvalid, true);
});
