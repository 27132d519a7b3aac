/** Runs every wrong handler of one framework, with the library and without. Prints each outcome as JSON. */
// deno-lint-ignore-file no-import-prefix no-explicit-any -- in deno.json, every program would download the frameworks
import { type ClientRequest, createServer, get, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import express from "npm:express@5.3.0";
import fastify from "npm:fastify@5.12.8";
import { type NodeSessions, nodeSessions } from "../../../lib/adapters/node.ts";
import { SessionManager } from "../../../lib/session_manager.ts";
import { MemoryStore } from "../../../lib/stores/memory.ts";
import { EXPRESS_ROWS, FASTIFY_ROWS } from "./framework_rows.ts";
import { LATE_ROWS, ROWS, type Touch } from "./node_rows.ts";

/** The outcome of one request. */
export interface Outcome {
  /** The answer that the client received. */
  readonly answer: string;
  /** Whether the answer had the session's cookie. */
  readonly hasCookie: boolean;
}

/** The outcome of all requests and of the process. */
export interface Run {
  readonly outcomes: Record<string, Outcome>;
  /** The errors that would have ended the process. */
  readonly deaths: string[];
  /** The messages of the errors from sessions that were opened too late, by row. */
  readonly late: Record<string, string>;
}

type Library = "none" | "works" | "fails";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let deaths: string[] = [];
let late: Record<string, string> = {};
const died = (error: any) => void deaths.push(error?.code ?? error?.message ?? String(error));
process.on("uncaughtException", died);
process.on("unhandledRejection", died);
// The logs of frameworks and servers are not part of the outcome.
console.error = () => {};

/** A store that needs some turns of the event loop to create a session. */
class SlowStore extends MemoryStore {
  override async create(...args: Parameters<MemoryStore["create"]>): Promise<void> {
    await pause(20);
    return await super.create(...args);
  }
}

/** A store that fails after some turns of the event loop. */
class FailingStore extends MemoryStore {
  override async create(): Promise<void> {
    await pause(20);
    throw new Error("the disk is on fire");
  }
}

/** The middleware of the library, and a function that opens the session of a request and changes it. */
function library(kind: Library): { middleware: NodeSessions<object>["middleware"]; touch: (request: any) => Touch } {
  if (kind === "none") {
    return {
      middleware: (_request, _response, next) => next(),
      touch: () => () => Promise.resolve(),
    };
  }
  const store = kind === "works" ? new SlowStore() : new FailingStore();
  const manager = new SessionManager<{ n: number }>({ store, keys: ["x".repeat(32)], log: () => {} });
  const { middleware, open } = nodeSessions(manager);
  const touch = (request: any) => async () => {
    try {
      (await open(request)).set("n", 1);
    } catch (error) {
      late[decodeURIComponent(request.url.slice(1))] = (error as Error).message;
      throw error;
    }
  };
  return { middleware, touch };
}

const find = (rows: Record<string, any>, url: string) => rows[decodeURIComponent(url.slice(1))];

const isLate = (url: string) => url.startsWith("/opens");

const PROGRAMS: Record<string, (kind: Library) => Promise<Server> | Server> = {
  node(kind) {
    const { middleware, touch } = library(kind);
    return createServer((request, response) =>
      middleware(request, response, async () => {
        const { url = "" } = request;
        if (!isLate(url)) await touch(request)();
        await find({ ...ROWS, ...LATE_ROWS }, url)(response, request, touch(request));
      })
    );
  },
  express(kind) {
    const { middleware, touch } = library(kind);
    const app = express();
    app.disable("x-powered-by");
    app.use(middleware as any);
    app.use(async (request: any, response: any) => {
      if (!isLate(request.url)) await touch(request)();
      await find({ ...ROWS, ...LATE_ROWS, ...EXPRESS_ROWS }, request.url)(response, request, touch(request));
    });
    return createServer(app as any);
  },
  async fastify(kind) {
    const { middleware, touch } = library(kind);
    const app = fastify();
    app.addHook("onRequest", (request, reply, done) => middleware(request.raw, reply.raw, done));
    app.get("/*", async (request: any, reply: any) => {
      if (!isLate(request.url)) await touch(request.raw)();
      const own = find(FASTIFY_ROWS, request.url);
      if (own !== undefined) return await own(reply, request, touch(request.raw));
      reply.hijack();
      await find({ ...ROWS, ...LATE_ROWS }, request.url)(reply.raw, request.raw, touch(request.raw));
    });
    await app.ready();
    return app.server;
  },
};
const OWN_ROWS: Record<string, Record<string, unknown>> = { node: {}, express: EXPRESS_ROWS, fastify: FASTIFY_ROWS };

/** How many requests have made progress since the start. */
let progress = 0;
const waiting = new Set<ClientRequest>();

/** Sends a request. Returns its outcome. */
function ask(port: number, path: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const request = get({ port, host: "127.0.0.1", path, agent: false }, (response) => {
      let length = 0;
      let text = "";
      const { statusCode, statusMessage, headers } = response;
      const hasCookie = headers["set-cookie"]?.some((line) => line.startsWith("session=")) ?? false;
      const end = (how: string) => {
        const own = ["x-a", "x-b", "location"].map((name) => headers[name] ?? "-").join(" ");
        const body = statusCode! >= 400 ? "" : length > 1000 ? `${length} bytes` : text;
        const trailers = JSON.stringify(response.trailers);
        done({ answer: [statusCode, statusMessage, own, body, trailers, how].join(" | "), hasCookie });
      };
      response.on("data", (chunk) => {
        progress++;
        length += chunk.length;
        if (length < 1000) text += chunk;
      });
      response.on("end", () => end("whole"));
      response.on("error", () => end("broken"));
    });
    const done = (outcome: Outcome) => {
      progress++;
      waiting.delete(request);
      resolve(outcome);
    };
    waiting.add(request);
    request.on("error", () => done({ answer: "no answer", hasCookie: false }));
  });
}

/** Gives up the unanswered requests when none has made progress for many turns of the event loop. */
async function giveUpTheRest(): Promise<void> {
  let before = -1;
  for (let turns = 0; turns < 40 && waiting.size > 0; turns = progress === before ? turns + 1 : 0) {
    before = progress;
    await pause(25);
  }
  for (const request of waiting) request.destroy();
}

/** Sends all requests at the same time, because many of the handlers never answer. */
async function run(framework: string, kind: Library): Promise<Run> {
  const server = await PROGRAMS[framework]!(kind);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  [deaths, late] = [[], {}];
  const names = Object.keys({ ...ROWS, ...LATE_ROWS, ...OWN_ROWS[framework] });
  const asked = Promise.all(names.map(async (name) => [name, await ask(port, `/${encodeURIComponent(name)}`)]));
  await giveUpTheRest();
  const outcomes = Object.fromEntries(await asked);
  await pause(100);
  server.closeAllConnections();
  server.close();
  return { outcomes, deaths: deaths.sort(), late };
}

const framework = process.argv.at(-1)!;
const runs: Run[] = [];
for (const kind of ["none", "works", "fails"] as const) runs.push(await run(framework, kind));
console.log(JSON.stringify(runs));
process.exit(0);
