/** Device-bound sessions: the protocol, with a test in place of the browser. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import type { SessionOptions } from "../../lib/session_options.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { failing } from "../support/site.ts";
import { boundDevice, Device, makeProof, newKeys, part, place, type ProofOptions } from "./bound_place.ts";

Deno.test("bound: a log-in sends the registration header of the draft", async () => {
  const { device, sessions } = place();
  const response = await device.logIn();
  assertMatch(
    response.headers.get("secure-session-registration")!,
    /^\(ES256 RS256\);path="\/bound\/register";challenge="[\w.-]+"$/,
  );
  const registered = await device.register();
  const { session_identifier: id, ...rest } = await registered.json();
  assertMatch(id, /^[0-9a-f]{40}$/);
  const attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
  assertEquals(rest, {
    refresh_url: "/bound/refresh",
    scope: { include_site: false, scope_specification: [{ type: "exclude", domain: "*", path: "/bound" }] },
    credentials: [{ type: "cookie", name: "__Host-session-bound", attributes }],
  });
  const [cookie = ""] = registered.headers.getSetCookie();
  assertMatch(cookie, /^__Host-session-bound=[\w.-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=300$/);
  assertEquals([registered.headers.get("cache-control"), registered.headers.get("content-type")], [
    "no-store",
    "application/json",
  ]);
  assertEquals((await sessions.open(device.request("/"))).isBound, true);
});

Deno.test("bound: a browser that does not register is served as before", async () => {
  const { clock, device, sessions } = place();
  await device.logIn();
  clock.pass(600);
  assertEquals([await device.user(), (await sessions.open(device.request("/"))).isBound], ["ada", false]);
});

Deno.test("bound: without the option there is no header, and no address is answered", async () => {
  const { device, sessions } = place({ bound: undefined });
  const response = await device.logIn();
  assertEquals(response.headers.get("secure-session-registration"), null);
  assertEquals(sessions.answerBound(device.request("/bound/register", {}, "POST")), undefined);
});

Deno.test("bound: only the two addresses are answered, and only for POST", async () => {
  const { device, sessions } = place();
  for (const path of ["/", "/bound", "/bound/", "/bound/other", "/x/bound/register", "/?/bound/register"]) {
    assertEquals(sessions.answerBound(device.request(path, {}, "POST")), undefined, path);
  }
  assertEquals((await sessions.answerBound(device.request("/bound/refresh?x", {}, "GET")))?.status, 405);
  // deno-lint-ignore no-explicit-any -- a value of a wrong type
  assertThrows(() => sessions.answerBound(undefined as any), TypeError, "Cannot answer a request");
});

Deno.test("bound: the headers of a request for another address are not read", () => {
  const { sessions } = place();
  const request = {
    method: "GET",
    url: "https://localhost/style.css",
    get headers(): Headers {
      throw new Error("the headers were read");
    },
  };
  assertEquals(sessions.answerBound(request), undefined);
});

Deno.test("bound: a copied cookie opens nothing, and changes nothing", async () => {
  const { device, refusals, sessions, store } = await boundDevice();
  const thief = device.copy();
  thief.cookies.delete("__Host-session-bound");
  assertEquals([await thief.user(), refusals()], [undefined, ["another device"]]);
  const session = await sessions.open(thief.request("/"));
  session.set("n", 1);
  thief.take(await sessions.commit(session, new Response()));
  assertEquals([await device.user(), store.size], ["ada", 2]);
});

Deno.test("bound: copies of both cookies open nothing once the second one has expired", async () => {
  const { clock, device } = await boundDevice();
  const thief = device.copy();
  assertEquals(await thief.user(), "ada", "for some minutes");
  for (let renewal = 0; renewal < 3; renewal++) {
    clock.pass(250);
    assertEquals((await device.refresh()).status, 200);
  }
  assertEquals([await thief.user(), await device.user()], [undefined, "ada"]);
  const keys = await newKeys();
  assertEquals([(await thief.refresh({ keys })).status, (await thief.refresh({ keys })).status], [403, 400]);
  assertEquals([await thief.user(), await device.user()], [undefined, "ada"]);
});

Deno.test("bound: the second cookie of another session opens nothing", async () => {
  const { clock, device, make } = await boundDevice();
  const other = new Device(make());
  await other.logIn("bob");
  await other.register();
  clock.pass(11);
  const own = device.cookies.get("__Host-session-bound")!;
  for (
    const value of [other.cookies.get("__Host-session-bound")!, own.slice(0, -1), `${own}x`, "", own.toUpperCase()]
  ) {
    device.cookies.set("__Host-session-bound", value);
    assertEquals(await device.user(), undefined);
  }
  device.cookies.set("__Host-session-bound", own);
  assertEquals(await device.user(), "ada");
});

Deno.test("bound: requests under way when the session is bound still find it", async () => {
  const { clock, device } = place();
  await device.logIn();
  const underWay = device.copy();
  await device.register();
  clock.pass(9);
  assertEquals(await underWay.user(), "ada");
  clock.pass(2);
  assertEquals(await underWay.user(), undefined);
});

Deno.test("bound: an invalid proof is refused, and nothing is stored", async () => {
  const other = await newKeys();
  /** Replaces one of the three parts of a proof. */
  const alter = (index: number, change: (part: string) => string) => (proof: string) =>
    proof.split(".").map((part, at) => at === index ? change(part) : part).join(".");
  const withOtherFirst = (part: string) => (part[0] === "A" ? "B" : "A") + part.slice(1);
  const wrong: Record<string, ProofOptions> = {
    "alg none": { head: { alg: "none" }, alter: alter(2, () => "AA") },
    "no signature": { alter: (proof) => proof.split(".").slice(0, 2).join(".") + "." },
    "another algorithm": { head: { alg: "RS256" } },
    "an algorithm of secrets": { head: { alg: "HS256" } },
    "another type": { head: { typ: "JWT" } },
    "a critical header": { head: { crit: ["exp"] } },
    "no challenge": { payload: { jti: undefined } },
    "a challenge of its own": { payload: { jti: "c1" } },
    "a number for a challenge": { payload: { jti: 1 } },
    "an altered signature": { alter: alter(2, withOtherFirst) },
    "a cut signature": { alter: alter(2, (part) => part.slice(0, -4)) },
    "an altered payload": { alter: alter(1, (part) => `${part}AA`) },
    "huge": { payload: { more: "x".repeat(100_000) } },
    "no JSON": { alter: alter(0, () => "AAAA") },
    "a list": { alter: alter(0, () => part([])) },
    "not a proof": { alter: () => "hello" },
    "empty": { alter: () => "" },
  };
  const keys: Record<string, ProofOptions> = {
    "no key": { withKey: false },
    "another key": { head: { jwk: await crypto.subtle.exportKey("jwk", other.publicKey) } },
    "another curve": { head: { jwk: { kty: "EC", crv: "P-384", x: "a".repeat(43), y: "a".repeat(43) } } },
    "no point of the curve": { head: { jwk: { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) } } },
    "a secret for a key": { head: { jwk: { kty: "oct", k: "AAAA" } } },
    "a short RSA key": { head: { jwk: { kty: "RSA", n: "a".repeat(171), e: "AQAB" }, alg: "RS256" } },
    "an exponent of 1": { head: { jwk: { kty: "RSA", n: "a".repeat(342), e: "AQ" }, alg: "RS256" } },
    "a string for a key": { head: { jwk: "key" } },
  };
  for (const [name, options] of Object.entries({ ...wrong, ...keys })) {
    const { device, refusals, sessions } = place();
    await device.logIn();
    const answer = await device.register(options);
    assertEquals([answer.status, await answer.text()], [400, ""], name);
    assertEquals(answer.headers.getSetCookie(), [], name);
    assertEquals((await sessions.open(device.request("/"))).isBound, false, name);
    const isQuiet = name.includes("challenge") && name !== "no challenge" && name !== "a number for a challenge";
    assertEquals(refusals(), isQuiet ? [] : ["bad proof"], name);
  }
  for (const [name, options] of Object.entries(wrong)) {
    const { device, store } = await boundDevice();
    const before = JSON.stringify(await Array.fromAsync(store.list()));
    const answer = await device.refresh(options);
    assert(answer.status === 400 || answer.status === 403, name);
    assertEquals([answer.headers.getSetCookie(), await answer.text()], [[], ""], name);
    assertEquals(JSON.stringify(await Array.fromAsync(store.list())), before, name);
  }
});

Deno.test("bound: RSA keys of 2,048 bits are accepted, too", async () => {
  const { clock, device } = place();
  device.keys = await newKeys("RSA");
  await device.logIn();
  assertEquals((await device.register()).status, 200);
  clock.pass(200);
  assertEquals((await device.refresh()).status, 200);
});

Deno.test("bound: a challenge is valid once, for its own session, for a limited time", async () => {
  const { clock, device, make } = await boundDevice();
  const { challenge } = device;
  assertEquals((await device.refresh()).status, 200);
  const next = device.challenge;
  device.challenge = challenge;
  clock.pass(1);
  const again = await device.refresh();
  assertEquals([again.status, again.headers.getSetCookie()], [403, []]);
  assert(device.challenge !== challenge && device.challenge !== next, "a new one came with it");
  assertEquals((await device.refresh()).status, 200);

  const other = new Device(make());
  await other.logIn("bob");
  await other.register();
  clock.pass(11);
  other.challenge = device.challenge;
  assertEquals((await other.refresh()).status, 403);
  clock.pass(700);
  const late = await device.refresh();
  assertEquals(late.status, 403);
  assertEquals((await device.refresh()).status, 200, "with the challenge that came with the refusal");
});

Deno.test("bound: a registration is valid once, for its own log-in, within a minute", async () => {
  const one = place();
  await one.device.logIn();
  const { challenge } = one.device;
  const other = new Device(one.sessions);
  await other.logIn("bob");
  other.challenge = challenge;
  assertEquals((await other.register()).status, 400);
  one.clock.pass(61);
  assertEquals((await one.device.register()).status, 400);
  one.clock.pass(1);
  await one.device.logIn();
  assertEquals((await one.device.register()).status, 200);
  const thief = one.device.copy();
  assertEquals((await thief.register()).status, 400, "it is bound already");
  const guest = new Device(one.sessions);
  guest.challenge = challenge;
  assertEquals((await guest.register()).status, 400);
});

Deno.test("bound: a registration that cannot be stored is answered 503", async () => {
  const { device } = place({ store: failing(["update"], new MemoryStore()), now: Date.now });
  await device.logIn();
  const answer = await device.register();
  assertEquals([answer.status, answer.headers.getSetCookie()], [503, []]);
});

Deno.test("bound: of two concurrent registrations one is stored", async () => {
  const { device, sessions } = place();
  await device.logIn();
  const requests = await Promise.all([1, 2].map(async () => {
    const proof = await makeProof(await newKeys(), device.challenge, { withKey: true });
    return device.request("/bound/register", { "secure-session-response": proof }, "POST");
  }));
  const answers = await Promise.all(requests.map((request) => sessions.answerBound(request)!));
  assertEquals(answers.map(({ status }) => status).sort(), [200, 400]);
});

Deno.test("bound: of two concurrent renewals with one challenge one is stored", async () => {
  const { clock, device } = await boundDevice();
  const tab = device.copy();
  tab.keys = device.keys;
  const statuses = (await Promise.all([device.refresh(), tab.refresh()])).map(({ status }) => status);
  assertEquals(statuses.sort(), [200, 403]);
  for (const one of [tab, device]) {
    clock.pass(1);
    await one.refresh();
    assertEquals((await one.refresh()).status, 200);
  }
});

Deno.test("bound: after a log-out the browser is told that the session is over", async () => {
  const { device, sessions } = await boundDevice();
  const session = await sessions.open(device.request("/"));
  session.logOut();
  const answer = device.take(await sessions.commit(session, new Response()));
  assert(answer.headers.getSetCookie().some((line) => line.startsWith("__Host-session-bound=; ")));
  assertEquals([...device.cookies], []);
  const refreshed = await device.refresh();
  assertEquals([refreshed.status, await refreshed.json()], [200, { session_identifier: device.id, continue: false }]);
});

Deno.test("bound: a renewal finds the live session beside the cookie of an ended one", async () => {
  const { clock, device, sessions } = await boundDevice();
  const ended = new Device(sessions);
  await ended.logIn("bob");
  await sessions.endAll("bob");
  device.cookies.set("other=1; __Host-session", ended.cookies.get("__Host-session")!);
  clock.pass(300);
  assertEquals((await device.refresh()).headers.getSetCookie().length, 1);
  assertEquals(await device.user(), "ada");
});

Deno.test("bound: a renewal stores nothing if the session is ended at the same time", async () => {
  const { device, sessions, store } = await boundDevice();
  const refreshing = device.refresh();
  await sessions.endAll("ada");
  assertEquals([(await refreshing).status === 200 ? await device.user() : undefined, store.size], [undefined, 0]);
});

Deno.test("bound: a new id keeps the binding, and the second cookie", async () => {
  const { device, sessions } = await boundDevice();
  const session = await sessions.open(device.request("/"));
  session.renew();
  device.take(await sessions.commit(session, new Response()));
  assertEquals([await device.user(), (await device.refresh()).status], ["ada", 200]);
});

Deno.test("bound: another log-in begins unbound, and sends the registration header again", async () => {
  const { device, sessions } = await boundDevice();
  const old = device.id;
  const response = await device.logIn("bob");
  assert(response.headers.has("secure-session-registration"));
  assertEquals((await sessions.open(device.request("/"))).isBound, false);
  device.id = old;
  assertEquals((await (await device.refresh()).json()).continue, false, "the former session is over");
});

Deno.test("bound: a binding works after a restart, and at another server", async () => {
  const { clock, device, make } = await boundDevice();
  const there = device.copy(make());
  there.keys = device.keys;
  assertEquals(await there.user(), "ada");
  clock.pass(250);
  assertEquals([(await there.refresh()).status, await there.user()], [200, "ada"]);
});

Deno.test("bound: servers whose clocks differ by less than a minute agree", async () => {
  const { clock, device, make } = await boundDevice();
  for (const by of [50_000, -50_000]) {
    const there = device.copy(make());
    there.keys = device.keys;
    clock.time += by;
    assertEquals(await there.user(), "ada", `${by}`);
    clock.time -= by;
  }
});

Deno.test("bound: a server whose clock is behind gives a valid challenge", async () => {
  const { clock, device } = await boundDevice();
  const before = device.copy();
  for (let i = 0; i < 2; i++) {
    clock.pass(10);
    assertEquals((await device.refresh()).status, 200);
  }
  clock.pass(-30);
  const statuses = [];
  for (let i = 0; i < 2; i++) statuses.push((await before.refresh({ keys: device.keys })).status);
  assertEquals(statuses, [403, 200]);
});

Deno.test("bound: a renewal does not count as a use of the session", async () => {
  const { clock, device } = await boundDevice({ idle: 600 });
  for (let at = 0; at < 580; at += 145) {
    clock.pass(145);
    assertEquals((await device.refresh()).status, 200);
  }
  clock.pass(20);
  assertEquals(await device.user(), undefined);
});

Deno.test("bound: the option is refused without https, with a domain, or an invalid path", () => {
  const wrong: [Partial<SessionOptions>, string][] = [
    [{ cookie: {} }, '"secure"'],
    [{ cookie: { secure: true, domain: "example.com" } }, '"domain"'],
    [{ bound: {} as never }, '"path"'],
    [{ bound: { path: "bound" } }, '"path"'],
    [{ bound: { path: '/"' } }, '"path"'],
    [{ bound: { path: "/" } }, '"path"'],
    [{ bound: { path: "/bound", lifetime: 5 } }, '"lifetime"'],
    [{ bound: { path: "/bound", minutes: 5 } as never }, '"minutes"'],
  ];
  for (const [options, name] of wrong) assertThrows(() => place(options), Error, name);
});
