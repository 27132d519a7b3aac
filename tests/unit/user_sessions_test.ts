/** The sessions of a user: how they are listed and ended. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { endSurplus } from "../../lib/_user_sessions.ts";
import { Lifetimes } from "../../lib/_lifetimes.ts";
import { ReportingStore } from "../../lib/_reporting_store.ts";
import { SessionStoreError } from "../../lib/errors.ts";
import { newId } from "../../lib/id.ts";
import type { SessionStore } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { type Act, failing, site } from "../support/site.ts";

const logIn = (user: string): Act => (session) => session.logIn(user);

/** A site with two devices of Ada's and one of Bob's. */
async function devices(options: Parameters<typeof site>[0] = {}) {
  const one = site(options);
  const [laptop, phone, bob] = [one.newBrowser(), one.newBrowser(), one.newBrowser()];
  await one.visit(logIn("ada"), laptop);
  await one.visit(logIn("ada"), phone);
  await one.visit(logIn("bob"), bob);
  const userOf = async (browser: typeof bob) => (await one.sessions.open(one.request(browser))).user;
  return { ...one, laptop, phone, bob, userOf };
}

Deno.test("users: of() returns a user's sessions with their times and data", async () => {
  const { clock, sessions, visit, laptop } = await devices();
  clock.pass(30);
  await visit((session) => session.set("n", 1), laptop);
  const made = clock.time - 30_000;
  const shown = (await Array.fromAsync(sessions.of("ada"))).map(({ handle, ...rest }) => {
    assert(/^[0-9a-f]{16}$/.test(handle));
    return rest;
  });
  const times = (used: number) => ({ created: made, used, expires: used + 60_000, deadline: made + 600_000 });
  assertEquals(shown, [{ ...times(clock.time), data: { n: 1 } }, { ...times(made), data: {} }]);
  assertEquals(await Array.fromAsync(sessions.of("no one")), []);
});

Deno.test("users: end() ends the session with the handle, and no other", async () => {
  const { sessions, laptop, phone, userOf, request } = await devices();
  const { handle } = await sessions.open(request(phone));
  assertEquals(await sessions.end("bob", handle!), false);
  assertEquals(await sessions.end("ada", handle!), true);
  assertEquals(await sessions.end("ada", handle!), false);
  assertEquals([await userOf(laptop), await userOf(phone)], ["ada", undefined]);
});

Deno.test("users: endAll() ends all sessions of the user, and no other user's", async () => {
  const { sessions, laptop, phone, bob, userOf } = await devices();
  assertEquals(await sessions.endAll("ada"), 2);
  assertEquals(await sessions.endAll("ada"), 0);
  assertEquals([await userOf(laptop), await userOf(phone), await userOf(bob)], [undefined, undefined, "bob"]);
  assertEquals(sessions.counters.ended, 2);
});

Deno.test("users: endAll() counts each session once, even if there are several batches", async () => {
  const clock = new Clock();
  const memory = new (class extends MemoryStore {
    override async delete(key: string) {
      // Other requests can run in between.
      for (let turns = 0; turns < 5; turns++) await undefined;
      return await super.delete(key);
    }
  })({ now: clock.now });
  const { sessions } = site({ store: memory, now: clock.now });
  const { time } = clock;
  const times = { created: time, idle: 60_000, expires: time + 60_000, deadline: time + 600_000 };
  for (let n = 0; n < 1201; n++) await memory.create(newId(), { data: {}, ...times, user: "ada" });
  assertEquals([await sessions.endAll("ada"), memory.size], [1201, 0]);
  assertEquals(sessions.counters.ended, 1201);
});

Deno.test("users: endAll() gives the store batches of 1 to 500 keys", async () => {
  const clock = new Clock();
  const batches: number[] = [];
  const memory = new (class extends MemoryStore {
    async deleteMany(keys: readonly string[]) {
      batches.push(keys.length);
      for (const key of keys) await this.delete(key);
      return keys;
    }
  })({ now: clock.now });
  const { sessions } = site({ store: memory, now: clock.now });
  const { time } = clock;
  const times = { created: time, idle: 60_000, expires: time + 60_000, deadline: time + 600_000 };
  for (let n = 0; n < 1201; n++) await memory.create(newId(), { data: {}, ...times, user: "ada" });
  assertEquals([await sessions.endAll("ada"), batches], [1201, [500, 500, 201]]);
});

Deno.test("users: endAll() can leave the session of the request alive", async () => {
  const { sessions, laptop, phone, userOf, request } = await devices();
  const except = await sessions.open(request(laptop));
  assertEquals(await sessions.endAll("ada", { except }), 1);
  assertEquals([await userOf(laptop), await userOf(phone)], ["ada", undefined]);
});

Deno.test("users: endAll() also ends a session that gets a new id in between", async () => {
  const clock = new Clock();
  let between: (() => Promise<unknown>) | undefined;
  const store = new (class extends MemoryStore {
    override async delete(key: string) {
      await between?.();
      between = undefined;
      return await super.delete(key);
    }
  })({ now: clock.now });
  const { sessions, visit, laptop, phone, bob, userOf } = await devices({ store, now: clock.now });
  between = async () => {
    for (const browser of [laptop, phone]) await visit((session) => session.renew(), browser);
  };
  assertEquals(await sessions.endAll("ada"), 2);
  assertEquals([await userOf(laptop), await userOf(phone), await userOf(bob)], [undefined, undefined, "bob"]);
});

Deno.test("users: a store without an index refuses immediately, and the rest works", async () => {
  const memory = new MemoryStore();
  const store: SessionStore = {
    create: (key, record) => memory.create(key, record),
    read: (key) => memory.read(key),
    update: (key, change) => memory.update(key, change),
    touch: (key, expires) => memory.touch(key, expires),
    delete: (key) => memory.delete(key),
    move: (from, to, change) => memory.move(from, to, change),
  };
  const { sessions, visit } = site({ store, now: Date.now });
  await visit(logIn("ada"));
  assertThrows(() => sessions.of("ada"), TypeError, "no index of users");
  await assertRejects(() => sessions.endAll("ada"), TypeError, "no index of users");
  await assertRejects(() => sessions.end("ada", "x"), TypeError, "no index of users");
  const users: unknown[] = [];
  await visit((session) => users.push(session.user));
  assertEquals(users, ["ada"]);
});

Deno.test("users: a failure of the store throws a SessionStoreError", async () => {
  const { sessions } = site({ store: failing(["delete"], new MemoryStore()), now: Date.now });
  const session = await sessions.open(new Request("http://localhost/"));
  session.logIn("ada");
  await sessions.save(session);
  await assertRejects(() => sessions.endAll("ada"), SessionStoreError);
});

// How many sessions the first listings find. The others get a new key during the listing, which misses both keys.
for (const [missed, found] of Object.entries({ first: [0], second: [1, 0] })) {
  Deno.test(`users: endAll() finds a session that the ${missed} listing missed`, async () => {
    const clock = new Clock();
    const inner = new MemoryStore({ now: clock.now });
    let listings = 0;
    const store: SessionStore = new Proxy(inner, {
      get(target, verb) {
        if (verb === "sessionsOf") {
          return async function* (user: string) {
            const all = await Array.fromAsync(target.sessionsOf(user));
            yield* all.slice(0, found[listings++]);
          };
        }
        const value = Reflect.get(target, verb);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const { sessions, visit, newBrowser } = site({ store, now: clock.now });
    for (const browser of [newBrowser(), newBrowser()]) await visit(logIn("ada"), browser);
    assertEquals([await sessions.endAll("ada"), inner.size], [2, 0]);
  });
}

Deno.test("users: of() returns no session that is over under a shortened lifetime", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  await site({ store, now: clock.now, idle: 60 }).visit(logIn("ada"));
  const { sessions } = site({ store, now: clock.now, idle: 30 });
  clock.pass(29);
  assertEquals((await Array.fromAsync(sessions.of("ada"))).length, 1);
  clock.pass(1);
  assertEquals(await Array.fromAsync(sessions.of("ada")), []);
});

Deno.test("users: of() returns a lengthened lifetime from the next use on", async () => {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  await site({ store, now: clock.now, idle: 30 }).visit(logIn("ada"));
  const [shown] = await Array.fromAsync(site({ store, now: clock.now, idle: 60 }).sessions.of("ada"));
  assertEquals([shown!.used, shown!.expires], [clock.time, clock.time + 30_000]);
});

Deno.test("users: endAll() gives up with an error if sessions keep getting new ids", async () => {
  const clock = new Clock();
  const inner = new MemoryStore({ now: clock.now });
  let looks = 0;
  const store: SessionStore = new Proxy(inner, {
    get(target, verb) {
      if (verb === "sessionsOf" && ++looks > 1000) throw new RangeError("it looks for ever");
      // Every session has a new id by the time of its deletion.
      if (verb === "delete") return () => Promise.resolve(false);
      const value = Reflect.get(target, verb);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const { sessions, visit } = site({ store, now: clock.now });
  await visit(logIn("ada"));
  await assertRejects(() => sessions.endAll("ada"), SessionStoreError);
});

Deno.test("users: of concurrent log-ins the latest stays live, even if an earlier was used", async () => {
  const now = () => 3000;
  const store = new MemoryStore({ now });
  const [earlier, latest] = [newId(), newId()];
  const common = { data: {}, idle: 60_000, deadline: 600_000, user: "ada" };
  await store.create(earlier, { ...common, created: 1000, expires: 63_000 });
  await store.create(latest, { ...common, created: 2000, expires: 62_000 });
  const access = {
    store: new ReportingStore(store, () => {}),
    lifetimes: new Lifetimes(60, 600, now),
    now,
    onEnded: () => {},
  };
  await endSurplus(access, "ada", 1, new Map());
  assertEquals((await Array.fromAsync(store.sessionsOf("ada"))).map(([key]) => key), [latest]);
});
