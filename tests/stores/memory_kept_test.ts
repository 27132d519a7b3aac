/** The stores keep nothing of an ended session in memory. */
import { assert, assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { SessionStore } from "../../lib/store.ts";
import { DenoKvStore } from "../../lib/stores/deno_kv/store.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { SqliteStore } from "../../lib/stores/sqlite/store.ts";
import { replacing } from "../support/failing.ts";

const OPENERS: Record<string, (dir: string) => SessionStore> = {
  "file store": (dir) => new FileStore({ dir }),
  "sqlite store": (dir) => new SqliteStore({ path: `${dir}.db` }),
  "memory store": () => new MemoryStore(),
  "deno kv store": () => new DenoKvStore({ url: "denokv::memory:" }),
};

/** Does some work, and returns the maps into which it put the key. */
async function mapsOf(key: string, work: () => Promise<void>): Promise<Set<Map<unknown, unknown>>> {
  const maps = new Set<Map<unknown, unknown>>();
  const set = Map.prototype.set;
  const noting = function (this: Map<unknown, unknown>, name: unknown, value: unknown) {
    if (name === key) maps.add(this);
    return set.call(this, name, value);
  };
  await replacing(Map.prototype, "set", () => noting, work);
  assert(maps.size > 0, "the key was in some map");
  return maps;
}

for (const [name, open] of Object.entries(OPENERS)) {
  Deno.test(`${name}: an ended session leaves nothing in memory`, async () => {
    const parent = await Deno.makeTempDir();
    const store = open(`${parent}/sessions`);
    const user = "Ada";
    const key = newId(await store.groupOf?.(user));
    const now = Date.now();
    const times = { created: now, idle: 60_000, expires: now + 60_000, deadline: now + 600_000 };
    try {
      const maps = await mapsOf(key, async () => {
        await store.create(key, { ...times, data: { n: 0 }, user });
        const add = (n: number) => store.update(key, (record) => ({ ...record, data: { n } }));
        await Promise.all([1, 2, 3].map(add));
        // The file store does not cache the record of a file that it has just made.
        await new Promise((resolve) => setTimeout(resolve, 60));
        await store.touch(key, now + 61_000);
        await store.read(key);
        await Promise.all([store.delete(key), store.delete(key), add(4)]);
      });
      assertEquals([...maps].filter((map) => map.has(key)).length, 0);
    } finally {
      await store.close?.();
      await Deno.remove(parent, { recursive: true });
    }
  });
}
