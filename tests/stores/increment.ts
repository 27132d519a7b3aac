/** Increments a counter in a session by 250 concurrent changes, in its own process. Arguments: type, key, options. */
import { storeClass } from "./shared.ts";

const [type, key, options] = Deno.args as [string, string, string];
const store = new (await storeClass(type))(JSON.parse(options));
// On a busy machine, the start of several processes may take longer than a verb may take.
for (let tries = 1;; tries++) {
  try {
    await store.ready?.();
    break;
  } catch (error) {
    if (tries === 5) throw error;
  }
}
const increments = Array.from({ length: 250 }, async () => {
  const record = await store.update(key, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }));
  if (record === undefined) throw new Error("The session is gone");
});
await Promise.all(increments);
await store.close?.();
