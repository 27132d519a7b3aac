/** The node:http adapter: a program that writes faster than the visitor reads. */
// deno-lint-ignore-file no-import-prefix -- in deno.json, every program would download the frameworks
import { assertEquals } from "@std/assert";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import express from "npm:express@5.3.0";
import { nodeSessions } from "../../lib/adapters/node.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Data, failing, KEY } from "../support/site.ts";
import { serving, sessionsOf } from "./node_place.ts";

Deno.test("express: the writer of a long answer waits until its data are sent", async () => {
  const { middleware, open } = nodeSessions(new SessionManager<Data>({ store: new MemoryStore(), keys: [KEY] }));
  const app = express();
  app.use(middleware);
  const stillFull: boolean[] = [];
  // deno-lint-ignore no-explicit-any -- Express's types need @types/express
  app.get("/", async (req: any, res: any) => {
    (await open(req)).logIn("ada");
    const pieces = [40_000, 40_000, 20_000_000].map((length) => res.write(new Uint8Array(length)));
    assertEquals(pieces, [true, false, false]);
    res.once("drain", () => {
      stillFull.push(res.writableNeedDrain);
      res.end();
    });
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  assertEquals((await response.bytes()).length, 20_080_000);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assertEquals(stillFull, [false]);
});

Deno.test("node: a drain listener from before `open` is called when the answer is replaced", async () => {
  const { middleware, open } = sessionsOf(failing(["create"], new MemoryStore()) as MemoryStore);
  let isCalled = false;
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    response.once("drain", () => isCalled = true);
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      assertEquals(response.write(new Uint8Array(100_000)), false);
    });
  };
  await serving(handler, async (browser) => {
    const answer = await browser.request("/");
    assertEquals([answer.status, (await answer.text()).length > 0, isCalled], [503, true, true]);
  });
});
