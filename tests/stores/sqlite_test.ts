/** The SQLite store: the suite, and the behaviour of a database in a file. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { newId } from "../../lib/id.ts";
import { StoreFullError } from "../../lib/store.ts";
import { SqliteStore, type SqliteStoreOptions } from "../../lib/stores/sqlite/store.ts";
import { fresh, set, testSharedStore } from "./shared.ts";
import { dir, MINUTE, test } from "./sqlite_place.ts";

testSharedStore("sqlite", {
  url: `sqlite:${dir}/suite/sessions.db`,
  counts: true,
  rewrite(key, edit) {
    const database = new DatabaseSync(`${dir}/suite/sessions.db`, { timeout: 5000 });
    const row = database.prepare("SELECT record FROM sessions WHERE key = ?").get(key);
    database.prepare("UPDATE sessions SET record = ? WHERE key = ?").run(edit(String(row!["record"])), key);
    database.close();
  },
});

test("the first use opens the database, which only its user can read", async (path, open) => {
  const store = open();
  assertThrows(() => Deno.statSync(path), Deno.errors.NotFound);
  await store.ready();
  await store.create(newId(), fresh());
  const folder = path.replace(/\/[^/]*$/, "");
  const files = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
  assert(files.length >= 2);
  for (const file of files) assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  assertEquals(Deno.statSync(folder).mode! & 0o777, 0o700);
});

test("a corrupt record reads as no session, and is logged", async (path, open) => {
  const lines: string[] = [];
  const store = open({ path, log: (...line) => lines.push(line.join(" ")) });
  const key = newId();
  await store.create(key, fresh());
  using database = new DatabaseSync(path);
  for (const text of ["", '{"n":', "[1]", "null", "7"]) {
    database.prepare("UPDATE sessions SET record = ? WHERE key = ?").run(text, key);
    assertEquals(await store.read(key), undefined);
    assertEquals(await store.update(key, set({ n: 1 })), undefined);
    assertEquals(await store.touch(key, Date.now() + MINUTE), false);
    assertEquals(await store.move(key, newId(), set({ n: 1 })), undefined);
  }
  assertEquals(lines.length, 20);
  assertEquals(await store.delete(key), true);
  assertEquals(database.prepare("SELECT count(*) AS n FROM sessions").get()!["n"], 0);
});

test("a later version's record stays unchanged until a log-out", async (path, open) => {
  const lines: string[] = [];
  const store = open({ path, log: (...line) => lines.push(line.join(" ")) });
  const key = newId();
  await store.create(key, { ...fresh(), user: "Ada" });
  using database = new DatabaseSync(path);
  const newer = '{"version":2,"what":"only a later program knows"}';
  database.prepare("UPDATE sessions SET record = ? WHERE key = ?").run(newer, key);
  assertEquals(await store.read(key), undefined);
  assertEquals(await store.update(key, set({ n: 1 })), undefined);
  assertEquals(await store.touch(key, Date.now() + MINUTE), false);
  assertEquals(await store.move(key, newId(), set({ n: 1 })), undefined);
  assertEquals(await Array.fromAsync(store.list()), []);
  assertEquals(await Array.fromAsync(store.sessionsOf("Ada")), [[key, undefined]]);
  assertEquals(await store.sweepAll(), 0);
  assertEquals(database.prepare("SELECT record FROM sessions WHERE key = ?").get(key)!["record"], newer);
  assertEquals(lines, []);
  assertEquals([await store.delete(key), await Array.fromAsync(store.sessionsOf("Ada"))], [true, []]);
});

test("while another process writes, a verb waits, and others continue", async (path, open) => {
  const store = open();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  using writer = new DatabaseSync(path);
  writer.exec("BEGIN IMMEDIATE");
  let isDone = false;
  const update = store.update(key, set({ n: 1 })).finally(() => isDone = true);
  for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert(!isDone);
  assertEquals((await store.read(key))?.data, { n: 0 }, "reading goes on in between");
  writer.exec("COMMIT");
  assertEquals((await update)?.data, { n: 1 });
});

test("close waits for the running verbs, and later verbs are refused", async (path, open) => {
  const store = open();
  const key = newId();
  await store.create(key, fresh({ n: 0 }));
  using writer = new DatabaseSync(path);
  writer.exec("BEGIN IMMEDIATE");
  const update = store.update(key, set({ n: 1 }));
  const closed = store.close();
  await assertRejects(
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await store.read(key);
    },
    Error,
    "the store is closed",
  );
  writer.exec("COMMIT");
  await closed;
  assertEquals((await update)?.data, { n: 1 });
});

test("programs with different tables share no session", async (_path, open) => {
  using client = new DatabaseSync(dir + "/two.db");
  const one = open({ client, max: 2 });
  const two = open({ client, table: "Other", max: 2 });
  const key = newId();
  await one.create(key, { ...fresh({ n: 1 }), user: "Ada" });
  await two.create(key, { ...fresh({ n: 2 }), user: "Ada" });
  await two.create(newId(), { ...fresh(), expires: 1, idle: 1, created: 0 });
  await assertRejects(() => one.create(key, fresh()), Error, "already there");
  for (const [store, n] of [[one, 1], [two, 2]] as const) {
    for (const sessions of [store.list(), store.sessionsOf("Ada")]) {
      assertEquals((await Array.fromAsync(sessions)).map(([key, record]) => [key, record?.data]), [[key, { n }]]);
    }
  }
  assertEquals(await one.sweepAll(), 0);
  await one.create(newId(), fresh());
  const sentence = `Cannot create a session: SQLite "${dir}/two.db" may hold 2 live sessions`;
  await assertRejects(() => one.create(newId(), fresh()), StoreFullError, sentence);
  assertEquals(await two.sweepAll(), 1);
  assertEquals(await two.delete(key), true);
  assertEquals((await one.read(key))?.data, { n: 1 });
});

test("a listing misses no session that gets a new key", async (_path, open) => {
  const store = open();
  for (let n = 0; n < 450; n++) await store.create(newId(), { ...fresh({ n }), user: "Ada" });
  const all = await Array.fromAsync(store.sessionsOf("Ada"));
  const seen: unknown[] = [];
  for await (const [, record] of store.sessionsOf("Ada")) {
    seen.push(record?.data["n"]);
    // Sessions that were listed and sessions that were not yet listed get new keys, also the first and the last one.
    const [key] = all[(seen.length * 7) % 450]!;
    const to = `${seen.length % 2 ? "00000000" : "ffffffff"}${newId().slice(8)}`;
    if (seen.length % 20 === 0) assert(await store.move(key, to, (same) => same));
  }
  assertEquals(seen.sort((a, b) => Number(a) - Number(b)), Array.from({ length: 450 }, (_, n) => n));
});

test("long listings and many log-outs give other requests their turn", async (path, open) => {
  const store = open();
  await store.ready();
  using database = new DatabaseSync(path);
  const record = { ...fresh({ text: "x".repeat(300_000) }), user: "Ada" };
  const keys = Array.from({ length: 30 }, () => newId());
  for (const key of keys) await store.create(key, record);
  const turns = async (work: () => Promise<unknown>) => {
    let [count, isDone] = [0, false];
    const done = work().finally(() => isDone = true);
    for (; !isDone; count++) await new Promise((resolve) => setTimeout(resolve, 0));
    await done;
    return count;
  };
  assert(await turns(() => Array.fromAsync(store.sessionsOf("Ada"))) >= 30, "each of these records is much work");
  assert(await turns(() => Array.fromAsync(store.list())) >= 30);
  database.exec(`WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)
    INSERT INTO sessions (key, record, user_hash, created, idle, expires, deadline)
    SELECT 'many' || n, record, user_hash, created, idle, expires, deadline
    FROM c, (SELECT '{"version":9}' AS record, user_hash, created, idle, expires, deadline FROM sessions LIMIT 1)`);
  const many = Array.from({ length: 20_000 }, (_, n) => `many${n + 1}`);
  assert(await turns(() => store.deleteMany([...keys, ...many])) >= 3);
  assertEquals(database.prepare("SELECT n FROM sessions_total").get()!["n"], 0);
});

test("sweepAll gives other requests their turn", async (path, open) => {
  const store = open();
  for (let n = 0; n < 3; n++) await store.create(newId(), fresh());
  using database = new DatabaseSync(path);
  database.exec(`WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000)
    INSERT INTO sessions (key, record, user_hash, created, idle, expires, deadline)
    SELECT 'many' || n, record, user_hash, created, idle, 1, deadline FROM c, (SELECT * FROM sessions LIMIT 1)`);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  assertEquals(await store.sweepAll(), 5000);
  clearInterval(timer);
  assert(turns > 2, `${turns}`);
});

test("deleteMany returns the keys of the sessions that were there", async (_path, open) => {
  const store = open();
  const keys = Array.from({ length: 500 }, () => newId());
  for (const key of keys) await store.create(key, fresh());
  assert(await store.delete(keys[7]!));
  assertEquals(await store.deleteMany([...keys, newId(), keys[9]!]), keys.filter((key) => key !== keys[7]));
  assertEquals([await store.deleteMany(keys), await Array.fromAsync(store.list())], [[], []]);
});

test("users whose names are not well-formed have their own sessions", async (_path, open) => {
  const store = open();
  for (const user of ["\ud800", "\ud801", "\ufffd"]) await store.create(newId(), { ...fresh({ user }), user });
  for (const user of ["\ud800", "\ud801", "\ufffd"]) {
    assertEquals((await Array.fromAsync(store.sessionsOf(user))).map(([, record]) => record?.data["user"]), [user]);
  }
});

test("another program's table of the same name is refused by name", async (_path, open) => {
  const theirs = {
    sessions: "CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT)",
    SESSIONS: "CREATE TABLE SESSIONS (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
    sessions_total: "CREATE TABLE sessions_total (day TEXT, n INTEGER)",
    sessions_made: "CREATE TABLE t (x); CREATE TRIGGER sessions_made AFTER INSERT ON t BEGIN SELECT 1; END",
    sessions_ends: "CREATE TABLE t (x); CREATE INDEX sessions_ends ON t (x)",
    sessions_gone: "CREATE VIEW sessions_gone AS SELECT 1 AS n",
  };
  for (const [name, sql] of Object.entries(theirs)) {
    using client = new DatabaseSync(":memory:");
    client.exec(sql);
    const before = client.prepare("SELECT * FROM sqlite_schema").all();
    const store = open({ client });
    const error = await assertRejects(() => store.ready(), Error, 'choose another "table"');
    assertStringIncludes((error as Error).message.toLowerCase(), `"${name.toLowerCase()}"`);
    await assertRejects(() => store.create(newId(), fresh()), Error, 'choose another "table"');
    assertEquals(client.prepare("SELECT * FROM sqlite_schema").all(), before);
    await open({ client, table: "app_sessions" }).ready();
  }
});

test("a client keeps its settings, and stays open", async (path) => {
  Deno.mkdirSync(path.replace(/\/[^/]*$/, ""));
  using client = new DatabaseSync(path);
  const settings = () =>
    ["journal_mode", "synchronous", "busy_timeout"].map((name) => client.prepare(`PRAGMA ${name}`).get());
  const before = settings();
  const store = new SqliteStore({ client });
  const key = newId();
  await store.create(key, fresh({ n: 1 }));
  assertEquals(settings(), before);
  client.exec("BEGIN; CREATE TABLE own (x)");
  await assertRejects(() => store.delete(key), Error, "transaction within a transaction");
  client.exec("COMMIT; SELECT * FROM own");
  assertEquals(await store.delete(key), true);
  await store.close();
  assert(client.isOpen);
  await assertRejects(() => store.read(key), Error, "the store is closed");
});

test("unusable options are refused when the store is made", () => {
  const make = (options: object) => () => new SqliteStore(options as SqliteStoreOptions);
  const path = "/nowhere/sessions.db";
  assertThrows(make({}), TypeError, '"url", "path" and "client"');
  assertThrows(make({ path, url: `sqlite:${path}` }), TypeError, '"url", "path" and "client"');
  const addresses = [
    "",
    "sqlite:",
    "sqlite://",
    "sqlite:///a.db",
    "sqlite://h/a.db",
    "file:a.db",
    "a.db",
    "sqlite:a.db?mode=ro",
    "sqlite:a.db#x",
    "sqlite::memory:",
    "sqlite:file:a.db",
    "redis://h",
  ];
  for (const url of addresses) assertThrows(make({ url }), TypeError, '"url" must be "sqlite:" and a path');
  for (const path of ["", ":memory:", "file:a.db"]) assertThrows(make({ path }), TypeError, '"path" must be');
  const tables = [
    "",
    "1a",
    "a b",
    "a-b",
    'a"b',
    "a;drop table x",
    "sqlite_a",
    "SQLITE_a",
    "é",
    "a.b",
    "a\n",
    "x".repeat(49),
  ];
  for (const table of tables) assertThrows(make({ path, table }), TypeError, '"table" must be');
  for (const max of [-1, NaN, 1.5, Infinity]) assertThrows(make({ path, max }), RangeError, '"max" must be');
  assertThrows(make({ path, max: "5" }), TypeError, '"max" must be');
  // A client of another package, such as better-sqlite3, and a path in place of a client.
  const other = { prepare() {}, exec() {}, transaction() {}, pragma() {} };
  for (const client of [other, path, {}, null]) {
    assertThrows(make({ client }), TypeError, '"client" must be a DatabaseSync of node:sqlite');
  }
  assertThrows(make({ path, tabel: "x" }), TypeError, 'no option "tabel"');
  for (const sync of ["FULL", "off", "", true]) assertThrows(make({ path, sync }), TypeError, '"sync" must be');
  make({ path, table: undefined, max: undefined, sync: undefined, log: undefined, now: undefined, url: undefined })();
  for (const table of ["a", "_", "Order", "x".repeat(48)]) make({ path, table })();
  return Promise.resolve();
});

test("a table can have a reserved word of SQL or 48 letters as its name", async (path, open) => {
  for (const table of ["order", "SELECT", "x".repeat(48)]) {
    const store = open({ path, table });
    const key = newId();
    await store.create(key, { ...fresh({ n: 1 }), user: "Ada" });
    assertEquals((await Array.fromAsync(store.sessionsOf("Ada"))).length, 1);
    assertEquals(await store.delete(key), true);
  }
});

test("a store that cannot open says why, and opens later", async (path, open) => {
  const folder = path.replace(/\/[^/]*$/, "");
  Deno.writeTextFileSync(folder, "a file in the folder's place");
  const store = open();
  const error = await assertRejects(() => store.ready(), Error, folder) as Error;
  assertStringIncludes(error.message, `SQLite "${path}"`);
  await assertRejects(() => store.read(newId()), Error, folder);
  Deno.removeSync(folder);
  await store.ready();
  Deno.writeTextFileSync(`${folder}/no.db`, "no database at all, but long enough to be looked at".repeat(100));
  await assertRejects(() => open({ path: `${folder}/no.db` }).ready(), Error, "not a database");
});

test("records from the future are not counted, and are swept", async (path, open) => {
  let now = Date.now() + 86_400_000;
  const store = open({ path, max: 50, now: () => now });
  for (let n = 0; n < 50; n++) {
    const idle = n % 2 ? MINUTE : 10 * 86_400_000;
    await store.create(newId(), { data: {}, created: now, idle, expires: now + idle, deadline: now + idle });
  }
  const all = (await Array.fromAsync(store.list())).map(([key]) => key);
  now -= 86_400_000;
  assertEquals([await Array.fromAsync(store.list()), await store.deleteMany(all)], [[], []]);
  for (let n = 0; n < 50; n++) await store.create(newId(), fresh());
  await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
});

test("the steps of a sweep remove every expired session, and no live one", async (path, open) => {
  let now = 1000;
  const store = open({ path, now: () => now, max: 300 });
  for (let n = 0; n < 300; n++) {
    await store.create(newId(), { data: {}, created: 0, idle: 1000, deadline: 10_000, expires: n < 200 ? 2000 : 5000 });
  }
  now = 2000;
  await store.create(newId(), { data: {}, created: 0, idle: 1000, deadline: 10_000, expires: 9000 });
  assertEquals(await store.sweepAll(), 200 - 64);
  using database = new DatabaseSync(path);
  const number = (sql: string) => database.prepare(sql).get()!["n"];
  assertEquals([number("SELECT count(*) AS n FROM sessions"), number("SELECT n FROM sessions_total")], [101, 101]);
});

test("the sweep keeps up with new sessions, so few expired ones stay", async (path, open) => {
  let now = 1000;
  const store = open({ path, now: () => now });
  for (let n = 0; n < 400; n++) {
    now += 10;
    await store.create(newId(), { data: {}, created: now, idle: 500, deadline: now + 500, expires: now + 500 });
    store.sweep();
    if (n % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  using database = new DatabaseSync(path);
  assert(database.prepare("SELECT count(*) AS n FROM sessions").get()!["n"] as number < 150);
});

test("with many clients at a time, few expired sessions stay", async (path, open) => {
  const [LIVE, IDLE] = [1000, 4000];
  let now = 1000;
  const store = open({ path, now: () => now });
  await store.ready();
  using database = new DatabaseSync(path);
  const count = database.prepare("SELECT count(*) AS n FROM sessions");
  let made = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 128 }, async () => {
    while (made < 4 * LIVE) {
      made++;
      now += IDLE / LIVE;
      await store.create(newId(), { data: {}, created: now, idle: IDLE, deadline: now + IDLE, expires: now + IDLE });
      if (made > 2 * LIVE) most = Math.max(most, count.get()!["n"] as number - LIVE);
      store.sweep();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }));
  // One step may be due.
  assert(most > 0 && most <= LIVE / 7 + 64, `${most} expired`);
});

test("a sweep uses the indexes", async (path, open) => {
  await open().ready();
  using database = new DatabaseSync(path);
  const plan = (sql: string) => database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all().map((row) => row["detail"]).join();
  assertStringIncludes(plan("SELECT number FROM sessions WHERE ends <= 1"), "sessions_ends");
  assertStringIncludes(plan("SELECT number FROM sessions WHERE used > 1"), "sessions_used");
  const ofUser = "SELECT key, record, expires FROM sessions WHERE user_hash = 'x'";
  assertStringIncludes(plan(ofUser), "sessions_users");
});
