/** Runs wrong handlers from Request to Response, with the library and without. Prints each outcome as JSON. */
// deno-lint-ignore-file no-import-prefix no-explicit-any -- in deno.json, every program would download the frameworks
import { Hono } from "npm:hono@4.13.19";
import { HTTPException } from "npm:hono@4.13.19/http-exception";
import { Application } from "npm:@oakserver/oak@14.1.0";
import { honoSessions } from "../../../lib/adapters/hono.ts";
import { oakSessions } from "../../../lib/adapters/oak.ts";
import { SessionManager } from "../../../lib/session_manager.ts";
import { MemoryStore } from "../../../lib/stores/memory.ts";
import type { Outcome, Run } from "./run.ts";

type Row = (touch: () => Promise<void>, request: Request) => any;

const BIG = 10 * 1024 * 1024;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const shared = new Response(null, { status: 204 });
const read = async () => {
  const response = new Response("read");
  await response.text();
  return response;
};
const streams = (size: number, failsAt = Infinity) =>
  new ReadableStream({
    async pull(controller) {
      await pause(1);
      if (failsAt-- === 0) return controller.error(new Error("source"));
      controller.enqueue(new Uint8Array(size));
      if (failsAt === Infinity) controller.close();
    },
  });

/** What a handler returns or throws once it has opened its session. */
const ROWS: Record<string, Row> = {
  "text": () => new Response("a"),
  "nothing": () => undefined,
  "null": () => null,
  "a string": () => "a",
  "a number": () => 42,
  "an object": () => ({ status: 200 }),
  "an error response": () => Response.error(),
  "a response that was read": read,
  "a shared response": () => shared,
  "a shared response again": () => shared,
  "a redirect that cannot be changed": () => Response.redirect("http://localhost/somewhere", 303),
  "10 MB": () => new Response(new Uint8Array(BIG)),
  "a stream of 10 MB": () => new Response(streams(BIG)),
  "a stream that fails at once": () => new Response(streams(10, 0)),
  "a stream that fails later": () => new Response(streams(10, 3)),
  "a body for 204": () => new Response("a", { status: 204 }),
  "a status of 42": () => new Response("a", { status: 42 }),
  "a header of two lines": () => new Response("a", { headers: { "x-a": "1\n2" } }),
  "an error": () => Promise.reject(new Error("mine")),
  "a string that is thrown": () => Promise.reject("mine"),
  "an HTTPException": () => Promise.reject(new HTTPException(401, { message: "no" })),
  "a rejection that is left": () => {
    Promise.reject(new Error("mine"));
    return new Response("a");
  },
  "an error in a timer": async () => {
    setTimeout(() => {
      throw new Error("mine");
    });
    await pause(5);
    return new Response("a");
  },
  "a body of the request that was read twice": async (_touch, request) => {
    await request.text();
    return new Response(await request.text());
  },
  "an open that is not waited for": (touch) => {
    touch();
    return new Response("a");
  },
  "many opens at once": async (touch) => {
    await Promise.all([touch(), touch(), touch()]);
    return new Response("a");
  },
  "an aborted request": (_touch, request) => {
    request.signal.throwIfAborted();
    return new Response("a");
  },
};

type Library = "none" | "works" | "fails";
type Program = (kind: Library) => (request: Request) => any;

class FailingStore extends MemoryStore {
  override async create(): Promise<void> {
    await pause(5);
    throw new Error("the disk is on fire");
  }
}

function managerOf(kind: Library) {
  const store = kind === "works" ? new MemoryStore() : new FailingStore();
  return new SessionManager<{ n: number }>({ store, keys: ["x".repeat(32)], log: () => {} });
}

const rowOf = (url: string) => ROWS[decodeURIComponent(new URL(url).pathname.slice(1))]!;

const PROGRAMS: Record<string, Program> = {
  wrap(kind) {
    const handler = (request: Request, open: any) => {
      const touch = async () => (await open()).set("n", 1);
      return touch().then(() => rowOf(request.url)(touch, request));
    };
    if (kind !== "none") return managerOf(kind).wrap(handler);
    return (request) => handler(request, () => Promise.resolve({ set() {} }));
  },
  hono(kind) {
    const { middleware, open } = honoSessions(managerOf(kind));
    const app = new Hono();
    app.use(kind === "none" ? (_c, next) => next() : middleware);
    app.all("*", async (c) => {
      const touch = async () => kind === "none" ? undefined : (await open(c)).set("n", 1);
      await touch();
      return await rowOf(c.req.url)(touch, c.req.raw);
    });
    return app.fetch;
  },
  oak(kind) {
    const { middleware, open } = oakSessions(managerOf(kind));
    const app = new Application({ logErrors: false });
    if (kind !== "none") app.use(middleware);
    app.use(async (context) => {
      const touch = async () => kind === "none" ? undefined : (await open(context)).set("n", 1);
      await touch();
      const answer = await rowOf(context.request.url.href)(touch, new Request("http://localhost/"));
      if (answer instanceof Response) {
        context.response.status = answer.status;
        context.response.body = answer.body;
      } else context.response.body = answer;
    });
    return async (request) => {
      // Oak from npm has its own Response.
      const { body, status, headers } = await app.handle(request as any) as any;
      return new Response(body, { status, headers: [...headers] });
    };
  },
};

let deaths: string[] = [];
const died = (event: any) => {
  event.preventDefault();
  deaths.push(event.reason?.message ?? event.error?.message ?? String(event.reason));
};
addEventListener("error", died);
addEventListener("unhandledrejection", died);
console.error = () => {};

async function run(program: Program, kind: Library): Promise<Run> {
  deaths = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, program(kind));
  const outcomes: Record<string, Outcome> = {};
  for (const name of Object.keys(ROWS)) {
    const url = `http://127.0.0.1:${server.addr.port}/${encodeURIComponent(name)}`;
    try {
      const response = await fetch(url, { redirect: "manual" });
      const hasCookie = response.headers.getSetCookie().some((line) => line.startsWith("session="));
      const length = await response.arrayBuffer().then(({ byteLength }) => byteLength, () => "broken");
      outcomes[name] = { answer: `${response.status} ${response.status < 400 ? length : ""}`, hasCookie };
    } catch {
      outcomes[name] = { answer: "no answer", hasCookie: false };
    }
  }
  await pause(20);
  await server.shutdown();
  return { outcomes, deaths: deaths.sort(), late: {} };
}

const program = PROGRAMS[Deno.args[0]!]!;
const runs: Run[] = [];
for (const kind of ["none", "works", "fails"] as const) runs.push(await run(program, kind));
console.log(JSON.stringify(runs));
