/** The Redis store on a real server, which TEST_REDIS_URL names. */
import { RedisStore } from "../../lib/stores/redis.ts";
import { testStore } from "../../lib/testing.ts";

const url = Deno.env.get("TEST_REDIS_URL");
const prefix = `test-${crypto.randomUUID()}:`;

testStore({
  name: "redis store",
  open: ({ max }) => new RedisStore({ url, prefix, max }),
  async clear() {
    const store = new RedisStore({ url, prefix });
    for await (const [id] of store.list()) await store.delete(id);
    await store.close();
  },
  ownClock: true,
  counts: true,
  ignore: url === undefined,
});
