/** Increments a counter in a session 250 times at once, as one of several processes. Arguments: type, key, options. */
import { openShared } from "./shared.ts";

const [type, key, options] = Deno.args as [string, string, string];
const store = await openShared(type, JSON.parse(options));
const increments = Array.from({ length: 250 }, async () => {
  const record = await store.update(key, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }));
  if (record === undefined) throw new Error("The session is gone");
});
await Promise.all(increments);
await store.close?.();
