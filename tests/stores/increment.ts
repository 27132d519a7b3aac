/** Increments a counter in a session 4 × 50 times at once, as one of several processes. Arguments: type, address, id. */
import { openShared } from "./shared.ts";

const [type, url, id] = Deno.args as [string, string, string];
const store = await openShared(type, { url });
await Promise.all(Array.from({ length: 4 }, async () => {
  for (let i = 0; i < 50; i++) {
    const updated = await store.update(id, (data) => ({ ...data, n: data.n as number + 1 }), Date.now() + 60_000);
    if (updated === undefined) throw new Error("The session is gone");
  }
}));
await store.close?.();
