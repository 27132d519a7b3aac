/** The node:http adapter: the errors that reach no caller, and so are logged. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { IncomingMessage, ServerResponse } from "node:http";
import { replacing } from "../support/failing.ts";
import { serving, sessionsOf } from "./node_place.ts";

Deno.test("node: an answer that cannot leave is logged, and its connection ends", async () => {
  const { middleware, open } = sessionsOf();
  const failure = new Error("a middleware's own");
  const logged: unknown[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    // A middleware that comes before the sessions, and fails when the head leaves.
    response.writeHead = () => {
      throw failure;
    };
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      response.writeHead(200);
      response.end("hello");
    });
  };
  await replacing(console, "error", () => (error) => void logged.push(error), async () => {
    await serving(handler, (browser) => assertRejects(() => browser.get("/"), TypeError).then(() => {}));
  });
  assertEquals(logged, [failure]);
});

Deno.test("node: a session that is opened after the answer is an error in the log", async () => {
  const { middleware, open } = sessionsOf();
  const logged: string[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      response.end("early");
      await open(request);
    });
  await replacing(console, "error", () => (error) => void logged.push(error.message), async () => {
    await serving(handler, async (browser) => assertEquals(await browser.get("/"), "early"));
  });
  assertEquals(logged.length, 1);
  assertMatch(logged[0]!, /open it before answering$/);
});
