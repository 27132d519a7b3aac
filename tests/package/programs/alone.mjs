/** The package without other packages: memory, SQLite, plain node:http, CommonJS, and the errors of other stores. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { FileStore, MemoryStore, SessionManager } from "@session-server/sessions";
import { MemcachedStore } from "@session-server/sessions/memcached";
import { MongoStore } from "@session-server/sessions/mongodb";
import { nodeSessions } from "@session-server/sessions/node";
import { PostgresStore } from "@session-server/sessions/postgres";
import { RedisStore } from "@session-server/sessions/redis";
import { SqliteStore } from "@session-server/sessions/sqlite";
import { EntryStore } from "@session-server/sessions/store";
import { withTelemetry } from "@session-server/sessions/telemetry";
import { cookieFor } from "@session-server/sessions/testing";

const keys = ["only for trying it out: 32 bytes or more"];

for (const store of [new MemoryStore(), new SqliteStore({ path: "sessions.db" })]) {
  const manager = new SessionManager(withTelemetry({ store, keys }));
  const { middleware, open } = nodeSessions(manager);
  const server = createServer((request, response) =>
    middleware(request, response, async () => {
      const session = await open(request);
      session.update("visits", (visits = 0) => visits + 1);
      response.end(`${session.user} ${session.get("visits")}`);
    })
  );
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  const headers = { cookie: await cookieFor(manager, { visits: 1 }, { user: "ada" }) };
  assert.equal(await (await fetch(url, { headers })).text(), "ada 2");
  assert.equal(await (await fetch(url, { headers })).text(), "ada 3");
  assert.equal(await manager.endAll("ada"), 1);
  assert.equal(await (await fetch(url, { headers })).text(), "undefined 1");
  server.closeAllConnections();
  server.close();
  await manager.close();
}

// Bun gives a string its type when it sends the answer.
if ("Bun" in globalThis) {
  const manager = new SessionManager({ store: new MemoryStore(), keys });
  const fetchHandler = manager.wrap(async (_request, open) => {
    (await open()).logIn("ada");
    return new Response("text");
  });
  const server = globalThis.Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: fetchHandler });
  const { headers } = await fetch(server.url);
  assert.match(headers.get("content-type"), /^text\/plain/);
  assert.equal(headers.getSetCookie().length, 1);
  await server.stop(true);
}

// The clients are peers that are not installed here.
const log = () => {};
const missing = [
  [new RedisStore({ url: "redis://127.0.0.1:9", log }), "RedisStore", "@redis/client@6"],
  [new PostgresStore({ url: "postgres://ada@127.0.0.1:9/app", log }), "PostgresStore", "postgres@3"],
  [new MongoStore({ url: "mongodb://127.0.0.1:9/app", log }), "MongoStore", "mongodb@7"],
];
for (const [store, name, client] of missing) {
  await assert.rejects(() => store.ready(), ({ message }) => {
    assert.ok(message.includes(`${name} needs the package ${client}, which is not installed`), message);
    return true;
  });
  await store.close();
}
// This one has no client.
await assert.rejects(() => new MemcachedStore({ url: "memcached://127.0.0.1:9", log }).ready(), /127\.0\.0\.1:9/);
assert.throws(() => new FileStore({ dir: "sessions" }), {
  name: "TypeError",
  message: /Deno.*use SqliteStore instead/,
});

assert.equal(typeof EntryStore, "function");

const require = createRequire(import.meta.url);
assert.equal(require("@session-server/sessions").SessionManager, SessionManager);
console.log("ok");
