/** Faults of PostgresStore: lost answers, unusable connections, locks, unusable records. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { type Log, silent } from "../../lib/log.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { PASSWORD } from "./engines.ts";
import { engine, open, say, test, urlOf } from "./postgres_place.ts";
import { fresh, set } from "./shared.ts";

const PORT_THAT_REFUSES = 9;

async function versionOf(database: string, key: string): Promise<string> {
  return (await say(database, `select version from sessions where key = '${key}'`))[0]!;
}

for (const what of ["request", "answer"] as const) {
  test(`a verb whose ${what} is lost is done once`, async (database) => {
    await using proxy = new LossyProxy(engine.port);
    await using store = await open({ url: urlOf(database, { port: proxy.port }) });
    await using other = await open({ url: urlOf(database) });
    for (let round = 0; round < 3; round++) {
      const [made, ended, from, to] = [newId(), newId(), newId(), newId()];
      proxy.loseNext(what, made);
      await store.create(made, fresh({ n: 1 }));
      for (const id of [ended, from]) await store.create(id, fresh({ n: 1 }));
      // A write contains the version that it replaces. A read does not.
      proxy.loseNext(what, await versionOf(database, ended));
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
      const expires = Date.now() + 60_000;
      proxy.loseNext(what, `"expires":${expires}`);
      assertEquals(await store.touch(made, expires), true);
      const many = [newId(), newId()];
      for (const key of many) await store.create(key, fresh({ round }));
      proxy.loseNext(what, `"seen"`);
      assertEquals([await store.deleteMany!(many), await store.deleteMany!(many)], [many, []]);
      for (const id of [ended, from, ...many]) assertEquals(await other.read(id), undefined);
      assertEquals((await other.read(to))?.data, { n: 1, m: 2 });
      assertEquals(proxy.lost, 7 * (round + 1));
    }
    assertEquals(await say(database, "select count(*) from sessions where used is not null"), ["6"]);
  });
}

test("of a delete whose answer is lost and a move, one succeeds", async (database) => {
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: urlOf(database, { port: proxy.port }) });
  await using other = await open({ url: urlOf(database) });
  const ended = [0, 0];
  for (let round = 0; round < 40; round++) {
    const [id, to] = [newId(), newId()];
    await store.create(id, fresh());
    proxy.loseNext(round % 2 ? "request" : "answer", await versionOf(database, id));
    const [isEnded, moved] = await Promise.all([
      store.delete(id),
      new Promise((resolve) => setTimeout(resolve, Math.random() * 8)).then(() => other.move(id, to, (same) => same)),
    ]);
    assertEquals(isEnded, moved === undefined);
    assertEquals([await other.read(id), await other.read(to) !== undefined], [undefined, !isEnded]);
    ended[Number(isEnded)]!++;
  }
});

test("a change whose answer is lost is found below another's change", async (database) => {
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: urlOf(database, { port: proxy.port }) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  // The trigger acts like another process that changes the session immediately after each change.
  await say(
    database,
    `create function f() returns trigger language plpgsql as $$ begin
    new.content := 'ffffffff.1,' || new.content; new.version := 'ffffffff.1'; return new; end $$;
    create trigger t before update on sessions for each row execute function f()`,
  );
  proxy.loseNext("answer", '"n":2');
  assertEquals((await store.update(id, set({ n: 2 })))?.data, { n: 2 });
  assertEquals(proxy.lost, 1);
});

test("verbs fail in time if connections are silent, which are replaced", async (database) => {
  await using proxy = new LossyProxy(engine.port);
  await using store = await open({ url: urlOf(database, { port: proxy.port }) });
  const ids = [newId(), newId(), newId()] as const;
  for (const id of ids) await store.create(id, fresh());
  await Promise.all(ids.map((id) => store.read(id)));
  proxy.silence();
  for (const outcome of await Promise.allSettled([store.read(ids[0]), store.delete(ids[1])])) {
    assertStringIncludes(String((outcome as PromiseRejectedResult).reason), "no answer in");
  }
  assertEquals([(await store.read(ids[0]))?.data, await store.delete(ids[1])], [{}, true]);
});

test("close waits for the running verbs, and later verbs are refused", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const ids = Array.from({ length: 30 }, () => newId());
  for (const id of ids) await store.create(id, fresh());
  const work = ids.map((id, n) => n % 3 ? store.update(id, set({ n })) : store.delete(id));
  await store.close!();
  for (const done of await Promise.all(work)) assert(done);
  await assertRejects(() => store.read(ids[1]!), Error, "the store is closed");
});

test("a verb that waits for a lock fails, and has no late effect", async (database) => {
  await using store = await open({ url: urlOf(database) });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  const lock = say(database, "begin; update sessions set until = until; select pg_sleep(4); commit");
  // If the test ends first, this ends with the database.
  lock.catch(() => {});
  const locks = "select 1 from pg_locks where relation = 'sessions'::regclass and mode = 'RowExclusiveLock'";
  while ((await say(database, locks)).length === 0);
  assertEquals((await store.read(id))?.data, { n: 1 });
  await assertRejects(() => store.update(id, set({ n: 2 })), Error, "PostgreSQL at 127.0.0.1");
  await lock;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assertEquals((await store.read(id))?.data, { n: 1 });
  assertEquals(await say(database, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"), ["0"]);
});

test("a burst of verbs waits for the connections of a slow database", async (database) => {
  await using store = await open({ url: urlOf(database, { more: "?max=2" }) });
  const key = newId();
  await store.create(key, fresh({ n: 1 }));
  await say(
    database,
    `alter table sessions rename to plain;
    create view sessions as select * from plain where pg_sleep(0.05) is not null`,
  );
  // With two connections they take one and a half seconds.
  const read = await Promise.allSettled(Array.from({ length: 60 }, () => store.read(key)));
  assertEquals(read.filter(({ status }) => status === "rejected"), []);
  assertEquals((await store.update(key, set({ n: 2 })))?.data, { n: 2 });
});

test("connections to a read-only server are replaced", async (database) => {
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

test("after a wrong password is corrected, the store works again", async (database) => {
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

test("terminated connections are replaced, and no verb fails", async (database) => {
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

test("the next use makes a dropped table again", async (database) => {
  await using store = await open({ url: urlOf(database) });
  await store.create(newId(), fresh());
  await say(database, "drop table sessions");
  await store.create(newId(), fresh());
  assertEquals(await say(database, "select count(*) from sessions"), ["1"]);
});

test("corrupt records are logged and stay, later versions can be ended", async (database) => {
  const lines: string[] = [];
  await using store = await open({ url: urlOf(database), log: (...line) => lines.push(line.join(" ")) });
  const id = newId();
  await store.create(id, { ...fresh(), user: "Ada" });
  const newer = '{"version":2,"what":"only a later program knows"}';
  for (const [text, found] of [[newer, [[id, undefined]]], ['{"n":', []], ["null", []]] as const) {
    lines.length = 0;
    await say(database, `update sessions set content = e'0123abcd.1\\n${text}'`);
    assertEquals(await store.read(id), undefined);
    assertEquals(await store.update(id, set({ n: 1 })), undefined);
    assertEquals(await store.touch(id, Date.now() + 60_000), false);
    assertEquals(await store.move(id, newId(), set({ n: 1 })), undefined);
    assertEquals(await Array.fromAsync(store.list!()), []);
    assertEquals(await Array.fromAsync(store.sessionsOf!("Ada")), found);
    assertEquals(await store.sweepAll!(), 0);
    assertEquals(await say(database, "select content from sessions"), ["0123abcd.1", text]);
    assertEquals(lines.length > 0, text !== newer, lines.join("\n"));
  }
  assertEquals(await store.delete(id), false);
  for (
    const end of [(key: string) => store.delete(key), async (key: string) => (await store.deleteMany!([key])).length]
  ) {
    await say(database, `update sessions set content = e'0123abcd.1\\n${newer}'`);
    assert(await end(id));
    assertEquals(await Array.fromAsync(store.sessionsOf!("Ada")), []);
  }
});

test("records from the future are not counted, and are swept", async (database) => {
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

test("no message shows a password or a visitor's data", async (database) => {
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
    for (const secret of [PASSWORD, "visitor's own"]) assert(!text.includes(secret), text);
  }
  assertStringIncludes(failures[3]!, `127.0.0.1:${PORT_THAT_REFUSES}`);
});

test("a count may take longer than a verb, and comes after the table is made", async (database) => {
  const messages: string[] = [];
  const log: Log = (_level, message, detail) => void messages.push(`${message} ${detail}`);
  {
    await using store = await open({ url: urlOf(database), max: 2, log });
    await store.create(newId(), fresh());
  }
  await using store = await open({ url: urlOf(database), max: 2, log });
  await store.read(newId());
  const locked = say(database, "begin; lock table sessions; select pg_sleep(1.5); commit");
  while ((await say(database, "select 1 from pg_locks where mode = 'AccessExclusiveLock' and granted")).length === 0);
  await store.create(newId(), fresh()).catch(() => {});
  await locked;
  assertEquals(messages, []);
});

test("the sweep of an operator needs no other verb before it", async (database) => {
  await using store = await open({ url: urlOf(database) });
  assertEquals(await store.sweepAll!(), 0);
});

test("a silent host is left for the next one, at the start and while requests come", async (database) => {
  // As a machine without power, this host answers nothing.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using proxy = new LossyProxy(engine.port);
  const hosts = (port: number) => urlOf(database, { port }).replace(/\/(?=test_)/, `,127.0.0.1:${engine.port}/`);
  await using store = await open({ url: hosts(proxy.port) });
  const key = newId();
  await store.create(key, fresh());
  proxy.silence();
  proxy.target = silent.addr.port;
  const reads: Promise<boolean>[] = [];
  for (let n = 0; n < 50; n++) {
    reads.push(store.read(key).then((record) => record !== undefined, () => false));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals((await Promise.all(reads)).slice(40), Array(10).fill(true));
  await using later = await open({ url: hosts(silent.addr.port) });
  await later.ready!();
  assert(await later.read(key));
});

test("no other statement waits behind a long one", async (database) => {
  const { PostgresPool } = await import(import.meta.resolve("../../lib/stores/postgres/pool.ts"));
  const pool = new PostgresPool({ url: urlOf(database), log: silent });
  await pool.ask("select 1");
  const order: string[] = [];
  const long = pool.askLong("select 2 as n, pg_sleep(1.5)", 5000).then(([row]: [{ n: number }]) => {
    order.push("long");
    return row.n;
  });
  for (let n = 0; n < 60; n++) await Promise.all([1, 2, 3].map(() => pool.ask("select 1")));
  await Promise.all(Array.from({ length: 60 }, () => pool.ask("select 1"))).then(() => order.push("others"));
  assertEquals([await long, order], [2, ["others", "long"]]);
  await pool.close();
});
