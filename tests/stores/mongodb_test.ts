/** The MongoDB store, on a server that `TEST_MONGODB_SERVER` starts. The suite also runs at `TEST_MONGODB_URL`. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { KeyTakenError, type SessionStore, StoreFullError } from "../../lib/store.ts";
import { LossyProxy } from "../support/lossy_proxy.ts";
import { hasServer, MongoServer } from "./mongodb_server.ts";
import { fresh, set, type SharedOptions, storeClass, testSharedStore } from "./shared.ts";

const server = hasServer ? await MongoServer.start() : undefined;
addEventListener("unload", () => void server?.kill());

const url = Deno.env.get("TEST_MONGODB_URL") ?? server?.url("app");
const collection = `test-${crypto.randomUUID()}`;
testSharedStore("mongodb", {
  url,
  options: { collection },
  counts: true,
  async openHooked({ now }, { before, after }) {
    const client = await connect(url!);
    const around = <T>(write: (...args: object[]) => Promise<T>) => async (...args: object[]): Promise<T> => {
      await before();
      const outcome = await write(...args);
      await after();
      return outcome;
    };
    const db = () => ({
      command: (command: object) => client.db().command(command),
      collection(name: string, options: object) {
        const documents = client.db().collection(name, options);
        for (const verb of ["insertOne", "replaceOne", "updateOne", "bulkWrite"] as const) {
          documents[verb] = around(documents[verb].bind(documents));
        }
        return documents;
      },
    });
    const hooked = { connect: () => Promise.resolve(), close: () => Promise.resolve(), db };
    const store = new (await storeClass("mongodb"))({ client: hooked, collection, now });
    return Object.assign(store, { close: () => client.close() });
  },
  async rewrite(key, edit) {
    const client = await connect(url!);
    const documents = client.db().collection(collection);
    const [head, text = ""] = String((await documents.findOne({ _id: key }))!["content"]).split("\n");
    await documents.updateOne({ _id: key }, { $set: { content: `${head}\n${edit(text)}` } });
    await client.close();
  },
});

async function connect(url: string): Promise<Client> {
  const { MongoClient } = await import(["npm:mongodb", "7.9.0"].join("@"));
  return new MongoClient(url);
}

/** The parts of the client that the tests use. It is imported by a computed name: only the store's lock file has it. */
interface Client {
  db(): {
    command(command: object): Promise<object>;
    collection(name: string, options?: object): {
      replaceOne(...args: object[]): Promise<unknown>;
      findOne(filter: object): Promise<Record<string, unknown> | null>;
      insertOne(...args: object[]): Promise<unknown>;
      updateOne(...args: object[]): Promise<unknown>;
      bulkWrite(...args: object[]): Promise<unknown>;
      countDocuments(): Promise<number>;
      indexes(): Promise<{ key: object; expireAfterSeconds?: number; sparse?: boolean }[]>;
      drop(): Promise<unknown>;
    };
    admin(): { command(command: object): Promise<unknown> };
  };
  close(): Promise<void>;
}

/** Repeats some work until it succeeds, for half a minute: on a busy machine a server needs time to come back. */
async function until(work: () => Promise<void>): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof KeyTakenError) return;
      if (tries === 60) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

/** A collection, and functions that open stores on it. */
interface Place {
  url: string;
  collection: string;
  client: Client;
  documents: ReturnType<ReturnType<Client["db"]>["collection"]>;
  store: SessionStore;
  /** Opens another store on the same collection. */
  open(options?: SharedOptions): SessionStore;
}

function test(behaviour: string, fn: (place: Place) => Promise<void>): void {
  Deno.test({
    name: `mongodb store: ${behaviour}`,
    ignore: server === undefined,
    async fn() {
      const MongoStore = await storeClass("mongodb");
      const [url, collection] = [server!.url("app"), `test-${crypto.randomUUID()}`];
      const client = await connect(url);
      const opened: SessionStore[] = [];
      const open = (options: SharedOptions = {}) => {
        const store = new MongoStore({ ...(options.client ? {} : { url }), collection, ...options });
        opened.push(store);
        return store;
      };
      const documents = client.db().collection(collection);
      try {
        await fn({ url, collection, client, documents, store: open(), open });
      } finally {
        for (const store of opened) await store.close?.();
        await documents.drop().catch(() => {}); // It may never have been made.
        await client.close();
      }
    },
  });
}

const idsOf = async (sessions: AsyncIterable<readonly [string, unknown]>): Promise<string[]> =>
  (await Array.fromAsync(sessions)).map(([id]) => id).sort();

test("programs with different collections share no session", async ({ store, open, client }) => {
  const collection = `test-${crypto.randomUUID()}`;
  const other = open({ collection, max: 2 });
  const id = newId();
  await store.create(id, { ...fresh({ n: 1 }), user: "Ada" });
  await store.create(newId(), fresh({}, 1));
  assertEquals(await other.read(id), undefined);
  assertEquals(await other.update(id, set({ n: 2 })), undefined);
  assertEquals(await other.touch(id, Date.now() + 60_000), false);
  assertEquals(await other.delete(id), false);
  assertEquals(await other.move(id, newId(), set({})), undefined);
  assertEquals([await idsOf(other.list!()), await idsOf(other.sessionsOf!("Ada"))], [[], []]);
  for (let n = 0; n < 2; n++) await other.create(newId(), fresh());
  await assertRejects(() => other.create(newId(), fresh()), StoreFullError);
  assertEquals(await other.sweepAll!(), 0);
  assertEquals(await store.sweepAll!(), 1);
  assertEquals(await idsOf(store.sessionsOf!("Ada")), [id]);
  await client.db().collection(collection).drop();
});

test("its maximum counts the sessions of other processes too", async ({ open }) => {
  const [store, other] = [open({ max: 3 }), open({ max: 3 })];
  const ids = [newId(), newId(), newId()];
  for (const id of ids) await store.create(id, fresh());
  await assertRejects(() => other.create(newId(), fresh()), StoreFullError, "3 live sessions");
  assert(await store.move(ids[0]!, newId(), set({})), "a move is no new session");
  await store.delete(ids[1]!);
  await store.create(newId(), fresh());
  await assertRejects(() => store.create(newId(), fresh()), StoreFullError);
  await other.delete(ids[2]!);
  for (let tries = 1;; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const isMade = await store.create(newId(), fresh()).then(() => true, () => false);
    if (isMade) return;
    assert(tries < 30, "it is not noticed that another process ended one");
  }
});

test("MongoDB has the indexes that remove expired sessions", async ({ store, documents }) => {
  const id = newId();
  const record = { ...fresh({}, 5000), user: "Ada" };
  await store.create(id, record);
  const indexes = await documents.indexes();
  const sweep = indexes.find(({ key }) => "sweepAt" in key)!;
  assertEquals([sweep.key, sweep.expireAfterSeconds], [{ sweepAt: 1 }, 60]);
  assert(indexes.some(({ key, sparse }) => "user" in key && sparse));
  const sweepAt = async () => ((await documents.findOne({ _id: id }))!["sweepAt"] as Date).getTime();
  assertEquals(await sweepAt(), record.expires);
  await store.touch(id, record.expires + 1000);
  assertEquals(await sweepAt(), record.expires + 1000);
  await store.update(id, (record) => ({ ...record, deadline: record.expires - 500 }));
  assertEquals(await sweepAt(), record.expires + 500);
});

test("the entry of an ended session is removed a minute later", async ({ open, documents }) => {
  let time = Date.now();
  const store = open({ now: () => time });
  const id = newId();
  await store.create(id, { ...fresh({ n: 1 }), user: "Ada" });
  await store.delete(id);
  const { content, ...left } = (await documents.findOne({ _id: id }))!;
  assertEquals(Object.keys(left).sort(), ["_id", "sweepAt", "user", "version"]);
  assertMatch(String(content), /^[0-9a-f]{8}\.[0-9a-z]+\n$/);
  assertEquals(await store.sweepAll!(), 0);
  assertEquals(await documents.countDocuments(), 1);
  time += 60_000;
  assertEquals(await store.sweepAll!(), 0);
  assertEquals(await documents.countDocuments(), 0);
});

test("a move that stopped half-way is completed or has no effect", async ({ store, documents }) => {
  const [from, to] = [newId(), newId()];
  await store.create(from, { ...fresh({ n: 1 }), user: "Ada" });
  const old = (await documents.findOne({ _id: from }))!;
  await documents.insertOne({ ...old, _id: to, from, version: "01234567.00000000001" });
  assertEquals(await store.read(to), undefined);
  assertEquals(await store.update(to, set({})), undefined);
  assertEquals(await store.touch(to, Date.now() + 60_000), false);
  assertEquals(await store.delete(to), false);
  assertEquals([await idsOf(store.list!()), await idsOf(store.sessionsOf!("Ada"))], [[from], [from]]);
  assert(await store.read(from));

  const ended = { content: `01234567.1 ${to}\n`, version: "01234567.00000000001", user: old["user"] };
  await documents.replaceOne({ _id: from }, { ...ended, sweepAt: new Date(Date.now() + 60_000) });
  assertEquals(await store.read(from), undefined);
  assertEquals((await store.read(to))?.data, { n: 1 });
  assertEquals([await idsOf(store.list!()), await idsOf(store.sessionsOf!("Ada"))], [[to], [to]]);
  assertEquals(await store.touch(to, Date.now() + 60_000), true);
});

test("a late write of an earlier try of a move has no effect", async ({ client, store, open }) => {
  const [from, to] = [newId(), newId()];
  let late: (() => Promise<unknown>) | undefined;
  const db = () => ({
    command: (command: object) => client.db().command(command),
    collection(name: string, options: object) {
      const collection = client.db().collection(name, options);
      const replaceOne = collection.replaceOne.bind(collection);
      collection.replaceOne = async (...args) => {
        if (late !== undefined) return await replaceOne(...args);
        late = () => replaceOne(...args);
        await store.update(from, set({ m: 1 }));
        throw new Error("no answer");
      };
      return collection;
    },
  });
  await store.create(from, fresh({ n: 1 }));
  const slow = open({ client: { connect: () => Promise.resolve(), close: () => Promise.resolve(), db } });
  assertEquals((await slow.move(from, to, set({ n: 2 })))?.data, { n: 2, m: 1 });
  await assertRejects(late!, Error, "duplicate key");
  assertEquals((await store.read(to))?.data, { n: 2, m: 1 });
});

test("a verb whose request or answer is lost is done once", async ({ store, open }) => {
  await using proxy = new LossyProxy(server!.ports[0]!);
  const lossy = open({ url: `mongodb://127.0.0.1:${proxy.port}/app` });
  await lossy.ready!();
  const increment = (record: SessionRecord) => ({ ...record, data: { n: record.data["n"] as number + 1 } });
  let losses = 0;
  for (const what of ["request", "answer"] as const) {
    const losing = async (text: string, work: () => Promise<unknown>): Promise<unknown> => {
      proxy.loseNext(what, text);
      const result = await work();
      assertEquals(proxy.lost, ++losses, `${what} ${text}`);
      return result;
    };
    const id = newId();
    await losing("insert", () => lossy.create(id, fresh({ n: 0 })));
    await losing("find", () => lossy.read(id));
    const updated = await losing("updates", () => lossy.update(id, increment));
    assertEquals((updated as SessionRecord).data, { n: 1 });
    assertEquals((await store.read(id))?.data, { n: 1 });
    assertEquals(await losing("updates", () => lossy.touch(id, Date.now() + 60_000)), true);
    // A move has three steps: it writes the new document, then the old one, and then shows the new one.
    let last = id;
    for (const step of ["upsert", " to", "$unset"]) {
      const to = newId();
      const moved = await losing(step.replace("to", to), () => lossy.move(last, to, increment));
      assertEquals(moved, await store.read(to), step);
      assertEquals(await store.read(last), undefined, step);
      last = to;
    }
    assertEquals((await store.read(last))?.data, { n: 4 });
    assertEquals(await losing("updates", () => lossy.delete(last)), true);
    assertEquals(await store.read(last), undefined);
    assertEquals(await lossy.delete(last), false);
  }
});

test("verbs fail in time while MongoDB is away, and then work again", async ({ open }) => {
  await using own = await MongoServer.start();
  const store = open({ url: own.url("app") });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  const verbs = [
    () => store.read(id),
    () => store.update(id, set({ n: 2 })),
    () => store.touch(id, Date.now() + 60_000),
    () => store.delete(id),
    () => store.move(id, newId(), set({})),
    () => store.create(newId(), fresh()),
    () => Array.fromAsync(store.list!()),
    () => store.ready!(),
  ] as (() => Promise<unknown>)[];
  const fail = async () => {
    const started = performance.now();
    const errors = await Promise.all(
      verbs.map((verb) => assertRejects(verb, Error, "MongoDB at 127.0.0.1", String(verb))),
    );
    assert(performance.now() - started < 10_000);
    for (const { message } of errors) assert(!message.includes(id), message);
  };
  await own.freeze();
  await fail();
  own.thaw();
  // The server may have done by then what was sent while it stood still.
  await until(() => store.create(newId(), fresh()));
  await own.kill();
  await fail();
  await own.up();
  const next = newId();
  await until(() => store.create(next, fresh({ n: 3 })));
  assertEquals((await store.read(next))?.data, { n: 3 });
});

test("a change continues at the new primary if the old one steps down", async ({ open }) => {
  await using own = await MongoServer.start(2);
  const store = open({ url: `${own.url("app")}?replicaSet=tests` });
  const id = newId();
  await store.create(id, fresh({ n: 0 }));
  const client = await connect(`${own.url("app")}?replicaSet=tests`);
  for (let n = 1; n <= 4; n++) {
    await client.db().admin().command({ replSetStepDown: 60 });
    assertEquals((await store.update(id, set({ n })))?.data, { n });
    assertEquals((await store.read(id))?.data, { n });
  }
  await client.close();
  assertEquals(await store.delete(id), true);
});

test("another program's collection is refused, and stays unchanged", async ({ store, documents }) => {
  await documents.insertOne({ _id: "theirs", session: "…", sweepAt: new Date(0) });
  await assertRejects(() => store.ready!(), Error, "holds another program's documents");
  await assertRejects(() => store.create(newId(), fresh()), Error, "holds another program's documents");
  await assertRejects(() => store.sweepAll!(), Error, "holds another program's documents");
  assertEquals((await documents.indexes()).length, 1);
  assert(await documents.findOne({ _id: "theirs" }));
});

test("users whose names are not well-formed have their own sessions", async ({ store }) => {
  const id = newId();
  await store.create(id, { ...fresh(), user: "\ud800" });
  assertEquals([await idsOf(store.sessionsOf!("\ud800")), await idsOf(store.sessionsOf!("\ud801"))], [[id], []]);
});

test("a corrupt record reads as no session, and stays stored", async ({ open, documents }) => {
  const logged: string[] = [];
  const store = open({ log: (level, event) => logged.push(`${level} ${event}`) });
  for (const content of ["", "01234567.1", '01234567.1\n{"vers', '{"version":1}']) {
    const id = newId();
    await store.create(id, fresh());
    await documents.updateOne({ _id: id }, { $set: { content } });
    logged.length = 0;
    assertEquals(await store.read(id), undefined);
    assertEquals(logged, ["warn A corrupt session record counts as no session"]);
    assertEquals(await store.update(id, set({})), undefined);
    assertEquals(await store.delete(id), false);
    assertEquals(await idsOf(store.list!()), []);
    assertEquals((await documents.findOne({ _id: id }))!["content"], content);
  }
});

test("a client that the program gives is used, and stays open", async ({ client, open }) => {
  const store = open({ client });
  const id = newId();
  await store.create(id, fresh({ n: 1 }));
  await store.close!();
  const again = open({ client });
  assertEquals((await again.read(id))?.data, { n: 1 });
});

test("a server without atomic compare-and-set is refused", async ({ open }) => {
  const db = () => ({ command: () => Promise.resolve({ version: "7.0.42", ferretdbVersion: "v1.24.2" }) });
  const client = { connect: () => Promise.resolve(), db, close: () => Promise.resolve() };
  await assertRejects(() => open({ client }).ready!(), Error, "FerretDB 1");
});

test("the error of an unusable address or client shows no password", async () => {
  const MongoStore = await storeClass("mongodb");
  assertThrows(() => new MongoStore({}), TypeError, 'one of "url" and "client"');
  for (const collection of ["", "system.users", "a$b", "a b", "x".repeat(101)]) {
    assertThrows(() => new MongoStore({ url: "mongodb://h", collection }), TypeError, "collection");
  }
  const refused = {
    "mongodb://app:secret@host/db?w=0": '"w"',
    "mongodb://app:se%zzcret@host/db": "percent-encoded",
    "mongodb://app:secret@host:99999/db": "from 1 to 65535: received 99999",
  };
  const refusedByClient = {
    "mongodb://app:secret@host/db?nothing=1": "option nothing is not supported",
    "mongodb://app:secret@host/db?authMechanism=secret": "cannot be used",
  };
  const errors = Object.entries(refused).map(([url, message]) =>
    assertThrows(() => new MongoStore({ url }), TypeError, message)
  );
  for (const [url, message] of Object.entries(refusedByClient)) {
    errors.push(await assertRejects(() => new MongoStore({ url }).ready!(), Error, message));
  }
  for (const error of errors) {
    assert(!error.message.includes("cret@") && !error.message.includes("app"), error.message);
  }
});
