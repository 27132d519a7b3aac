/** The suite for stores, run on stores with one fault each: it finds every fault. */
import { assert, assertEquals } from "@std/assert";
import { storeTests } from "../../lib/store_suite.ts";
import { silent } from "../../lib/log.ts";
import type { SessionRecord } from "../../lib/record.ts";
import type { Change, SessionStore, StoredSession } from "../../lib/store.ts";
import type { NewEntry } from "../../lib/stores/entries.ts";
import { EntryStore } from "../../lib/stores/entry_store.ts";
import { MapEntries, rewriteText } from "../support/map_entries.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";

type Fault = (store: SessionStore, entries: Map<string, NewEntry>, engine: MapEntries) => Partial<SessionStore>;

/** The names of the tests that fail for a store with a fault. Runs only tests whose names contain `word`. */
async function failures(fault: Fault, word = ""): Promise<string[]> {
  let entries = new Map<string, NewEntry>();
  const make = (now: () => number, max = 100_000, engine = new MapEntries(entries)): SessionStore => {
    const store: SessionStore = new EntryStore(engine, { name: "a map", log: silent, now, max });
    const verbs: (keyof SessionStore)[] = ["create", "read", "update", "touch", "delete", "move", "ready", "close"];
    const whole = Object.assign(
      { ...store },
      Object.fromEntries(verbs.map((verb) => [verb, store[verb]!.bind(store)])),
    );
    return Object.assign(whole, fault({ ...whole } as SessionStore, entries, engine)) as unknown as SessionStore;
  };
  const tests = storeTests({
    name: "faulty",
    open: ({ now, max }) => make(now, max),
    openHooked({ now }, { before, after }) {
      const engine = new MapEntries(entries);
      engine.around = async (write) => {
        await before();
        const isDone = write();
        await after();
        return isDone;
      };
      return make(now, undefined, engine);
    },
    rewrite: (key, edit) => rewriteText(entries, key, edit),
    clear: () => void (entries = new Map()),
    counts: true,
  });
  const failed: string[] = [];
  for (const { name, run } of tests) {
    if (name.includes(word)) await inSimulatedTime(run).catch(() => failed.push(name.replace("faulty: ", "")));
  }
  return failed;
}

/** Declares a test: the suite's test of the name `by` finds a fault. */
function finds(what: string, by: string, fault: Fault): void {
  Deno.test(`suite: it finds a store that ${what}`, async () => {
    assertEquals(await failures(() => ({}), by), []);
    assertEquals(await failures(fault, by), [by]);
  });
}

/** Makes a faulty `sessionsOf`: `each` replaces every session in the list. */
function sessionsOf(
  store: SessionStore,
  each: (session: StoredSession) => StoredSession[] | Promise<StoredSession[]>,
): (user: string) => AsyncGenerator<StoredSession> {
  return async function* (user) {
    for await (const session of store.sessionsOf!(user)) yield* await each(session);
  };
}

finds(
  "takes users of any case for the same",
  "sessionsOf finds every live session of a user, and no other user's",
  (store) => ({
    async *sessionsOf(user) {
      for await (const [key, record] of store.list!()) {
        if (record.user?.toLowerCase() === user.toLowerCase()) yield [key, record];
      }
    },
  }),
);

finds("shows sessions that are over", "sessionsOf finds no session that is over", (_, entries) => ({
  async *sessionsOf(user) {
    for (const { key, record } of entries.values()) if (record?.user === user) yield [key, record];
  },
}));

finds(
  "misses sessions that move",
  "sessionsOf misses no session that gets a new key during the listing",
  (store, entries) => ({
    async *sessionsOf(user) {
      const keys = [...entries.values()].filter(({ record }) => record?.user === user).map(({ key }) => key);
      for (const key of keys) {
        const record = await store.read(key);
        if (record !== undefined) yield [key, record];
      }
    },
  }),
);

finds("gives up where others come first", "1,000 concurrent changes from four processes are all made", (store) => {
  return {
    async update(key: string, change: Change) {
      const before = await store.read(key);
      return await store.update(key, (record) => {
        if (JSON.stringify(before) !== JSON.stringify(record)) throw new Error("too many changes at once");
        return change(record);
      });
    },
  };
});

finds("never gives up", "a verb settles within seconds even if others always write first", (store) => ({
  async update(key: string, change: Change) {
    while (true) {
      const made = await store.update(key, change).catch(() => "again" as const);
      if (made !== "again") return made;
    }
  },
}));

finds(
  "throws at a corrupt record",
  "a corrupt record reads as no session, and harms no other session",
  (store, entries) => ({
    read(key: string) {
      const entry = entries.get(key);
      if (entry && entry.record) JSON.parse(entry.content.slice(entry.content.indexOf("\n")));
      return store.read(key);
    },
  }),
);

finds(
  "makes a change twice whose answer was lost",
  "a verb works once even if its answer is lost and others write next",
  (_store, _entries, engine) => {
    const get = engine.get.bind(engine);
    engine.get = async (key) => {
      const entry = await get(key);
      return entry && { ...entry, content: entry.content.replace(/^.*\n/, "\n") };
    };
    return {};
  },
);

finds(
  "leaves a later version's record alive",
  "a later version's record stays unchanged until its session is ended",
  (store) => ({
    async delete(key: string) {
      return await store.read(key) !== undefined && await store.delete(key);
    },
  }),
);

finds(
  "hides a later version's record",
  "a later version's record stays unchanged until its session is ended",
  (store) => ({
    sessionsOf: sessionsOf(store, (session) => session[1] === undefined ? [] : [session]),
  }),
);

finds(
  "names sessions that others ended",
  "deleteMany ends the sessions that are there, and returns their keys",
  (store) => ({
    async deleteMany(keys: readonly string[]) {
      await store.deleteMany!(keys);
      return keys;
    },
  }),
);

finds("replaces a session by a new one", "create refuses a key that is already there", (store, entries) => ({
  async create(key: string, record: SessionRecord) {
    entries.delete(key);
    await store.create(key, record);
  },
}));

finds("takes records of any size", "a record that is too large is refused, and the old one stays", (store) => ({
  async create(key: string, record: SessionRecord) {
    await store.create(key, JSON.stringify(record).length > 1_000_000 ? { ...record, data: {} } : record);
  },
}));

Deno.test("suite: a store without a fault passes", async () => {
  assert((await failures(() => ({}))).length === 0);
});
