/** PostgresStore and what goes wrong: lost answers, connections of no use, tables and privileges that are not there. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import type { SessionStore } from "../../lib/store.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { fresh, set, type SharedOptions, storeClass } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("postgres");
const PORT_THAT_REFUSES = 9;

let engine: Engine;
Deno.test.beforeAll(async () => {
  if (!ignore) engine = await Engine.start("postgres", ["-c", "listen_addresses=127.0.0.1,::1"]);
});
Deno.test.afterAll(async () => {
  if (!ignore) await engine[Symbol.asyncDispose]();
});

/** Declares a test on a database of its own: its name, which is that of its address too. */
function test(behaviour: string, fn: (database: string) => Promise<void>): void {
  Deno.test({
    name: `postgres store: ${behaviour}`,
    ignore,
    async fn() {
      const database = `test_${crypto.randomUUID().replaceAll("-", "")}`;
      await say("postgres", `create database ${database}`);
      try {
        await fn(database);
      } finally {
        await say("postgres", `drop database ${database} with (force)`);
      }
    },
  });
}

/** Says something to the server, as an operator would; returns the rows as text, with "|" between the values. */
async function say(database: string, sql: string): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("psql", {
    args: [
      "-h",
      "127.0.0.1",
      "-p",
      `${engine.port}`,
      "-U",
      "tester",
      "-d",
      database,
      "-qAtX",
      "-v",
      "ON_ERROR_STOP=1",
      "-c",
      sql,
    ],
    env: { PGPASSWORD: PASSWORD },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).split("\n").filter(Boolean);
}

function urlOf(database: string, { port = engine.port, user = "tester", host = "127.0.0.1", more = "" } = {}): string {
  return `postgres://${user}:${PASSWORD}@${host}:${port}/${database}${more}`;
}

/** A store that is closed at the end of the block. */
async function open(options: SharedOptions): Promise<SessionStore & AsyncDisposable> {
  const store = new (await storeClass("postgres"))(options);
  return Object.assign(store, { [Symbol.asyncDispose]: async () => await store.close!() });
}

/** Waits until something works. */
async function until<T>(work: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + 15_000;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

for (const what of ["request", "answer"] as const) {
  test(`what is asked for is done once when the ${what} is lost`, async (database) => {
    await using proxy = new LossyProxy(engine.port);
    await using store = await open({ url: urlOf(database, { port: proxy.port }) });
    await using other = await open({ url: urlOf(database) });
    for (let round = 0; round < 3; round++) {
      const [made, ended, from, to] = [newId(), newId(), newId(), newId()];
      proxy.loseNext(what, made);
      await store.create(made, fresh({ n: 1 }));
      for (const id of [ended, from]) await store.create(id, fresh({ n: 1 }));
      proxy.loseNext(what, "ended ");
      assertEquals([await store.delete(ended), await store.delete(ended)], [true, false]);
      proxy.loseNext(what, to);
      assertEquals((await store.move(from, to, set({ m: 2 })))?.data, { n: 1, m: 2 });
      proxy.loseNext(what, `"m":${round}`);
      const updated = await store.update(made, ({ data, ...record }) => (
        { ...record, data: { n: data["n"] as number + 1, m: round } }
      ));
      assertEquals(updated?.data, { n: 2, m: round });
      proxy.loseNext(what, made);
      assertEquals((await store.read(made))?.data, { n: 2, m: round });
      proxy.loseNext(what, made);
      assertEquals(await store.touch(made, Date.now() + 60_000), true);
      for (const id of [ended, from]) assertEquals(await other.read(id), undefined);
      assertEquals((await other.read(to))?.data, { n: 1, m: 2 });
      assertEquals(proxy.lost, 6 * (round + 1));
    }
    assertEquals(await say(database, "select count(*) from sessions"), ["6"], "no witness is left");
  });
}

test("of a deletion without an answer and a move, one has it", async (database) => {
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: urlOf(database, { port: proxy.port }) });
  await using other = await open({ url: urlOf(database) });
  const ended = [0, 0];
  for (let round = 0; round < 40; round++) {
    const [id, to] = [newId(), newId()];
    await store.create(id, fresh());
    proxy.loseNext(round % 2 ? "request" : "answer", "ended ");
    const [isEnded, moved] = await Promise.all([
      store.delete(id),
      new Promise((resolve) => setTimeout(resolve, Math.random() * 8)).then(() => other.move(id, to, (same) => same)),
    ]);
    assertEquals(isEnded, moved === undefined);
    assertEquals([await other.read(id), await other.read(to) !== undefined], [undefined, !isEnded]);
    ended[Number(isEnded)]!++;
  }
});

test("a lost answer that others' changes cover is not guessed", async (database) => {
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: urlOf(database, { port: proxy.port }) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  // Somebody changes it as soon as it was changed.
  await say(
    database,
    `create function f() returns trigger language plpgsql as $$ begin
    if new.record like '%"n":2%' then new.revision := 'somebody else''s'; end if; return new; end $$;
    create trigger t before update on sessions for each row execute function f()`,
  );
  proxy.loseNext("answer", '"n":2');
  const { message } = await assertRejects(() => store.update(id, set({ n: 2 })), Error);
  assertStringIncludes(message, "an answer was lost");
});

test("connections that fell silent are told in time and replaced", async (database) => {
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: urlOf(database, { port: proxy.port }) });
  const ids = [newId(), newId(), newId()] as const;
  for (const id of ids) await store.create(id, fresh());
  await Promise.all(ids.map((id) => store.read(id)));
  proxy.silence();
  const start = performance.now();
  // New connections work, so that what may be asked again is done; the rest is refused in time.
  const [read, deleted] = await Promise.allSettled([store.read(ids[0]), store.delete(ids[1])]);
  assertEquals([read.status, deleted.status === "fulfilled" && deleted.value], ["rejected", true]);
  assertStringIncludes(String((read as PromiseRejectedResult).reason), "no answer in 2.5 seconds");
  assert(performance.now() - start < 6000);
  assertEquals([await store.read(ids[1]), await store.delete(ids[2])], [undefined, true]);
});

test("who waits for a lock is refused in time, and does nothing later", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  const lock = say(database, "begin; update sessions set idle = idle; select pg_sleep(4); commit");
  await new Promise((resolve) => setTimeout(resolve, 300));
  assertEquals((await store.read(id))?.data, { n: 1 });
  await assertRejects(() => store.update(id, set({ n: 2 })), Error, "PostgreSQL at 127.0.0.1");
  await lock;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assertEquals((await store.read(id))?.data, { n: 1 });
  assertEquals(await say(database, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"), ["0"]);
});

test("connections that lead to a server that only reads are made anew", async (database) => {
  await say(database, `create role app login password '${PASSWORD}'; grant create on schema public to app`);
  try {
    await using store = await open({ url: urlOf(database, { user: "app" }) });
    const id = newId();
    await store.create(id, fresh({ n: 1 }));
    const readOnly = async (value: "on" | "off") => {
      await say(database, `alter role app set default_transaction_read_only = ${value}`);
      if (value === "on") {
        await say(database, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'");
      }
    };
    await readOnly("on");
    for (let round = 0; round < 3; round++) {
      assertEquals((await store.read(id))?.data, { n: 1 }, "reading goes on");
      await assertRejects(() => store.update(id, set({ n: 2 })), Error, "read-only transaction");
      await assertRejects(() => store.delete(id), Error, "read-only transaction");
    }
    await readOnly("off");
    await new Promise((resolve) => setTimeout(resolve, 500));
    assertEquals((await store.update(id, set({ n: 2 })))?.data, { n: 2 });
    assertEquals(await store.delete(id), true);
  } finally {
    await say(database, "drop owned by app cascade; drop role app");
  }
});

test("a password that was changed and changed back is no end of it", async (database) => {
  await say(database, `create role app login password '${PASSWORD}'; grant create on schema public to app`);
  try {
    await using store = await open({ url: urlOf(database, { user: "app" }) });
    const id = newId();
    await store.create(id, fresh({ n: 1 }));
    await say(
      database,
      "alter role app password 'other'; select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'",
    );
    const { message } = await assertRejects(() => store.read(id), Error, "password authentication failed");
    assert(!message.includes(PASSWORD));
    await say(database, `alter role app password '${PASSWORD}'`);
    assertEquals((await store.read(id))?.data, { n: 1 });
  } finally {
    await say(database, "drop owned by app cascade; drop role app");
  }
});

test("connections that were terminated are replaced, without a failure", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const ids = Array.from({ length: 5 }, () => newId());
  for (const id of ids) await store.create(id, fresh({ n: 0 }));
  const increment = ({ data, ...record }: SessionRecord) => ({ ...record, data: { n: data["n"] as number + 1 } });
  for (let n = 1; n <= 40; n++) {
    const updates = Promise.all(ids.map((id) => store.update(id, increment)));
    const all = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sessions'";
    if (n % 4 === 0) await say(database, all);
    assertEquals((await updates).map((record) => record?.data["n"]), ids.map(() => n));
  }
});

test("two tables or schemas in one database are two applications", async (database) => {
  await say(database, "create schema app; create schema other");
  const stores = await Promise.all([
    open({ url: urlOf(database) }),
    open({ url: urlOf(database), table: "Sessions" }),
    open({ url: urlOf(database), table: "app.sessions" }),
    open({ url: urlOf(database, { more: "?schema=other" }), table: "order" }),
    open({ url: urlOf(database), table: "x".repeat(48) }),
  ]);
  const id = newId("Ada");
  for (const [n, store] of stores.entries()) {
    await store.create(id, { ...fresh({ n }), user: "Ada" });
    await store.create(newId(), { ...fresh(), created: 0, idle: 1, expires: 1 });
  }
  assertEquals(await stores[0]!.sweepAll!(), 1);
  for (const [n, store] of stores.entries()) {
    for (const sessions of [store.list!(), store.sessionsOf!("Ada")]) {
      assertEquals((await Array.fromAsync(sessions)).map(([id, { data }]) => [id, data]), [[id, { n }]]);
    }
    assertEquals(await store.delete(id), true);
    assertEquals(await store.sweepAll!(), n === 0 ? 0 : 1);
    await store.close!();
  }
  const tables = "select schemaname || '.' || tablename from pg_tables where schemaname !~ '^(pg_|info)' order by 1";
  assertEquals((await say(database, tables)).length, 5);
  assert((await say(database, tables)).includes("other.order"));
});

test("somebody else's table is refused by name and left alone", async (database) => {
  const theirs = [
    "create table sessions (sid text primary key, sess json, expire timestamp)",
    "create table sessions (id text primary key, record text, revision text, user_hash text)",
    "create view sessions as select 1 as id",
    "create sequence sessions",
  ];
  for (const sql of theirs) {
    await say(database, sql);
    await using store = await open({ url: urlOf(database) });
    for (const verb of [() => store.ready!(), () => store.create(newId(), fresh())]) {
      await assertRejects(
        verb,
        Error,
        'the table "sessions" is there and no table of this store: choose another "table"',
      );
    }
    await using another = await open({ url: urlOf(database), table: "app_sessions" });
    await another.ready!();
    await say(database, `drop ${sql.split(" ")[1]} sessions`);
  }
});

test("a table's name is no way into the database", async () => {
  const Store = await storeClass("postgres");
  const names = [
    "",
    "a b",
    'a"',
    "a;drop table x",
    "a.b.c",
    ".a",
    "a.",
    "1a",
    "a-b",
    "é",
    "x".repeat(49),
    "a'b",
    "a$b",
    "a\n",
  ];
  for (const table of names) {
    assertThrows(() => new Store({ url: urlOf("postgres"), table }), TypeError, '"table" must be');
    assertThrows(
      () => new Store({ url: urlOf("postgres", { more: `?schema=${encodeURIComponent(table || "-")}` }) }),
      TypeError,
    );
  }
  for (const max of [0, -1, NaN]) assertThrows(() => new Store({ url: urlOf("postgres"), max }), RangeError, '"max"');
  assertThrows(() => new Store({}), TypeError, 'one of "url" and "client"');
});

test("privileges that are missing are said at the start", async (database) => {
  await say(database, `create role app login password '${PASSWORD}'`);
  try {
    const url = urlOf(database, { user: "app" });
    {
      await using store = await open({ url });
      await assertRejects(() => store.ready!(), Error, 'the table "sessions" is missing, and the user may not make it');
    }
    await using owner = await open({ url: urlOf(database) });
    await owner.ready!();
    await using store = await open({ url });
    await assertRejects(() => store.ready!(), Error, 'grant select, insert, update, delete on "sessions" to it');
    await say(database, "grant select, insert on sessions to app");
    await assertRejects(() => store.ready!(), Error, 'grant update, delete on "sessions" to it');
    await say(database, "grant update, delete on sessions to app");
    await store.ready!();
    const [id, to] = [newId("Ada"), newId("Ada")];
    await store.create(id, { ...fresh(), user: "Ada" });
    assert(await store.update(id, set({ n: 1 })));
    assert(await store.touch(id, Date.now() + 60_000));
    assert(await store.move(id, to, (same) => same));
    assertEquals((await Array.fromAsync(store.sessionsOf!("Ada"))).length, 1);
    assertEquals((await Array.fromAsync(store.list!())).length, 1);
    assertEquals(await store.delete(to), true);
    assertEquals(await store.sweepAll!(), 0);
  } finally {
    await say(database, "drop owned by app cascade; drop role app");
  }
});

test("of many that start at once, one makes the table", async (database) => {
  const stores = await Promise.all(Array.from({ length: 8 }, () => open({ url: urlOf(database, { more: "?max=1" }) })));
  await Promise.all(stores.map((store) => store.ready!()));
  assertEquals(await say(database, "select count(*) from pg_indexes where tablename = 'sessions'"), ["4"]);
  for (const store of stores) await store.close!();
});

test("a table that was dropped is made anew by the next use but one", async (database) => {
  await using store = await open({ url: urlOf(database) });
  await store.create(newId(), fresh());
  await say(database, "drop table sessions");
  await assertRejects(() => store.create(newId(), fresh()), Error, "does not exist");
  await store.create(newId(), fresh());
  assertEquals(await say(database, "select count(*) from sessions"), ["1"]);
});

test("corrupt records are logged, later ones left, both without an id", async (database) => {
  const lines: string[] = [];
  await using store = await open({ url: urlOf(database), log: (...line) => lines.push(line.join(" ")) });
  const [id, future] = [newId("Ada"), newId()];
  await store.create(id, { ...fresh(), user: "Ada" });
  const newer = '{"version":2,"what":"only a later program knows"}';
  for (const [text, logged] of [[newer, 0], ['{"n":', 5], ["null", 5]] as const) {
    lines.length = 0;
    await say(database, `update sessions set record = '${text}'`);
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, set({ n: 1 })), undefined);
    assertEquals(await store.touch(id, Date.now() + 60_000), false);
    assertEquals(await store.move(id, newId(), set({ n: 1 })), undefined);
    assertEquals(await Array.fromAsync(store.list!()), []);
    assertEquals(await Array.fromAsync(store.sessionsOf!("Ada")), []);
    assertEquals(await store.sweepAll!(), 0);
    assertEquals(await say(database, "select record from sessions"), [text]);
    assertEquals(lines.length, logged, lines.join("\n"));
    assert(!lines.join().includes(id));
  }
  assertEquals(await store.delete(id), false);
  await store.create(future, fresh());
  await say(database, `update sessions set record = '${newer}'`);
  assertEquals([await store.delete(future), await say(database, "select * from sessions")], [true, []]);
});

test("records from the future are not counted, and go with the sweep", async (database) => {
  let now = Date.now() + 86_400_000;
  await using store = await open({ url: urlOf(database), max: 5, now: () => now });
  for (let n = 0; n < 5; n++) {
    const idle = n % 2 ? 60_000 : 10 * 86_400_000;
    await store.create(newId(), { data: {}, created: now, idle, expires: now + idle, deadline: now + idle });
  }
  await assertRejects(() => store.create(newId(), fresh()), Error, "may hold 5 live sessions");
  now -= 86_400_000;
  await new Promise((resolve) => setTimeout(resolve, 600));
  await store.create(newId(), fresh());
  assertEquals((await Array.fromAsync(store.list!())).length, 1);
  assertEquals(await store.sweepAll!(), 5);
});

test("of users whose names are no text, each has their own sessions", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const users = ["\ud800", "\ud801", "\ufffd", "\0"];
  for (const user of users) await store.create(newId(user), { ...fresh({ user }), user });
  for (const user of users) {
    assertEquals((await Array.fromAsync(store.sessionsOf!(user))).map(([, { data }]) => data["user"]), [user]);
  }
});

test("what it looks for it finds by its indexes", async (database) => {
  await using store = await open({ url: urlOf(database) });
  await store.ready!();
  const plan = (where: string) =>
    say(database, `set enable_seqscan = off; explain select id from sessions where ${where}`);
  const [ends, used, user] = [
    "least(expires, deadline) <= 1",
    "greatest(created, (expires - idle)) > 1",
    "user_hash = 'x'",
  ];
  for (const where of [ends, used, user]) assertStringIncludes((await plan(where)).join("\n"), "Index");
});

test("it is protected by TLS as the address asks", async (database) => {
  const dir = `${engine.dir}/data`;
  await make("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", ...[
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "-keyout",
    `${dir}/server.key`,
    "-out",
    `${dir}/server.crt`,
  ]);
  await Deno.chown(`${dir}/server.key`, engine.user.uid ?? null, engine.user.gid ?? null);
  await Deno.chmod(`${dir}/server.key`, 0o600);
  const lines: string[] = [];
  const uses = async (more: string, host = "127.0.0.1") => {
    await using store = await open({
      url: urlOf(database, { more, host }),
      log: (...line) => lines.push(line.join(" ")),
    });
    await store.ready!();
    const [found] = await say(
      database,
      "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'sessions'",
    );
    return found === "t";
  };
  assertEquals(await uses(""), false);
  await assertRejects(() => uses("?sslmode=require"), Error, "PostgreSQL at 127.0.0.1");
  await say("postgres", "alter system set ssl = on");
  await say("postgres", "select pg_reload_conf()");
  await until(async () => assertEquals(await uses("?sslmode=require"), true));
  try {
    assertEquals([await uses(""), await uses("?sslmode=disable"), await uses("?sslmode=prefer")], [true, false, true]);
    for (const mode of ["verify-full", "verify-ca"]) {
      await assertRejects(() => uses(`?sslmode=${mode}`), Error, "PostgreSQL at 127.0.0.1");
      assertEquals(await uses(`?sslmode=${mode}&sslrootcert=${dir}/server.crt`, "localhost"), true);
    }
    await assertRejects(() => uses("?sslmode=verify-full&sslrootcert=/nowhere.pem"), Error, "/nowhere.pem");
    assertEquals(lines, []);
    assertEquals(await uses("?sslmode=require&channel_binding=require"), true);
    assertStringIncludes(lines.join("\n"), '"channel_binding" is not used');
  } finally {
    await say("postgres", "alter system reset ssl");
    await say("postgres", "select pg_reload_conf()");
  }
});

test("it is reached by a socket, IPv6, and as the second of two hosts", async (database) => {
  const addresses = [
    `postgres://tester:${PASSWORD}@/${database}?host=${engine.dir}&port=${engine.port}`,
    `postgres://tester:${PASSWORD}@${encodeURIComponent(engine.dir)}:${engine.port}/${database}`,
    ...(await hasIpv6() ? [urlOf(database, { host: "[::1]" })] : []),
    urlOf(database, { host: `127.0.0.1:${PORT_THAT_REFUSES},127.0.0.1` }),
    urlOf(database, { more: "?application_name=shop&options=-c%20search_path%3Dpublic" }),
  ];
  for (const url of addresses) {
    await using store = await open({ url });
    const id = newId();
    await store.create(id, fresh({ n: 1 }));
    assertEquals((await store.read(id))?.data, { n: 1 });
    assertEquals(await store.delete(id), true);
  }
});

test("of two hosts it takes the one that can be written", async (database) => {
  await using reader = await Engine.start("postgres", ["-c", "default_transaction_read_only=on"]);
  await using store = await open({
    url: urlOf(database, { host: `127.0.0.1:${reader.port},127.0.0.1` }).replace(database, "postgres"),
  });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  assertEquals(await say("postgres", `select count(*) from sessions where id = '${id}'`), ["1"]);
  await say("postgres", "drop table sessions");
});

test("a client of the program's own is used and not closed", async (database) => {
  // deno-lint-ignore no-explicit-any -- the client must not come into the module graph of the tests
  const { default: postgres }: any = await import(["npm:postgres", "3.4.9"].join("@"));
  for (
    const options of [{}, { prepare: false, max: 1, types: { bigint: postgres.BigInt }, transform: postgres.camel }]
  ) {
    const client = postgres(urlOf(database), { ...options, onnotice: () => {} });
    const store = await open({ client });
    const [id, to] = [newId("Ada"), newId("Ada")];
    await store.create(id, { ...fresh({ n: 1 }), user: "Ada" });
    assertEquals((await store.update(id, set({ m: 2 })))?.data, { n: 1, m: 2 });
    assert(await store.touch(id, Date.now() + 60_000));
    assertEquals((await store.move(id, to, set({ k: 3 })))?.data, { n: 1, m: 2, k: 3 });
    assertEquals((await Array.fromAsync(store.sessionsOf!("Ada"))).length, 1);
    assertEquals(await store.delete(to), true);
    await store.close!();
    await assertRejects(() => store.read(id), Error, "the store is closed");
    assertEquals([...await client`select 1 as n`], [{ n: 1 }]);
    await client.end();
  }
});

test("no message holds a password, an id or a visitor's data", async (database) => {
  const lines: string[] = [];
  const log = (...line: unknown[]) => lines.push(line.join(" "));
  const id = newId();
  await using store = await open({ url: urlOf(database), log });
  await store.create(id, fresh({ secret: "visitor's own" }));
  const failures: string[] = [];
  const fail = async (work: () => Promise<unknown>) => failures.push(String(await assertRejects(work)));
  await fail(() => store.create(id, fresh({ secret: "visitor's own" })));
  await say(database, "alter table sessions add constraint c check (false) not valid");
  await fail(() => store.update(id, set({ secret: "visitor's own" })));
  await fail(() => store.create(newId(), fresh({ secret: "visitor's own" })));
  await using unreachable = await open({ url: urlOf(database, { port: PORT_THAT_REFUSES }), log });
  await fail(() => unreachable.ready!());
  await using unknown = await open({ url: urlOf("nowhere"), log });
  await fail(() => unknown.ready!());
  for (const text of [...failures, ...lines]) {
    for (const secret of [PASSWORD, id, "visitor's own"]) assert(!text.includes(secret), text);
  }
  assertStringIncludes(failures[3]!, `127.0.0.1:${PORT_THAT_REFUSES}`);
});

async function hasIpv6(): Promise<boolean> {
  return await Deno.connect({ hostname: "::1", port: engine.port }).then((one) => (one.close(), true), () => false);
}

async function make(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
