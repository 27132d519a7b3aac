/** The node:http adapter: errors that reach no caller. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { IncomingMessage, ServerResponse } from "node:http";
import { nodeSessions } from "../../lib/adapters/node.ts";
import { SessionGoneError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { replacing } from "../support/failing.ts";
import { serving, sessionsOf } from "./node_place.ts";

/** A store that takes a while to store a session. */
class SlowStore extends MemoryStore {
  override create = (...args: Parameters<MemoryStore["create"]>) => pause().then(() => super.create(...args));
  override move = (...args: Parameters<MemoryStore["move"]>) => pause().then(() => super.move(...args));
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

Deno.test("node: an answer that cannot be sent is logged, and its connection ends", async () => {
  const { middleware, open } = sessionsOf();
  const failure = new Error("a middleware's own");
  const logged: unknown[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    // A middleware that comes before the sessions, and fails when the head is sent.
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

Deno.test("node: after an answer of status 500, a followed session does not wait", async () => {
  const { manager, middleware, open } = sessionsOf();
  let read: Promise<unknown> | undefined;
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      read = manager.follow(await open(request)).read();
      read.catch(() => {});
      response.statusCode = 500;
      response.end("sorry");
    });
  await serving(handler, async (browser) => assertEquals(await browser.get("/"), "sorry"));
  await assertRejects(() => read!, TypeError, "stored nothing");
});

Deno.test("node: a write after the end reaches an error listener, and needs none", async () => {
  const { middleware, open } = sessionsOf(new SlowStore());
  const errors: string[] = [];
  const emitted: unknown[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    middleware(request, response, async () => {
      (await open(request)).logIn("ada");
      if (request.url === "/listens") response.on("error", ({ message }) => errors.push(message));
      const emit = response.emit;
      response.emit = (event: string, ...args: unknown[]) => {
        if (event === "error") emitted.push(request.url);
        return Reflect.apply(emit, response, [event, ...args]);
      };
      response.end("hello");
      response.write("more");
    });
  await serving(handler, async (browser) => {
    assertEquals([await browser.get("/"), await browser.get("/listens")], ["hello", "hello"]);
  });
  assertEquals([errors, emitted], [["write after end"], ["/listens"]]);
});

Deno.test("node: a connection that is to end waits for both managers of an answer", async () => {
  const [slow, fast] = [sessionsOf(new SlowStore()), sessionsOf()];
  const handler = (request: IncomingMessage, response: ServerResponse) =>
    slow.middleware(request, response, () =>
      fast.middleware(request, response, async () => {
        for (const { open } of [slow, fast]) (await open(request)).logIn("ada");
        response.end("hello");
        request.socket.destroy();
      }));
  await serving(handler, async (browser) => assertEquals(await browser.get("/"), "hello"));
});

Deno.test("node: an answer that begins while the error's answer is made is the one sent", async () => {
  const { manager } = sessionsOf();
  let answered!: ServerResponse;
  const gone = () => {
    answered.end("sooner");
    return new Response("gone", { status: 409 });
  };
  const { middleware } = nodeSessions(manager, { gone });
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    answered = response;
    middleware(request, response, () => Promise.reject(new SessionGoneError("It was ended")) as unknown as void);
  };
  const logged: unknown[] = [];
  await replacing(console, "error", () => (error) => void logged.push(error), async () => {
    await serving(handler, async (browser) => assertEquals(await browser.get("/"), "sooner"));
  });
  assertEquals(logged, []);
});
