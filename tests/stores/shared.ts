/** What every shared store passes besides the suite: faults and races, on a real engine. */
import { assert, assertEquals } from "@std/assert";
import { silent } from "../../lib/log.ts";
import type { SessionRecord, SessionStore } from "../../lib/store.ts";
import type { OpenSharedStore, SharedStoreOptions } from "../../lib/server/open_store.ts";
import { newId } from "../support/server.ts";
import { type Subject, testStore } from "../support/store_suite.ts";

/** Opens a shared store, without its client coming into the module graph of this file. */
export async function openShared(type: string, options: Partial<SharedStoreOptions> & { url: string }) {
  const module: { open: OpenSharedStore } = await import(new URL(`../../lib/stores/${type}.ts`, import.meta.url).href);
  return await module.open({ max: 1_000_000, log: silent, ...options });
}

/** What differs between the engines. */
export interface Engine extends Partial<Subject> {
  /** Where it is; `undefined` leaves its tests out, by name. */
  readonly url: string | undefined;
}

/** Declares the suite's tests and those of this file for one shared store. */
export function testSharedStore(type: string, engine: Engine): void {
  const { url = "", ...differences } = engine;
  const subject: Subject = {
    name: `${type} store`,
    open: (options) => openShared(type, { url, ...options }),
    clear: () => removeAll(type, url),
    ignore: engine.url === undefined,
    ...differences,
  };
  testStore(subject);

  const test = (behaviour: string, fn: (store: SessionStore, other: SessionStore) => Promise<void>) =>
    Deno.test({
      name: `${subject.name}: ${behaviour}`,
      ignore: subject.ignore!,
      async fn() {
        const store = await subject.open({ now: Date.now });
        const other = await subject.open({ now: Date.now });
        try {
          await fn(store, other);
        } finally {
          await store.close?.();
          await other.close?.();
          await subject.clear();
        }
      },
    });

  test("of 1,000 saves that a logout overtakes, each is in the last state or said to be gone", async (store, other) => {
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 50 }, async () => {
        const id = newId();
        await store.create(id, fresh({ n: 0 }));
        const [saved, last] = await Promise.all([
          later(() => store.update(id, (data) => ({ ...data, saved: true }), Date.now() + 60_000)),
          later(() => other.delete(id)),
        ]);
        assert(last);
        assertEquals(saved !== undefined, last!.data.saved === true);
        assertEquals([await store.read(id), await other.read(id)], [undefined, undefined]);
      }));
    }
  });

  test("of 8 × 50 increments in two real processes, none is lost", async (store) => {
    const id = newId();
    await store.create(id, fresh({ n: 0 }));
    const script = new URL("increment.ts", import.meta.url).pathname;
    const lock = ["redis", "postgres", "memcached"].includes(type) ? `lib/stores/${type}.lock` : "tests/deno.lock";
    const root = new URL("../../", import.meta.url).pathname;
    const processes = [1, 2].map(() =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", `--lock=${root}${lock}`, "--allow-all", script, type, engine.url ?? "", id],
        stderr: "inherit",
      }).output()
    );
    for (const { success } of await Promise.all(processes)) assert(success);
    assertEquals((await store.read(id))?.data, { n: 400 });
  });

  test("of 1,000 sessions used as they end, with two sweepers at work, none that was extended is lost", async (
    store,
    other,
  ) => {
    let extended = 0;
    for (let round = 0; round < 20; round++) {
      const ids = Array.from({ length: 50 }, newId);
      // Some end before they are used, some after.
      const made = ids.map((_, index) => fresh({}, 2 + index % 25));
      await Promise.all(ids.map((id, index) => store.create(id, made[index]!)));
      const sweepers = [store, other].map(async (one) => {
        for (let step = 0; step < 5; step++) await later(() => one.sweepAll?.() ?? Promise.resolve(0), 10);
      });
      await Promise.all(ids.map(async (id, index) => {
        const one = index % 2 ? store : other;
        const expires = Date.now() + 60_000;
        const use = (): Promise<unknown> =>
          index % 4 < 2 ? one.touch(id, expires) : one.update(id, (data) => data, expires);
        const used = Boolean(await later(use, 20));
        if (!used) assert(Date.now() >= made[index]!.expires, "it ended before its time");
        await Promise.all(sweepers);
        assertEquals(await other.read(id) !== undefined, used);
        if (used) extended++;
      }));
    }
    assert(extended > 50 && extended < 950, `only the boundary tests anything: ${extended} were extended`);
  });
}

function fresh(data: SessionRecord["data"], idle = 60_000): SessionRecord {
  const created = Date.now();
  return { data, created, ends: created + 600_000, expires: created + idle };
}

/** Does something up to some milliseconds from now. */
async function later<T>(work: () => Promise<T>, milliseconds = 3): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * milliseconds));
  return await work();
}

/** Removes what the tests left. What the engine would have ended by now is there by a clock that stands at 1970. */
async function removeAll(type: string, url: string): Promise<void> {
  const store = await openShared(type, { url, now: () => 0 });
  for await (const [id] of store.list!()) await store.delete(id);
  await store.close?.();
}
