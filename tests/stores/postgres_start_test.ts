/** How PostgresStore reaches its sessions: tables, privileges, TLS, sockets, several hosts, clients. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { engine, open, say, test, urlOf } from "./postgres_place.ts";
import { fresh, set, storeClass } from "./shared.ts";

const PORT_THAT_REFUSES = 9;

/** Repeats some work until it succeeds. */
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

test("programs with different tables or schemas share no session", async (database) => {
  await say(database, "create schema app; create schema other");
  const stores = await Promise.all([
    open({ url: urlOf(database) }),
    open({ url: urlOf(database), table: "Sessions" }),
    open({ url: urlOf(database), table: "app.sessions" }),
    open({ url: urlOf(database, { more: "?schema=other" }), table: "order" }),
    open({ url: urlOf(database), table: "x".repeat(48) }),
  ]);
  const id = newId();
  for (const [n, store] of stores.entries()) {
    await store.create(id, { ...fresh({ n }), user: "Ada" });
    await store.create(newId(), { ...fresh(), created: 0, idle: 1, expires: 1 });
  }
  assertEquals(await stores[0]!.sweepAll!(), 1);
  for (const [n, store] of stores.entries()) {
    for (const sessions of [store.list!(), store.sessionsOf!("Ada")]) {
      assertEquals((await Array.fromAsync(sessions)).map(([key, record]) => [key, record?.data]), [[id, { n }]]);
    }
    assertEquals(await store.delete(id), true);
    assertEquals(await store.sweepAll!(), n === 0 ? 0 : 1);
    await store.close!();
  }
  const tables = "select schemaname || '.' || tablename from pg_tables where schemaname !~ '^(pg_|info)' order by 1";
  assertEquals((await say(database, tables)).length, 5);
  assert((await say(database, tables)).includes("other.order"));
});

/** The columns of a table of this store. */
const COLUMNS = "key text primary key, content text not null, version text not null, user_hash text, " +
  "until double precision not null, used double precision";

test("a database that is not in UTF8 is refused by name", async (database) => {
  for (const encoding of ["LATIN1", "SQL_ASCII"]) {
    const other = `${database}_${encoding.toLowerCase()}`;
    await say("postgres", `create database ${other} encoding '${encoding}' locale 'C' template template0`);
    try {
      await using store = await open({ url: urlOf(other) });
      for (const verb of [() => store.ready!(), () => store.create(newId(), fresh())]) {
        await assertRejects(verb, Error, `the database must be in UTF8: it is in ${encoding}`);
      }
    } finally {
      await say("postgres", `drop database ${other} with (force)`);
    }
  }
});

test("a table whose rows are hidden by row security is refused", async (database) => {
  await say(database, `create role app login password '${PASSWORD}'`);
  try {
    await using owner = await open({ url: urlOf(database) });
    await owner.ready!();
    await say(database, "grant select, insert, update, delete on sessions to app");
    await say(database, "alter table sessions enable row level security");
    await say(database, "create policy mine on sessions using (user_hash is null) with check (true)");
    await using store = await open({ url: urlOf(database, { user: "app" }) });
    for (const verb of [() => store.ready!(), () => store.create(newId(), fresh())]) {
      await assertRejects(verb, Error, 'row security hides rows of "sessions" from the user');
    }
    await owner.ready!();
    await say(database, "alter table sessions disable row level security");
    await store.ready!();
  } finally {
    await say(database, "drop owned by app cascade; drop role app");
  }
});

test("transactions that conflicts have rolled back are repeated", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const key = newId();
  await store.create(key, fresh());
  await say(
    database,
    `create sequence undone;
    create function f() returns trigger language plpgsql as $$ begin
    case nextval('undone') % 4 when 0 then return new; when 1 then raise exception sqlstate '40P01';
    else raise exception sqlstate '40001'; end case; end $$;
    create trigger t before update on sessions for each row execute function f()`,
  );
  for (let n = 1; n <= 3; n++) assertEquals((await store.update(key, set({ n })))?.data, { n });
  assertEquals(await store.delete(key), true);
  assertEquals(await say(database, "select last_value from undone"), ["16"]);
});

test("conflicting serializable transactions are repeated", async (database) => {
  await say(database, `alter database ${database} set default_transaction_isolation = serializable`);
  const stores = await Promise.all(Array.from({ length: 4 }, () => open({ url: urlOf(database) })));
  const keys = Array.from({ length: 15 }, () => newId());
  await Promise.all(keys.map((key) => stores[0]!.create(key, { ...fresh({ n: 0 }), user: "Ada" })));
  for (let round = 0; round < 5; round++) {
    await Promise.all(stores.flatMap((store, index) => [
      ...keys.map((key) => store.update(key, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }))),
      ...(index === 0 ? [store.create(newId(), fresh()), store.sweepAll!(), Array.fromAsync(store.list!())] : []),
    ]));
  }
  for (const key of keys) assertEquals((await stores[1]!.read(key))?.data, { n: 20 });
  const ended = await Promise.all(stores.map((store) => store.deleteMany!(keys)));
  assertEquals(ended.flat().sort(), keys.toSorted());
  for (const store of stores) await store.close!();
});

test("another program's table is refused by name, and unchanged", async (database) => {
  const theirs = [
    "create table sessions (sid text primary key, sess json, expire timestamp)",
    `create table sessions (${COLUMNS.replace("version text not null, ", "")})`,
    `create table sessions (${COLUMNS.replace("key text", "key varchar(40)")})`,
    `create table sessions (${COLUMNS.replace("until double precision", "until bigint")})`,
    `create table sessions (${COLUMNS.replace("content text not null", "content text")})`,
    `create table sessions (${COLUMNS.replace(" primary key", " not null")})`,
    `create table sessions (${COLUMNS}, more integer)`,
    "create view sessions as select 1 as key",
    "create sequence sessions",
  ];
  for (const sql of theirs) {
    await say(database, sql);
    await using store = await open({ url: urlOf(database) });
    for (const verb of [() => store.ready!(), () => store.create(newId(), fresh())]) {
      await assertRejects(
        verb,
        Error,
        'the table "sessions" is not a table of this store: choose another "table"',
      );
    }
    await using another = await open({ url: urlOf(database), table: "app_sessions" });
    await another.ready!();
    await say(database, `drop ${sql.split(" ")[1]} sessions`);
  }
});

test("the name of a table cannot contain SQL", async () => {
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
  for (const max of [0.5, -1, NaN, Infinity]) {
    assertThrows(() => new Store({ url: urlOf("postgres"), max }), RangeError, '"max"');
  }
  assertThrows(() => new Store({}), TypeError, 'one of "url" and "client"');
  // A Pool of the package "pg".
  for (const client of [{ connect() {}, query() {}, end() {}, on() {} }, {}, urlOf("postgres"), null]) {
    assertThrows(() => new Store({ client }), TypeError, 'a client of the package "postgres"');
  }
  const more = { tabel: "x" };
  assertThrows(() => new Store({ url: urlOf("postgres"), ...more }), TypeError, 'no option "tabel"');
});

test("the error at the start names the missing privileges", async (database) => {
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
    const [id, to] = [newId(), newId()];
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

test("the first session or sweep makes the table without a failure", async (database) => {
  const lines: unknown[][] = [];
  const log = (...line: unknown[]) => void lines.push(line);
  await using store = await open({ url: urlOf(database), log });
  await store.create(newId(), fresh());
  await using other = await open({ url: urlOf(database), table: "others", log });
  assertEquals([await other.sweepAll!(), lines], [0, []]);
});

test("if many stores start at the same time, one makes the table", async (database) => {
  const stores = await Promise.all(Array.from({ length: 8 }, () => open({ url: urlOf(database, { more: "?max=1" }) })));
  await Promise.all(stores.map((store) => store.ready!()));
  assertEquals(await say(database, "select count(*) from pg_indexes where tablename = 'sessions'"), ["4"]);
  for (const store of stores) await store.close!();
});

test("users whose names are not well-formed have their own sessions", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const users = ["\ud800", "\ud801", "\ufffd", "\0"];
  for (const user of users) await store.create(newId(), { ...fresh({ user }), user });
  for (const user of users) {
    assertEquals((await Array.fromAsync(store.sessionsOf!(user))).map(([, record]) => record?.data["user"]), [user]);
  }
});

test("queries use the indexes", async (database) => {
  await using store = await open({ url: urlOf(database) });
  await store.ready!();
  const plan = (where: string) =>
    say(database, `set enable_seqscan = off; explain select key from sessions where ${where}`);
  for (const where of ["until <= 1", "used > 1", "user_hash = 'x'"]) {
    assertStringIncludes((await plan(where)).join("\n"), "Index");
  }
});

test("TLS is used as the address says", async (database) => {
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

test("it connects to a socket, IPv6, and the second of two hosts", async (database) => {
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

test("of a hot standby and its primary, the store uses the primary", async () => {
  await using primary = await Engine.start("postgres");
  await using standby = await primary.standby();
  await using store = await open({
    url: `postgres://tester:${PASSWORD}@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/postgres`,
  });
  await store.ready!();
  const [id, to] = [newId(), newId()];
  await store.create(id, fresh({ n: 1 }));
  assert(await store.move(id, to, set({ n: 2 })));
  await until(async () => {
    await using reader = await open({ url: standby.url });
    await assertRejects(() => reader.ready!(), Error, "read-only transaction");
    // The store does not read from the standby, either.
    await assertRejects(() => reader.read(to), Error, "read-only transaction");
  });
  await primary.kill();
  await standby.promote();
  await until(async () => assertEquals((await store.update(to, set({ n: 3 })))?.data, { n: 3 }));
  assertEquals(await store.delete(to), true);
});

test("of two hosts, the store uses the one that accepts writes", async (database) => {
  await using reader = await Engine.start("postgres", ["-c", "default_transaction_read_only=on"]);
  await using store = await open({
    url: urlOf(database, { host: `127.0.0.1:${reader.port},127.0.0.1` }).replace(database, "postgres"),
  });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  assertEquals(await say("postgres", `select count(*) from sessions where key = '${id}'`), ["1"]);
  await say("postgres", "drop table sessions");
});

test("a client that the program gives is used, and stays open", async (database) => {
  // deno-lint-ignore no-explicit-any -- the client must not come into the module graph of the tests
  const { default: postgres }: any = await import(["npm:postgres", "3.4.9"].join("@"));
  for (
    const options of [{}, { prepare: false, max: 1, types: { bigint: postgres.BigInt }, transform: postgres.camel }]
  ) {
    const client = postgres(urlOf(database), { ...options, onnotice: () => {} });
    const store = await open({ client });
    const [id, to] = [newId(), newId()];
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

async function hasIpv6(): Promise<boolean> {
  return await Deno.connect({ hostname: "::1", port: engine.port }).then((one) => (one.close(), true), () => false);
}

async function make(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
