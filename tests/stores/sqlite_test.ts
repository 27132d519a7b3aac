/** The SQLite store: the suite, and what only a database in a file has. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync, type SQLInputValue, type StatementResultingChanges, type StatementSync } from "node:sqlite";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { StoreFullError } from "../../lib/store.ts";
import { SqliteStore, type SqliteStoreOptions } from "../../lib/stores/sqlite.ts";
import { testSharedStore } from "./shared.ts";

const dir = Deno.makeTempDirSync();
globalThis.addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
const MINUTE = 60_000;

testSharedStore("sqlite", { url: `sqlite:${dir}/suite/sessions.db`, counts: true });

function record(data: SessionRecord["data"] = {}, idle = MINUTE): SessionRecord {
  const created = Date.now();
  return { data, created, idle, expires: created + idle, deadline: created + 10 * MINUTE };
}

function set(data: SessionRecord["data"]) {
  return (record: SessionRecord): SessionRecord => ({ ...record, data: { ...record.data, ...data } });
}

let count = 0;

/** Declares a test with a database of its own: its path, and what opens a store in it, to be closed at the end. */
function test(
  behaviour: string,
  fn: (path: string, open: (options?: SqliteStoreOptions) => SqliteStore) => Promise<void>,
  ignore = false,
): void {
  Deno.test({
    name: `sqlite store: ${behaviour}`,
    ignore,
    async fn() {
      const path = `${dir}/${count++}/sessions.db`;
      const stores: SqliteStore[] = [];
      try {
        await fn(path, (options = { path }) => {
          const store = new SqliteStore(options);
          stores.push(store);
          return store;
        });
      } finally {
        for (const store of stores) await store.close();
      }
    },
  });
}

/** A database that fails on purpose. */
class Failing extends DatabaseSync {
  /** The statement that fails. */
  statement = "";
  /** With which code, as SQLite's errors have it. */
  errcode = 0;
  /** How often it still does. */
  times = Infinity;
  /** How often it did. */
  failed = 0;
  /** Whether SQLite ends the transaction by itself when that fails. */
  rollsBack = false;

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    const run = statement.run.bind(statement) as (...values: SQLInputValue[]) => StatementResultingChanges;
    statement.run = ((...values: SQLInputValue[]) => {
      if (sql !== this.statement || this.times-- <= 0) return run(...values);
      this.failed++;
      if (this.rollsBack) this.exec("ROLLBACK");
      throw Object.assign(new Error("on purpose"), { errcode: this.errcode });
    }) as StatementSync["run"];
    return statement;
  }
}

/** Every verb that writes, on the session of an id. */
function writes(store: SqliteStore, id: string): Record<string, () => Promise<unknown>> {
  return {
    create: () => store.create(newId(), record()),
    update: () => store.update(id, set({ n: 2 })),
    touch: () => store.touch(id, Date.now() + 2 * MINUTE),
    move: () => store.move(id, newId(), set({ n: 2 })),
    delete: () => store.delete(id),
  };
}

test("nothing is opened until it is used, and its user alone can read it", async (path, open) => {
  const store = open();
  assertThrows(() => Deno.statSync(path), Deno.errors.NotFound);
  await store.ready();
  await store.create(newId(), record());
  const folder = path.replace(/\/[^/]*$/, "");
  const files = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
  assert(files.length >= 2);
  for (const file of files) assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  assertEquals(Deno.statSync(folder).mode! & 0o777, 0o700);
});

test("a corrupt record is no session, and is logged without its id", async (path, open) => {
  const lines: string[] = [];
  const store = open({ path, log: (...line) => lines.push(line.join(" ")) });
  const id = newId();
  await store.create(id, record());
  using database = new DatabaseSync(path);
  for (const text of ["", '{"n":', "[1]", "null", "7"]) {
    database.prepare("UPDATE sessions SET record = ? WHERE id = ?").run(text, id);
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, set({ n: 1 })), undefined);
    assertEquals(await store.touch(id, Date.now() + MINUTE), false);
    assertEquals(await store.move(id, newId(), set({ n: 1 })), undefined);
  }
  assertEquals(lines.length, 20);
  assert(!lines.join().includes(id));
  assertEquals(await store.delete(id), false);
  assertEquals(database.prepare("SELECT count(*) AS n FROM sessions").get()!["n"], 0);
});

test("a later version's record is left as it is, and a log-out ends it", async (path, open) => {
  const lines: string[] = [];
  const store = open({ path, log: (...line) => lines.push(line.join(" ")) });
  const id = newId("Ada");
  await store.create(id, { ...record(), user: "Ada" });
  using database = new DatabaseSync(path);
  const newer = '{"version":2,"what":"only a later program knows"}';
  database.prepare("UPDATE sessions SET record = ? WHERE id = ?").run(newer, id);
  assertEquals(await store.read(id), undefined);
  assertEquals(await store.update(id, set({ n: 1 })), undefined);
  assertEquals(await store.touch(id, Date.now() + MINUTE), false);
  assertEquals(await store.move(id, newId(), set({ n: 1 })), undefined);
  assertEquals(await Array.fromAsync(store.list()), []);
  assertEquals(await Array.fromAsync(store.sessionsOf("Ada")), []);
  assertEquals(await store.sweepAll(), 0);
  assertEquals(database.prepare("SELECT record FROM sessions WHERE id = ?").get(id)!["record"], newer);
  assertEquals(lines, []);
  assertEquals(await store.delete(id), true);
});

test("while another process writes, it waits and lets others go on", async (path, open) => {
  const store = open();
  const id = newId();
  await store.create(id, record({ n: 0 }));
  using writer = new DatabaseSync(path);
  writer.exec("BEGIN IMMEDIATE");
  let isDone = false;
  const update = store.update(id, set({ n: 1 })).finally(() => isDone = true);
  for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert(!isDone);
  assertEquals((await store.read(id))?.data, { n: 0 }, "reading goes on meanwhile");
  writer.exec("COMMIT");
  assertEquals((await update)?.data, { n: 1 });
});

test("a database that is busy for good is given up on after 2.5 seconds", async (path, open) => {
  const store = open();
  await store.ready();
  using writer = new DatabaseSync(path);
  writer.exec("BEGIN IMMEDIATE");
  const start = performance.now();
  await assertRejects(() => store.create(newId(), record()), Error, "database is locked");
  assert(performance.now() - start > 2000);
  writer.exec("ROLLBACK");
  await store.create(newId(), record());
});

test("only a busy database is tried again, any other failure is said", async (path, open) => {
  await open().ready();
  const client = new Failing(path, { timeout: 5 });
  const store = open({ client });
  const id = newId();
  await store.create(id, record({ n: 1 }));
  client.statement = "BEGIN IMMEDIATE";
  // What the codes mean: https://sqlite.org/rescode.html
  const [ERROR, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, PROTOCOL] = [1, 6, 7, 8, 10, 11, 15];
  for (const code of [ERROR, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, PROTOCOL, 1 << 8 | IOERR, 5 << 8 | READONLY]) {
    client.errcode = code;
    for (const [verb, write] of Object.entries(writes(store, id))) {
      client.failed = 0;
      await assertRejects(write, Error, "on purpose", `${verb}, ${code}`);
      assertEquals(client.failed, 1, `${verb}, ${code}`);
    }
  }
  const [BUSY, BUSY_RECOVERY, BUSY_SNAPSHOT] = [5, 261, 517];
  for (const code of [BUSY, BUSY_RECOVERY, BUSY_SNAPSHOT]) {
    Object.assign(client, { errcode: code, times: 2, failed: 0 });
    assertEquals((await store.update(id, set({ n: code })))?.data, { n: code });
    assertEquals(client.failed, 2);
  }
  client.statement = "";
  assertEquals((await store.read(id))?.data, { n: 517 });
  client.close();
});

test("a change's error that looks like SQLite's own is the caller's", async (_path, open) => {
  const store = open();
  const id = newId();
  await store.create(id, record());
  for (const errcode of [5, 13, 1555]) {
    const own = Object.assign(new Error("database is locked"), { errcode });
    let calls = 0;
    const fail = () => {
      calls++;
      throw own;
    };
    assert(await assertRejects(() => store.update(id, fail)) === own);
    assert(await assertRejects(() => store.move(id, newId(), fail)) === own);
    assertEquals(calls, 2);
  }
});

for (const rollsBack of [false, true]) {
  const who = rollsBack ? "SQLite rolled back" : "nobody rolled back yet";
  test(`a commit that fails is a failure, and says why: ${who}`, async (path, open) => {
    await open().ready();
    const client = new Failing(path);
    const store = open({ client });
    for (const [errcode, times] of [[13, 2], [10, 1]] as const) {
      const id = newId();
      await store.create(id, record({ n: 1 }));
      for (const write of Object.values(writes(store, id))) {
        Object.assign(client, { statement: "COMMIT", errcode, times, rollsBack });
        await assertRejects(write, Error, "on purpose");
        client.statement = "";
        assertEquals((await store.read(id))?.data, { n: 1 });
      }
      assertEquals((await Array.fromAsync(store.list())).length, 1, "nothing was made");
      assertEquals(await store.delete(id), true, "it is not left in a transaction");
    }
    client.close();
  });
}

test("in a database that may not grow, people log out and stay logged in", async (path, open) => {
  await open().ready();
  using client = new DatabaseSync(path);
  const store = open({ client });
  const ids: string[] = [];
  client.exec("PRAGMA max_page_count = 60");
  const data = { text: "x".repeat(2000) };
  const error = await assertRejects(async () => {
    while (true) {
      const id = newId();
      await store.create(id, record(data));
      ids.push(id);
    }
  });
  assertStringIncludes((error as Error).message, "database or disk is full");
  assert(ids.length > 10);
  const moved = newId();
  assert(await store.move(ids[0]!, moved, (record) => record));
  assert(await store.touch(ids[1]!, Date.now() + 2 * MINUTE));
  for (const id of [moved, ...ids.slice(1)]) assertEquals(await store.delete(id), true);
  assertEquals(await Array.fromAsync(store.list()), []);
  await store.create(newId(), record(data));
});

const canMount = Deno.build.os === "linux" && Deno.uid() === 0;

test("on a full disk what was acknowledged is done, the rest undone", async (path, open) => {
  const mount = path.replace(/\/[^/]*$/, "");
  Deno.mkdirSync(mount, { recursive: true });
  await run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount);
  try {
    for (const free of [0, 4, 16, 40, 60, 100]) {
      const store = open({ path: `${mount}/${free}.db` });
      const ids = Array.from({ length: 40 }, () => newId());
      for (const id of ids) await store.create(id, record({ n: 1, text: "x".repeat(500) }));
      const other = open({ path: `${mount}/${free}.db` });
      await other.ready();
      fill(`${mount}/filler`, free * 1024);
      const done = [0, 0, 0];
      const [ended, live] = [new Set<string>(), new Map<string, number>()];
      for (const [index, id] of ids.entries()) {
        const to = newId();
        const text = "y".repeat(400 + index * 20);
        const verb = [
          async () => void (assert(await store.delete(id)), ended.add(id)),
          async () => void (assert(await store.move(id, to, set({ n: 2 }))), ended.add(id), live.set(to, 2)),
          async () => void (assert(await store.update(id, set({ n: 3, text }))), live.set(id, 3)),
        ][index % 3]!;
        live.set(id, 1);
        const failure = await verb().catch((error) => error);
        done[index % 3]! += failure ? 0 : 1;
        if (ended.has(id)) live.delete(id);
        // With the reason that tells an operator what to do.
        if (failure) assertStringIncludes(failure.message, "database or disk is full");
        for (const reader of [store, other]) {
          if (failure) assertEquals(await reader.read(to), undefined);
          for (const id of ended) assertEquals(await reader.read(id), undefined, `${free}: ended, and lives on`);
          for (const [id, n] of live) assertEquals((await reader.read(id))?.data["n"], n);
        }
      }
      Deno.removeSync(`${mount}/filler`);
      await store.create(newId(), record());
      await store.close();
      await other.close();
      assertEquals(done.slice(0, 2), [14, 13], "who logs out needs no space");
      Deno.removeSync(`${mount}/${free}.db`);
    }
  } finally {
    await run("umount", "-l", mount);
  }
}, !canMount);

for (const what of ["removed", "replaced"]) {
  test(`a file that is ${what} while in use is noticed within a second`, async (path, open) => {
    const store = open();
    const [id, other] = [newId(), newId()];
    await store.create(id, record({ n: 1 }));
    await store.create(other, record({ n: 1 }));
    await store.read(id);
    Deno.renameSync(path, `${path}.away`);
    if (what === "replaced") {
      const another = new SqliteStore({ path: `${path}.other` });
      await another.ready();
      await another.close();
      Deno.renameSync(`${path}.other`, path);
    }
    for (const write of Object.values(writes(store, id))) await assertRejects(write, Error, `its file was ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 260));
    await assertRejects(() => store.read(id), Error, `its file was ${what}`);
    await assertRejects(() => store.ready(), Error, `its file was ${what}`);
    await assertRejects(() => Array.fromAsync(store.list()), Error, `its file was ${what}`);
    await assertRejects(() => Array.fromAsync(store.sessionsOf("Ada")), Error, `its file was ${what}`);
    Deno.renameSync(`${path}.away`, path);
    assertEquals((await store.read(id))?.data, { n: 1 }, "put back, it goes on");
    assertEquals(await store.delete(other), true);
  });
}

test("sync full waits for the disk at every commit, normal does not", async (path, open) => {
  for (const [sync, level] of [["full", 2], ["normal", 1], [undefined, 1]] as const) {
    const own: DatabaseSync[] = [];
    const exec = DatabaseSync.prototype.exec;
    DatabaseSync.prototype.exec = function (sql) {
      if (!own.includes(this)) own.push(this);
      exec.call(this, sql);
    };
    try {
      await open({ path, sync }).ready();
    } finally {
      DatabaseSync.prototype.exec = exec;
    }
    assertEquals(own.length, 1);
    assertEquals(own[0]!.prepare("PRAGMA synchronous").get()!["synchronous"], level);
    assertEquals(own[0]!.prepare("PRAGMA journal_mode").get()!["journal_mode"], "wal");
  }
});

test("two tables in one database are two applications", async (path, open) => {
  using client = new DatabaseSync(dir + "/two.db");
  const one = open({ client, max: 2 });
  const two = open({ client, table: "Other", max: 2 });
  const id = newId("Ada");
  await one.create(id, { ...record({ n: 1 }), user: "Ada" });
  await two.create(id, { ...record({ n: 2 }), user: "Ada" });
  await two.create(newId(), { ...record(), expires: 1, idle: 1, created: 0 });
  await assertRejects(() => one.create(id, record()), Error, "already there");
  for (const [store, n] of [[one, 1], [two, 2]] as const) {
    for (const sessions of [store.list(), store.sessionsOf("Ada")]) {
      assertEquals((await Array.fromAsync(sessions)).map(([id, { data }]) => [id, data]), [[id, { n }]]);
    }
  }
  assertEquals(await one.sweepAll(), 0);
  await one.create(newId(), record());
  await assertRejects(() => one.create(newId(), record()), StoreFullError);
  assertEquals(await two.sweepAll(), 1);
  assertEquals(await two.delete(id), true);
  assertEquals((await one.read(id))?.data, { n: 1 });
  assert(path);
});

test("of users whose names are no text, each has their own sessions", async (_path, open) => {
  const store = open();
  for (const user of ["\ud800", "\ud801", "\ufffd"]) await store.create(newId(user), { ...record({ user }), user });
  for (const user of ["\ud800", "\ud801", "\ufffd"]) {
    assertEquals((await Array.fromAsync(store.sessionsOf(user))).map(([, { data }]) => data["user"]), [user]);
  }
});

test("what somebody else calls by its table's names is refused by name", async (_path, open) => {
  const theirs = {
    sessions: "CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess TEXT)",
    SESSIONS: "CREATE TABLE SESSIONS (id TEXT PRIMARY KEY, record TEXT NOT NULL)",
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
    await assertRejects(() => store.create(newId(), record()), Error, 'choose another "table"');
    assertEquals(client.prepare("SELECT * FROM sqlite_schema").all(), before);
    await open({ client, table: "app_sessions" }).ready();
  }
});

test("a client keeps its settings, and is open after the store", async (path) => {
  Deno.mkdirSync(path.replace(/\/[^/]*$/, ""));
  using client = new DatabaseSync(path);
  const settings = () =>
    ["journal_mode", "synchronous", "busy_timeout"].map((name) => client.prepare(`PRAGMA ${name}`).get());
  const before = settings();
  const store = new SqliteStore({ client });
  const id = newId();
  await store.create(id, record({ n: 1 }));
  assertEquals(settings(), before);
  client.exec("BEGIN; CREATE TABLE own (x)");
  await assertRejects(() => store.delete(id), Error, "transaction within a transaction");
  client.exec("COMMIT; SELECT * FROM own");
  assertEquals(await store.delete(id), true);
  await store.close();
  assert(client.isOpen);
  await assertRejects(() => store.read(id), Error, "the store is closed");
});

test("options of no use are refused when the store is made", () => {
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
  for (const url of addresses) assertThrows(make({ url }), TypeError, "The address must be");
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
  for (const max of [-1, 0, NaN, "five"]) assertThrows(make({ path, max }), RangeError, '"max" must be');
  for (const sync of ["FULL", "off", "", true]) assertThrows(make({ path, sync }), TypeError, '"sync" must be');
  make({ path, table: undefined, max: undefined, sync: undefined, log: undefined, now: undefined, url: undefined })();
  for (const table of ["a", "_", "Order", "x".repeat(48)]) make({ path, table })();
  return Promise.resolve();
});

test("a table may have the name of a word of SQL, and the longest name", async (path, open) => {
  for (const table of ["order", "SELECT", "x".repeat(48)]) {
    const store = open({ path, table });
    const id = newId("Ada");
    await store.create(id, { ...record({ n: 1 }), user: "Ada" });
    assertEquals((await Array.fromAsync(store.sessionsOf("Ada"))).length, 1);
    assertEquals(await store.delete(id), true);
  }
});

test("a store that cannot be opened says why, and opens when it can", async (path, open) => {
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

test("records from the future are not counted, and go with the sweep", async (path, open) => {
  let now = Date.now() + 86_400_000;
  const store = open({ path, max: 50, now: () => now });
  for (let n = 0; n < 50; n++) {
    const idle = n % 2 ? MINUTE : 10 * 86_400_000;
    await store.create(newId(), { data: {}, created: now, idle, expires: now + idle, deadline: now + idle });
  }
  now -= 86_400_000;
  assertEquals(await Array.fromAsync(store.list()), []);
  for (let n = 0; n < 50; n++) await store.create(newId(), record());
  await assertRejects(() => store.create(newId(), record()), StoreFullError);
});

test("a sweep in steps leaves no dead session, and takes no live one", async (path, open) => {
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

test("new sessions pay for the sweep, so that the dead stay few", async (path, open) => {
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

test("a full sweep finds what it needs by the indexes", async (path, open) => {
  await open().ready();
  using database = new DatabaseSync(path);
  const plan = (sql: string) => database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all().map((row) => row["detail"]).join();
  assertStringIncludes(plan("SELECT rowid FROM sessions WHERE ends <= 1"), "sessions_ends");
  assertStringIncludes(plan("SELECT rowid FROM sessions WHERE used > 1"), "sessions_used");
  const ofUser = "SELECT id, record, expires FROM sessions WHERE id > '' AND user_hash = 'x' ORDER BY id LIMIT 100";
  assertStringIncludes(plan(ofUser), "sessions_users");
});

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Fills a disk up, but for some bytes. */
function fill(path: string, free: number): void {
  using file = Deno.openSync(path, { write: true, create: true });
  let size = 0;
  try {
    while (true) size += file.writeSync(new Uint8Array(4096));
  } catch {
    file.truncateSync(Math.max(0, size - free));
  }
}
