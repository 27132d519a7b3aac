/** The SQLite store: the suite, and what only a database in a file has. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { open, SqliteStore } from "../../lib/stores/sqlite.ts";
import { newId } from "../support/server.ts";
import { testSharedStore } from "./shared.ts";

const dir = Deno.makeTempDirSync();
const path = `${dir}/made/sessions.db`;
globalThis.addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));

testSharedStore("sqlite", { url: `sqlite:${path}`, counts: true });

const life = () => ({ created: Date.now(), ends: Date.now() + 60_000, expires: Date.now() + 60_000 });

Deno.test("sqlite store: the database and what lies beside it are its user's alone", async () => {
  const store = new SqliteStore({ path });
  await store.create(newId(), { data: {}, ...life() });
  const files = [...Deno.readDirSync(`${dir}/made`)].map(({ name }) => `${dir}/made/${name}`);
  assert(files.length >= 2);
  for (const file of files) assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  assertEquals(Deno.statSync(`${dir}/made`).mode! & 0o777, 0o700);
  await store.close();
});

Deno.test("sqlite store: a corrupt record counts as no session, and is logged without its id", async () => {
  const lines: string[] = [];
  const store = new SqliteStore({ path, log: (...line) => lines.push(line.join(" ")) });
  const id = newId();
  await store.create(id, { data: {}, ...life() });
  const database = new DatabaseSync(path);
  for (const data of ["", '{"n":', "[1]", "null", "7"]) {
    database.prepare("UPDATE sessions SET data = ? WHERE id = ?").run(data, id);
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, () => ({ n: 1 }), Date.now() + 1000), undefined);
  }
  assertEquals(lines.length, 10);
  assert(!lines.join().includes(id));
  assertEquals(await store.delete(id), undefined);
  database.close();
  await store.close();
});

Deno.test("sqlite store: while another process writes, it waits and lets others have their turn", async () => {
  const store = new SqliteStore({ path });
  const id = newId();
  await store.create(id, { data: { n: 0 }, ...life() });
  const writer = new DatabaseSync(path);
  writer.exec("BEGIN IMMEDIATE");
  let isDone = false;
  const update = store.update(id, () => ({ n: 1 }), Date.now() + 60_000).finally(() => isDone = true);
  let turns = 0;
  for (; turns < 10; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert(!isDone);
  assertEquals((await store.read(id))?.data, { n: 0 }, "reading goes on meanwhile");
  writer.exec("COMMIT");
  assertEquals((await update)?.data, { n: 1 });
  writer.close();
  await store.close();
});

Deno.test("sqlite store: sweeping in steps leaves no dead session behind, and no live one out", async () => {
  let now = 1000;
  const store = new SqliteStore({ path: `${dir}/swept.db`, now: () => now, max: 300 });
  for (let n = 0; n < 300; n++) {
    await store.create(newId(), { data: {}, created: 0, ends: 10_000, expires: n < 200 ? 2000 : 5000 });
  }
  now = 2000;
  await store.create(newId(), { data: {}, created: 0, ends: 10_000, expires: 9000 });
  assertEquals(await store.sweepAll() > 100, true);
  const database = new DatabaseSync(`${dir}/swept.db`);
  const count = (sql: string) => database.prepare(sql).get()!.n;
  assertEquals([count("SELECT count(*) AS n FROM sessions"), count("SELECT n FROM sessions_total")], [101, 101]);
  database.close();
  await store.close();
});

Deno.test("sqlite store: an address whose path could be read in two ways is refused", async () => {
  for (const url of ["sqlite:", "sqlite:///sessions.db", "sqlite://sessions.db"]) {
    await assertRejects(() => open({ url, max: 1, log: () => {} }), Error, "SESSION_URL");
  }
});

Deno.test("sqlite store: under steady load dead sessions stay under a seventh of the live ones", async () => {
  let now = 0;
  const store = new SqliteStore({ path: `${dir}/steady.db`, now: () => now });
  const database = new DatabaseSync(`${dir}/steady.db`);
  const count = database.prepare("SELECT n FROM sessions_total");
  const idle = 1000;
  for (let made = 0; made < 4000; made++) {
    now++;
    await store.create(newId(), { data: {}, created: now, ends: now + 2 * idle, expires: now + idle });
    store.sweep();
    if (made % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    if (made > 2 * idle) assert(count.get()!.n as number <= idle * (1 + 1 / 7) + 1, `${count.get()!.n} at ${made}`);
  }
  database.close();
  await store.close();
});
