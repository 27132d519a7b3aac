/** MemcachedStore on a memcached that executes a command late, when the store has long given the command up. */
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import type { MemcachedClient } from "../../lib/stores/memcached/store.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { fresh, set, storeClass } from "./shared.ts";

/** A memcached in memory. A test can hold a command back. */
class HeldMemcached implements MemcachedClient {
  #values = new Map<string, { value: string; casUniq: number }>();
  #last = 0;
  #held: { text: string; until: Promise<void> } | undefined;

  /** Holds the next command whose name and key contain a string. Returns a function that executes it. */
  holdNext(text: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = { text, until: promise };
    return resolve;
  }

  async gets(key: string) {
    await this.#wait(`gets ${key}`);
    return this.#values.get(key);
  }

  async store(
    command: "add" | "cas",
    key: string,
    value: string,
    { lifetime, casUniq }: { lifetime: number; casUniq?: number | string },
  ) {
    await this.#wait(`${command} ${key}`);
    const found = this.#values.get(key);
    if (command === "add" && found !== undefined) throw new Error("NOT_STORED");
    if (command === "cas" && found?.casUniq !== casUniq) throw new Error(found === undefined ? "NOT_FOUND" : "EXISTS");
    if (lifetime < 0) this.#values.delete(key);
    else this.#values.set(key, { value, casUniq: ++this.#last });
  }

  async delete(key: string) {
    await this.#wait(`delete ${key}`);
    if (!this.#values.delete(key)) throw new Error("NOT_FOUND");
  }

  async #wait(command: string) {
    const held = this.#held;
    if (held === undefined || !command.includes(held.text)) return;
    this.#held = undefined;
    await held.until;
  }
}

for (const isEnded of [false, true]) {
  Deno.test(`memcached: a late command of a move ${isEnded ? "revives no session" : "undoes no change"}`, async () => {
    const client = new HeldMemcached();
    const store = new (await storeClass("memcached"))({ client });
    const [from, to] = [newId(), newId()];
    await store.create(from, fresh({ n: 1 }));
    await inSimulatedTime(async () => {
      const executeLate = client.holdNext(to);
      assertEquals((await store.move(from, to, set({ m: 1 })))?.data, { n: 1, m: 1 });
      if (isEnded) assertEquals(await store.delete(to), true);
      else await store.update(to, set({ m: 2 }));
      executeLate();
      await new Promise((resolve) => setTimeout(resolve, 100));
      assertEquals((await store.read(to))?.data, isEnded ? undefined : { n: 1, m: 2 });
    });
    assertEquals(await store.read(from), undefined);
  });
}

Deno.test("memcached: a move that another change preceded is made with that change", async () => {
  const client = new HeldMemcached();
  const Store = await storeClass("memcached");
  const [store, other] = [new Store({ client }), new Store({ client })];
  const [from, to] = [newId(), newId()];
  await store.create(from, fresh({ n: 1 }));
  await inSimulatedTime(async () => {
    const executeLate = client.holdNext(`cas session:${from}`);
    const moving = store.move(from, to, set({ m: 1 }));
    await new Promise((resolve) => setTimeout(resolve, 500));
    await other.update(from, set({ n: 2 }));
    assertEquals((await moving)?.data, { n: 2, m: 1 });
    executeLate();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertEquals((await store.read(to))?.data, { n: 2, m: 1 });
  });
});
