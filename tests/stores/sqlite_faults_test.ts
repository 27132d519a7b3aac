/** Faults of the SQLite store: a busy database, commits that fail, full disks, replaced files. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { newId } from "../../lib/id.ts";
import { SqliteStore } from "../../lib/stores/sqlite/store.ts";
import { fresh, set } from "./shared.ts";
import { replacing } from "../support/failing.ts";
import { impatiently } from "../support/simulated_time.ts";
import { Failing, MINUTE, test, writes } from "./sqlite_place.ts";

test("a verb gives up a busy database after 2.5 seconds", async (path, open) => {
  const store = open();
  await store.ready();
  using writer = new DatabaseSync(path);
  writer.exec("BEGIN IMMEDIATE");
  await impatiently(async () => {
    const start = performance.now();
    await assertRejects(() => store.create(newId(), fresh()), Error, "database is locked");
    assert(performance.now() - start > 2000);
  });
  writer.exec("ROLLBACK");
  await store.create(newId(), fresh());
});

test("a database that is busy at its opening keeps no file open", async (path, open) => {
  Deno.mkdirSync(dirname(path));
  using other = new DatabaseSync(path);
  other.exec("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE other (n)");
  const opened: DatabaseSync[] = [];
  const { prepare } = DatabaseSync.prototype;
  const observing = () =>
    function (this: DatabaseSync, sql: string) {
      opened.push(this);
      return prepare.call(this, sql);
    };
  await replacing(DatabaseSync.prototype, "prepare", observing, async () => {
    await impatiently(() => assertRejects(() => open().ready(), Error, "database is locked"));
  });
  assert(opened.length > 1);
  assert(opened.every(({ isOpen }) => !isOpen));
});

test("only the error of a busy database is followed by another try", async (path, open) => {
  await open().ready();
  const client = new Failing(path, { timeout: 5 });
  const store = open({ client });
  const key = newId();
  await store.create(key, fresh({ n: 1 }));
  client.statement = "BEGIN IMMEDIATE";
  // The codes are explained at https://sqlite.org/rescode.html.
  const [ERROR, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, PROTOCOL] = [1, 6, 7, 8, 10, 11, 15];
  for (const code of [ERROR, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, PROTOCOL, 1 << 8 | IOERR, 5 << 8 | READONLY]) {
    client.errcode = code;
    for (const [verb, write] of Object.entries(writes(store, key))) {
      client.failed = 0;
      await assertRejects(write, Error, "on purpose", `${verb}, ${code}`);
      assertEquals(client.failed, 1, `${verb}, ${code}`);
    }
  }
  const [BUSY, BUSY_RECOVERY, BUSY_SNAPSHOT] = [5, 261, 517];
  for (const code of [BUSY, BUSY_RECOVERY, BUSY_SNAPSHOT]) {
    Object.assign(client, { errcode: code, times: 2, failed: 0 });
    assertEquals((await store.update(key, set({ n: code })))?.data, { n: code });
    assertEquals(client.failed, 2);
  }
  client.statement = "";
  assertEquals((await store.read(key))?.data, { n: 517 });
  client.close();
});

test("an error of a change that looks like SQLite's reaches the caller", async (_path, open) => {
  const store = open();
  const key = newId();
  await store.create(key, fresh());
  for (const errcode of [5, 13, 2067]) {
    const own = Object.assign(new Error("database is locked"), { errcode });
    let calls = 0;
    const fail = () => {
      calls++;
      throw own;
    };
    assert(await assertRejects(() => store.update(key, fail)) === own);
    assert(await assertRejects(() => store.move(key, newId(), fail)) === own);
    assertEquals(calls, 2);
  }
});

for (const rollsBack of [false, true]) {
  const who = rollsBack ? "SQLite rolled back" : "no one rolled back yet";
  test(`a commit that fails throws its reason: ${who}`, async (path, open) => {
    await open().ready();
    const client = new Failing(path);
    const store = open({ client });
    for (const [errcode, times] of [[13, 2], [10, 1]] as const) {
      const key = newId();
      await store.create(key, fresh({ n: 1 }));
      for (const write of Object.values(writes(store, key))) {
        Object.assign(client, { statement: "COMMIT", errcode, times, rollsBack });
        await assertRejects(write, Error, "on purpose");
        client.statement = "";
        assertEquals((await store.read(key))?.data, { n: 1 });
      }
      assertEquals((await Array.fromAsync(store.list())).length, 1, "nothing was made");
      assertEquals(await store.delete(key), true, "it is not left in a transaction");
    }
    client.close();
  });
}

test("in a full database visitors can log out, and uses extend sessions", async (path, open) => {
  await open().ready();
  using client = new DatabaseSync(path);
  const store = open({ client });
  const keys: string[] = [];
  client.exec("PRAGMA max_page_count = 60");
  const data = { text: "x".repeat(2000) };
  const error = await assertRejects(async () => {
    while (true) {
      const key = newId();
      await store.create(key, fresh(data));
      keys.push(key);
    }
  });
  assertStringIncludes((error as Error).message, "database or disk is full");
  assert(keys.length > 10);
  const moved = newId();
  assert(await store.move(keys[0]!, moved, (record) => record));
  assert(await store.touch(keys[1]!, Date.now() + 2 * MINUTE));
  for (const key of [moved, ...keys.slice(1)]) assertEquals(await store.delete(key), true);
  assertEquals(await Array.fromAsync(store.list()), []);
  await store.create(newId(), fresh(data));
});

const canMount = Deno.build.os === "linux" && Deno.uid() === 0;

test("only work that ends sessions uses the reserve", async (path, open) => {
  const store = open();
  const [key, other] = [newId(), newId()];
  for (const one of [key, other]) await store.create(one, fresh());
  const reserved = () =>
    Array.from(Deno.readDirSync(dirname(path)), ({ name }) => name).includes("sessions.db-reserve");
  let times = 0;
  const full = (original: (this: DatabaseSync, sql: string) => StatementSync) =>
    function (this: DatabaseSync, sql: string) {
      const statement = original.call(this, sql);
      const run = statement.run.bind(statement);
      const commit = () => {
        if (times-- > 0) throw Object.assign(new Error("database or disk is full"), { errcode: 13 });
        return run();
      };
      return sql === "COMMIT" ? Object.assign(statement, { run: commit }) : statement;
    };
  await replacing(DatabaseSync.prototype, "prepare", full, async () => {
    for (const verb of [() => store.create(newId(), fresh()), () => store.update(key, set({ n: 2 }))]) {
      times = 2;
      await assertRejects(verb, Error, "disk is full");
      assert(reserved());
    }
    times = 1;
    assertEquals([await store.delete(key), reserved()], [true, false]);
  });
});

test("on a full disk acknowledged changes are stored, and no others", async (path, open) => {
  const mount = path.replace(/\/[^/]*$/, "");
  Deno.mkdirSync(mount, { recursive: true });
  await run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount);
  try {
    for (const free of [0, 4, 16, 40, 60, 100]) {
      const store = open({ path: `${mount}/${free}.db` });
      const keys = Array.from({ length: 40 }, () => newId());
      for (const key of keys) await store.create(key, fresh({ n: 1, text: "x".repeat(500) }));
      const other = open({ path: `${mount}/${free}.db` });
      await other.ready();
      fill(`${mount}/filler`, free * 1024);
      const done = [0, 0, 0];
      const [ended, live] = [new Set<string>(), new Map<string, number>()];
      for (const [index, key] of keys.entries()) {
        const to = newId();
        const text = "y".repeat(400 + index * 20);
        const verb = [
          async () => void (assert(await store.delete(key)), ended.add(key)),
          async () => void (assert(await store.move(key, to, set({ n: 2 }))), ended.add(key), live.set(to, 2)),
          async () => void (assert(await store.update(key, set({ n: 3, text }))), live.set(key, 3)),
        ][index % 3]!;
        live.set(key, 1);
        const failure = await verb().catch((error) => error);
        done[index % 3]! += failure ? 0 : 1;
        if (ended.has(key)) live.delete(key);
        // The reason tells an operator what to do.
        if (failure) assertStringIncludes(failure.message, "database or disk is full");
        for (const reader of [store, other]) {
          if (failure) assertEquals(await reader.read(to), undefined);
          for (const key of ended) assertEquals(await reader.read(key), undefined, `${free}: ended, and lives on`);
          for (const [key, n] of live) assertEquals((await reader.read(key))?.data["n"], n);
        }
      }
      Deno.removeSync(`${mount}/filler`);
      await store.create(newId(), fresh());
      store.sweep();
      await store.close();
      assert(Deno.statSync(`${mount}/${free}.db-reserve`).size > 0, "the next log-outs have their space again");
      await other.close();
      assertEquals(done.slice(0, 2), [14, 13], "who logs out needs no space");
      for (const name of ["", "-reserve"]) Deno.removeSync(`${mount}/${free}.db${name}`);
    }
  } finally {
    await run("umount", "-l", mount);
  }
}, !canMount);

for (const what of ["removed", "replaced"]) {
  test(`verbs fail within a second if the file is ${what} while in use`, async (path, open) => {
    const store = open();
    const [key, other] = [newId(), newId()];
    await store.create(key, fresh({ n: 1 }));
    await store.create(other, fresh({ n: 1 }));
    await store.read(key);
    Deno.renameSync(path, `${path}.away`);
    if (what === "replaced") {
      const another = new SqliteStore({ path: `${path}.other` });
      await another.ready();
      await another.close();
      Deno.renameSync(`${path}.other`, path);
    }
    for (const write of Object.values(writes(store, key))) await assertRejects(write, Error, `${path} was ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 260));
    await assertRejects(() => store.read(key), Error, `${path} was ${what}`);
    await assertRejects(() => store.ready(), Error, `${path} was ${what}`);
    await assertRejects(() => Array.fromAsync(store.list()), Error, `${path} was ${what}`);
    await assertRejects(() => Array.fromAsync(store.sessionsOf("Ada")), Error, `${path} was ${what}`);
    Deno.renameSync(`${path}.away`, path);
    assertEquals((await store.read(key))?.data, { n: 1 }, "put back, it goes on");
    assertEquals(await store.delete(other), true);
  });
}

test("reads check the file four times per second at most", async (path, open) => {
  const store = open();
  const key = newId();
  await store.create(key, fresh({ n: 1 }));
  let time = 1e9;
  await replacing(performance, "now", () => () => time, async () => {
    await store.read(key);
    Deno.renameSync(path, `${path}.away`);
    time += 249;
    assertEquals((await store.read(key))?.data, { n: 1 });
    time += 1;
    await assertRejects(() => store.read(key), Error, `${path} was removed`);
    Deno.renameSync(`${path}.away`, path);
  });
});

test("without its journal every verb fails, until it is back", async (path, open) => {
  const [one, two] = [open(), open()];
  const [old, late] = [newId(), newId()];
  await one.create(old, fresh({ n: 1 }));
  await two.read(old);
  Deno.renameSync(`${path}-wal`, `${path}-lost`);
  for (const store of [one, two]) {
    for (const write of Object.values(writes(store, old))) {
      await assertRejects(write, Error, `${path}-wal was removed while it was in use`);
    }
  }
  // A store that opens now does not make a new journal in place of the one with the sessions.
  await assertRejects(() => open().ready(), Error, `${path}-wal was removed while it was in use`);
  assertThrows(() => Deno.statSync(`${path}-wal`), Deno.errors.NotFound);
  Deno.renameSync(`${path}-lost`, `${path}-wal`);
  await two.create(late, fresh({ n: 2 }));
  const three = open();
  for (const store of [one, two, three]) {
    assertEquals([(await store.read(old))?.data, (await store.read(late))?.data], [{ n: 1 }, { n: 2 }]);
  }
});

test("a lost journal loses nothing if the program ends in order", async (path, open) => {
  const store = open();
  const key = newId();
  await store.create(key, fresh({ n: 1 }));
  Deno.removeSync(`${path}-wal`);
  await assertRejects(() => store.create(newId(), fresh()), Error, "put it back");
  await store.close();
  assertEquals((await open().read(key))?.data, { n: 1 });
});

test("a start does not make a database whose file was moved again", async (path, open) => {
  const store = open();
  const key = newId();
  await store.create(key, fresh({ n: 1 }));
  Deno.renameSync(path, `${path}.away`);
  await assertRejects(() => open().ready(), Error, `${path} was removed while it was in use`);
  assertThrows(() => Deno.statSync(path), Deno.errors.NotFound);
  Deno.renameSync(`${path}.away`, path);
  assertEquals((await open().read(key))?.data, { n: 1 });
});

test("a database that cannot be written is not ready", async (path, open) => {
  const key = newId();
  await open().create(key, fresh({ n: 1 }));
  using client = new DatabaseSync(path, { readOnly: true });
  const store = open({ client });
  assertEquals((await store.read(key))?.data, { n: 1 });
  await assertRejects(() => store.ready(), Error, "readonly database");
  using writer = new DatabaseSync(path);
  const another = open({ client: writer });
  await another.ready();
  writer.exec("PRAGMA query_only = 1");
  await assertRejects(() => another.ready(), Error, "readonly database");
});

test("sync full waits for the disk at every commit, normal does not", async (path, open) => {
  for (const [sync, level] of [["full", 2], ["normal", 1], [undefined, 1]] as const) {
    const database = await databaseOf(open({ path, sync }));
    assertEquals(database.prepare("PRAGMA synchronous").get()!["synchronous"], level);
    assertEquals(database.prepare("PRAGMA journal_mode").get()!["journal_mode"], "wal");
  }
});

test("SQLite itself does not wait for another process: the program would wait too", async (_path, open) => {
  const waits: unknown[] = [];
  const note = (database: DatabaseSync) => waits.push(database.prepare("PRAGMA busy_timeout").get()!["timeout"]);
  const database = await databaseOf(open(), note);
  note(database);
  assertEquals(waits, [0, 0]);
});

/** Opens a store, and returns its database. `first` is called with it before its first statement. */
async function databaseOf(store: SqliteStore, first: (database: DatabaseSync) => void = () => {}) {
  const databases: DatabaseSync[] = [];
  await replacing(DatabaseSync.prototype, "prepare", (prepare) =>
    function (this: DatabaseSync, sql: string) {
      if (!databases.includes(this)) {
        databases.push(this);
        first(this);
      }
      return prepare.call(this, sql);
    }, () => store.ready());
  assertEquals(databases.length, 1);
  return databases[0]!;
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Fills a disk, except for some bytes. */
function fill(path: string, free: number): void {
  using file = Deno.openSync(path, { write: true, create: true });
  let size = 0;
  try {
    while (true) size += file.writeSync(new Uint8Array(4096));
  } catch {
    file.truncateSync(Math.max(0, size - free));
  }
}
