/** DenoKvStore while it closes, and after that. */
import { assertEquals, assertRejects } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { DenoKvStore } from "../../lib/stores/deno_kv/store.ts";
import { fresh } from "./shared.ts";

Deno.test("deno kv store: no verb opens the file again with or after the close", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const store = new DenoKvStore({ url: `denokv:${dir}/x.kv` });
    const key = newId();
    await store.create(key, fresh());
    const running = Promise.allSettled([store.read(newId()), store.delete(newId())]);
    await store.close();
    for (const outcome of await running) {
      // What was read before the close counts. A failure must not speak of a lost file.
      if (outcome.status === "rejected") await assertRejects(() => Promise.reject(outcome.reason), Error, "is closed");
    }
    const verbs = [() => store.read(key), () => store.delete(key), () => store.create(newId(), fresh())];
    for (const verb of verbs) await assertRejects(verb, Error, "the store is closed");
    assertEquals(Array.from(Deno.readDirSync(dir), ({ name }) => name), ["x.kv"], "SQLite's other files are gone");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
