/** The PostgreSQL store behind PgBouncer, which lends each connection for one transaction. */
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { Engine } from "./engines.ts";
import { PgBouncer } from "./pgbouncer.ts";
import { fresh, openShared, set, testSharedStore } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("postgres");
const engine = ignore ? undefined : await Engine.start("postgres");
const pooler = engine && await PgBouncer.start(engine);
Deno.test.afterAll(async () => {
  await pooler?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
});

testSharedStore("postgres", { name: "postgres, PgBouncer", url: pooler?.url, counts: true });

Deno.test({
  name: "postgres, PgBouncer: shared connections keep no setting and no statement",
  ignore,
  async fn() {
    const { default: postgres } = await import(["npm:postgres", "3.4.9"].join("@"));
    const store = await openShared("postgres", { url: pooler!.url });
    const [id, to] = [newId(), newId()];
    await store.create(id, fresh());
    await Promise.all(Array.from({ length: 20 }, () => store.update(id, set({ n: 1 }))));
    await store.move(id, to, set({ n: 2 }));
    await store.delete(to);
    await store.close?.();
    const client = postgres(pooler!.url, { prepare: false, max: 4, fetch_types: false });
    for (let i = 0; i < 8; i++) {
      const [row] = await client`select current_setting('statement_timeout') as timeout,
        (select count(*)::int from pg_prepared_statements where name <> '') as prepared`;
      assertEquals(row, { timeout: "0", prepared: 0 });
    }
    await client.end();
  },
});
