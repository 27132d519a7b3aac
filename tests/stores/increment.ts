/** Increments a counter in a session 4 × 50 times at once, as one of several processes. Arguments: type, id, options. */
import { openShared } from "./shared.ts";

const [type, id, options] = Deno.args as [string, string, string];
const store = await openShared(type, JSON.parse(options));
await Promise.all(Array.from({ length: 4 }, async () => {
  for (let i = 0; i < 50; i++) {
    const increment = await store.update(id, (record) => ({ ...record, data: { n: record.data["n"] as number + 1 } }));
    if (increment === undefined) throw new Error("The session is gone");
  }
}));
await store.close?.();
