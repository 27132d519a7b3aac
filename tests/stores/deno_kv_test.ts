/** The Deno KV store, on files of its own. It needs no server, but Deno's `--unstable-kv`, which deno.json turns on. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { RecordTooLargeError } from "../../lib/errors.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { KeyTakenError, StoreFullError } from "../../lib/store.ts";
import { storeTests, type WriteHooks } from "../../lib/store_suite.ts";
import { KvDatabase } from "../../lib/stores/deno_kv/database.ts";
import { DenoKvStore, type Kv } from "../../lib/stores/deno_kv/store.ts";
import { Clock } from "../../lib/testing.ts";
import { impatiently } from "../support/simulated_time.ts";

const { openKv } = Deno as unknown as { openKv: (path: string) => Promise<Kv> };
const ignore = openKv === undefined;
const MINUTE = 60_000;

const folder = Deno.makeTempDirSync({ prefix: "sessions-denokv-" });
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
let path = `${folder}/${newId()}.kv`;

const suite = storeTests({
  name: "deno kv store",
  open: (options) => new DenoKvStore({ url: `denokv:${path}`, ...options }),
  async openHooked({ now }, hooks) {
    const kv = await openKv(path);
    const store = new DenoKvStore({ client: altered(kv, hooked(hooks)), now });
    const close = store.close.bind(store);
    return Object.assign(store, { close: () => close().then(() => kv.close()) });
  },
  async rewrite(key, edit) {
    const kv = await openKv(path);
    const { value } = await kv.get(["session:", "session", key]);
    const [head, text = ""] = new TextDecoder().decode(value as Uint8Array).split("\n");
    const edited = new TextEncoder().encode(`${head}\n${edit(text)}`);
    await kv.atomic().set(["session:", "session", key], edited, { expireIn: MINUTE }).commit();
    kv.close();
  },
  clear: () => void (path = `${folder}/${newId()}.kv`),
  counts: true,
});
for (const { name, run } of suite) {
  const isLong = name.endsWith("even if others always write first");
  Deno.test({ name, ignore, fn: isLong ? () => impatiently(run) : run });
}

const clock = new Clock();
const record = (data: SessionRecord["data"] = {}, user?: string): SessionRecord => ({
  data,
  created: clock.time,
  idle: MINUTE,
  expires: clock.time + MINUTE,
  deadline: clock.time + 10 * MINUTE,
  ...(user === undefined ? {} : { user }),
});
const set = (data: SessionRecord["data"]) => (record: SessionRecord) => ({ ...record, data });

/** A database, and a store that uses it. */
interface Place {
  path: string;
  kv: Kv;
  store: DenoKvStore;
}

function test(behaviour: string, fn: (place: Place) => Promise<void>): void {
  Deno.test({
    name: `deno kv store: ${behaviour}`,
    ignore,
    async fn() {
      const path = `${folder}/${newId()}.kv`;
      const kv = await openKv(path);
      const store = new DenoKvStore({ client: kv, now: clock.now });
      try {
        await fn({ path, kv, store });
      } finally {
        await store.close();
        kv.close();
      }
    },
  });
}

/** The same database, with another version of one method, or of one method of its atomic steps. */
function altered(
  kv: Kv,
  changes: { commit?: (commit: () => Promise<{ ok: boolean }>) => Promise<{ ok: boolean }> },
): Kv {
  return {
    get: (key) => kv.get(key),
    getMany: (keys) => kv.getMany(keys),
    list: (selector, options) => kv.list(selector, options),
    close: () => kv.close(),
    atomic: () => {
      const atomic = kv.atomic();
      const commit = atomic.commit.bind(atomic);
      atomic.commit = () => changes.commit!(commit);
      return atomic;
    },
  };
}

/** Atomic steps with some work around each commit. */
function hooked({ before, after }: WriteHooks) {
  return {
    commit: async (commit: () => Promise<{ ok: boolean }>) => {
      await before();
      const outcome = await commit();
      await after();
      return outcome;
    },
  };
}

async function keys(kv: Kv): Promise<string[]> {
  const entries = await Array.fromAsync(kv.list({ prefix: [] }));
  return entries.map(({ key }) => key.slice(0, 2).join(" ")).sort();
}

test("programs with different prefixes share no session", async ({ kv, store }) => {
  const other = new DenoKvStore({ client: kv, prefix: "session:b", now: clock.now, max: 2 });
  const id = newId();
  await store.create(id, record({ n: 1 }, "Ada"));
  await store.create(newId(), record());
  assertEquals(await other.read(id), undefined);
  assertEquals(await other.update(id, set({ n: 2 })), undefined);
  assertEquals(await other.touch(id, clock.time + MINUTE), false);
  assertEquals(await other.delete(id), false);
  assertEquals(await other.move(id, newId(), set({})), undefined);
  assertEquals(await Array.fromAsync(other.list!()), []);
  assertEquals(await Array.fromAsync(other.sessionsOf!("Ada")), []);
  for (let n = 0; n < 2; n++) await other.create(newId(), record());
  await assertRejects(() => other.create(newId(), record()), StoreFullError);
  clock.pass(60);
  assertEquals(await other.sweepAll!(), 2);
  assertEquals(await store.sweepAll!(), 2);
});

test("its maximum counts the sessions of other processes too", async ({ kv }) => {
  const open = () => new DenoKvStore({ client: kv, now: clock.now, max: 3 });
  const [store, other] = [open(), open()];
  const ids = [newId(), newId(), newId()];
  for (const id of ids) await store.create(id, record());
  await assertRejects(() => other.create(newId(), record()), StoreFullError, "3 live sessions");
  assert(await store.move(ids[0]!, newId(), set({})), "a move is no new session");
  await store.delete(ids[1]!);
  await store.create(newId(), record());
  await assertRejects(() => store.create(newId(), record()), StoreFullError);
  clock.pass(60);
  await new Promise((resolve) => setTimeout(resolve, 600));
  await store.create(newId(), record());
  await store.close();
});

test("a session that is too large is refused, and the old one stays", async ({ store }) => {
  const id = newId();
  await store.create(id, record({ n: 1 }));
  const big = { text: "ä".repeat(33_000) };
  const limit = "65327 bytes";
  await assertRejects(() => store.create(newId(), record(big)), RecordTooLargeError, limit);
  await assertRejects(() => store.update(id, set(big)), RecordTooLargeError, limit);
  await assertRejects(() => store.move(id, newId(), set(big)), RecordTooLargeError, limit);
  assertEquals((await store.read(id))?.data, { n: 1 });
  const most = record({ text: "" });
  const { length } = JSON.stringify({ version: 1, ...most });
  const text = "x".repeat(65_327 - length);
  await store.update(id, set({ text }));
  assertEquals((await store.read(id))?.data, { text });
});

test("1,000 changes from four real processes are all made", async ({ path, store }) => {
  const id = newId();
  const url = `denokv:${path}`;
  const now = Date.now();
  await store.create(id, { data: { n: 0 }, created: now, idle: MINUTE, expires: now + MINUTE, deadline: now + MINUTE });
  const root = new URL("../../", import.meta.url).pathname;
  const script = new URL("increment.ts", import.meta.url).pathname;
  const args = [
    "run",
    "--quiet",
    "--no-check",
    "--unstable-kv",
    `--lock=${root}tests/deno.lock`,
    "--allow-all",
    script,
  ];
  const processes = [1, 2, 3, 4].map(() =>
    new Deno.Command(Deno.execPath(), { args: [...args, "denokv", id, JSON.stringify({ url })] }).output()
  );
  for (const { success, stderr } of await Promise.all(processes)) assert(success, new TextDecoder().decode(stderr));
  const reader = new DenoKvStore({ url });
  assertEquals((await reader.read(id))?.data, { n: 1000 });
  await reader.close();
});

test("of 200 sessions used near their end, no extended one is lost", async ({ kv }) => {
  // The sessions live longer than in the tests of other stores, because two processes share a file.
  const [store, other] = [new DenoKvStore({ client: kv }), new DenoKvStore({ client: kv })];
  /** Uses sessions. Returns how many of them were extended; 0 if a call got no answer in time on a busy machine. */
  const use = async (slowness: number): Promise<number> => {
    const later = async (milliseconds: number) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * milliseconds * slowness));
    };
    const lives = Array.from({ length: 200 }, (_, index) => {
      const [created, idle] = [Date.now(), (800 + 2 * index) * slowness];
      return { id: newId(), data: {}, created, idle, expires: created + idle, deadline: created + MINUTE };
    });
    // The groups are small, because a call may take a second.
    for (let at = 0; at < lives.length; at += 20) {
      await Promise.all(lives.slice(at, at + 20).map(({ id, ...made }) => store.create(id, made)));
    }
    const sweepers = [store, other].map(async (one) => {
      for (let step = 0; step < 10; step++) {
        await later(200);
        await one.sweepAll!();
      }
    });
    const outcomes = await Promise.allSettled(lives.map(async ({ id, expires }, index) => {
      const one = index % 2 ? store : other;
      await later(1600);
      const longer = (record: SessionRecord) => ({ ...record, idle: MINUTE, expires: Date.now() + MINUTE });
      const isUsed = index % 4 < 2 ? await one.touch(id, Date.now() + MINUTE) : Boolean(await one.update(id, longer));
      if (!isUsed) assert(Date.now() >= expires, "it ended before its time");
      await Promise.all(sweepers);
      assertEquals(await other.read(id) !== undefined, isUsed);
      return isUsed;
    }));
    const failures = outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }) => reason);
    for (const failure of failures) if (!/no answer in/.test(String(failure))) throw failure;
    if (failures.length > 0) return 0;
    return outcomes.filter((outcome) => outcome.status === "fulfilled" && outcome.value).length;
  };
  for (const slowness of [1, 2, 4, 8]) {
    const extended = await use(slowness);
    if (extended > 0 && extended < 200) return;
  }
  throw new Error("Only the boundary tests anything: all were extended, or none");
});

test("a session and its user's entry are made and removed together", async ({ kv, store }) => {
  const [key, to] = [newId(), newId()];
  const lives: number[] = [];
  const noting: Kv = {
    ...altered(kv, {}),
    atomic: () => {
      const atomic = kv.atomic();
      const set = atomic.set.bind(atomic);
      atomic.set = (key, value, options) => {
        lives.push(options.expireIn);
        return set(key, value, options);
      };
      return atomic;
    },
  };
  const other = new DenoKvStore({ client: noting, now: clock.now });
  await other.create(key, record({}, "Ada"));
  assertEquals([await keys(kv), lives.splice(0)], [["session: session", "session: user"], [2 * MINUTE, 2 * MINUTE]]);
  await other.move(key, to, set({}));
  assertEquals(lives.splice(0), Array(4).fill(2 * MINUTE));
  await other.update(to, (record) => ({ ...record, idle: 5 * MINUTE, expires: clock.time + 5 * MINUTE }));
  assertEquals(lives.splice(0), [6 * MINUTE, 6 * MINUTE]);
  await other.delete(to);
  assertEquals(lives.splice(0), [2 * MINUTE, 2 * MINUTE]);
  assertEquals(await Array.fromAsync(store.sessionsOf!("Ada")), []);
});

test("users whose names are not well-formed have their own sessions", async ({ store }) => {
  const id = newId();
  await store.create(id, record({}, "\ud800"));
  assertEquals((await Array.fromAsync(store.sessionsOf!("\ud800"))).map(([id]) => id), [id]);
  assertEquals(await Array.fromAsync(store.sessionsOf!("\ud801")), []);
});

test("a corrupt record reads as no session, and stays stored", async ({ kv }) => {
  const logged: string[] = [];
  const log = (level: string, event: string) => void logged.push(`${level} ${event}`);
  const store = new DenoKvStore({ client: kv, now: clock.now, log });
  const values = {
    "a number": 1,
    "no mark": new TextEncoder().encode("{}"),
    "a mark alone": new TextEncoder().encode("0123abcd.1"),
    "half a string": new TextEncoder().encode('0123abcd.1\n{"vers'),
  };
  for (const [what, value] of Object.entries(values)) {
    const id = newId();
    const key = ["session:", "session", id];
    await kv.atomic().set(key, value, { expireIn: MINUTE }).commit();
    logged.length = 0;
    assertEquals(await store.read(id), undefined, what);
    assertEquals(logged, ["warn A corrupt session record counts as no session"], what);
    assertEquals(await store.delete(id), false, what);
    assertEquals(await store.touch(id, clock.time + MINUTE), false, what);
    await assertRejects(() => store.create(id, record()), KeyTakenError);
    assertEquals(await store.sweepAll!(), 0, what);
    assertEquals((await kv.get(key)).value, value, what);
  }
});

test("if its file is moved or replaced, verbs fail until it is back", async ({ path }) => {
  const own = `${path}.own`;
  const open = () => new DenoKvStore({ url: `denokv:${own}`, now: clock.now });
  const [store, key] = [open(), newId()];
  await store.create(key, record({ n: 1 }, "Ada"));
  assert(await store.read(key));
  const verbs: (() => Promise<unknown>)[] = [
    () => store.create(newId(), record()),
    () => store.update(key, set({ n: 2 })),
    () => store.touch(key, clock.time + MINUTE),
    () => store.delete(key),
    () => store.move(key, newId(), set({ n: 2 })),
    () => store.read(newId()),
    () => Array.fromAsync(store.sessionsOf!("Ada")),
    () => Array.fromAsync(store.list!()),
    () => store.deleteMany!([key]),
    () => store.ready(),
  ];
  const parts = ["", "-shm", "-wal"];
  for (const part of parts) await Deno.rename(own + part, `${own}.away${part}`);
  const allFail = async () => {
    const message = "its file was moved or replaced while it was in use";
    await impatiently(async () => {
      for (const verb of verbs) await assertRejects(verb, Error, message);
    });
  };
  await allFail();
  assertEquals(await Deno.stat(own).catch(() => "none"), "none", "it is not made again");
  const other = open();
  await other.create(key, record({ n: 3 }));
  await allFail();
  await other.close();
  for (const part of parts) await Deno.rename(`${own}.away${part}`, own + part);
  assertEquals((await store.read(key))?.data, { n: 1 });
  await Deno.rename(`${own}-wal`, `${own}.away-wal`);
  await allFail();
  await Deno.rename(`${own}.away-wal`, `${own}-wal`);
  assertEquals(await store.delete(key), true);
  await store.close();
});

test("only this user can read the files and the folder that it makes", async ({ path }) => {
  const folder = `${path}.folder/sessions`;
  const store = new DenoKvStore({ url: `denokv:${folder}/x.kv` });
  await store.ready();
  const mode = (path: string) => Deno.statSync(path).mode! & 0o777;
  assertEquals(mode(folder), 0o700);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  assertEquals(names, ["x.kv", "x.kv-shm", "x.kv-wal"]);
  for (const name of names) assertEquals(mode(`${folder}/${name}`), 0o600);
  await store.close();
});

test("a verb fails in time if the engine is silent", async ({ kv }) => {
  const silent: Kv = { ...altered(kv, {}), get: () => new Promise(() => {}) };
  const store = new DenoKvStore({ client: silent });
  await Promise.all([
    assertRejects(() => store.read(newId()), Error, "no answer in 1 seconds"),
    assertRejects(() => store.ready(), Error, "no answer"),
  ]);
});

test("a database in memory stays open after a call without an answer", async () => {
  const database = new KvDatabase("denokv::memory:", undefined);
  await database.open();
  await database.forWrite().atomic().set(["key"], "value", { expireIn: MINUTE }).commit();
  database.reconnect();
  await database.open();
  assertEquals((await database.forRead().get(["key"])).value, "value");
  await database.close();
});

Deno.test("deno kv store: options that it cannot use are refused", () => {
  const wrong = ["denokv:", "denokv://host/db", "sqlite:x", "/a/path", "https://", "redis://x"];
  for (const url of wrong) assertThrows(() => new DenoKvStore({ url }), TypeError, "must be denokv:PATH");
  const error = assertThrows(() => new DenoKvStore({ url: "https://user:secret@host/x" }), TypeError, "ACCESS_TOKEN");
  assert(!error.message.includes("secret"));
  assertThrows(() => new DenoKvStore({ url: "https://host/x#y" }), TypeError, "must be denokv:PATH");
  assertThrows(() => new DenoKvStore({ url: "" }), TypeError, "url");
  assertThrows(() => new DenoKvStore({ prefix: "" }), TypeError, "prefix");
  assertThrows(() => new DenoKvStore({ prefx: "a" } as never), TypeError, 'no option "prefx"');
  assertThrows(() => new DenoKvStore({ max: NaN }), RangeError, "max");
  for (const client of [{}, { get: () => {} }, new Map()]) {
    assertThrows(() => new DenoKvStore({ client: client as never }), TypeError, '"client" must be a Deno.Kv');
  }
  const client = { get() {}, getMany() {}, list() {}, atomic() {} } as unknown as Kv;
  assertThrows(() => new DenoKvStore({ url: "denokv::memory:", client }), TypeError, '"url" or "client"');
  new DenoKvStore({ url: "https://host/databases/1/connect", prefix: undefined, max: undefined, now: undefined });
});

Deno.test("deno kv store: without --unstable-kv the error names the flag", async () => {
  const module = new URL("../../lib/stores/deno_kv/store.ts", import.meta.url).href;
  const script = `import { DenoKvStore } from ${JSON.stringify(module)};
    await new DenoKvStore({ url: "denokv::memory:" }).ready();`;
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", `data:application/typescript,${encodeURIComponent(script)}`],
    env: { NO_COLOR: "1" },
  }).output();
  assertMatch(new TextDecoder().decode(stderr), /Deno KV at ":memory:": it needs Deno, started with "--unstable-kv"/);
});
