/** Handlers that use Express and Fastify wrongly. */
// deno-lint-ignore-file no-explicit-any -- Express's types need @types/express
import type { Touch } from "./node_rows.ts";

type ExpressRow = (res: any, req: any, touch: Touch) => unknown;
type FastifyRow = (reply: any, request: any, touch: Touch) => unknown;

/** Handlers of Express. */
export const EXPRESS_ROWS: Record<string, ExpressRow> = {
  "redirects and goes on": (res) => {
    res.redirect("/log-in");
    res.send("page");
  },
  "sends twice": (res) => {
    res.send("a");
    res.send("b");
  },
  "sends twice, the second time later": async (res) => {
    res.send("a");
    await new Promise((resolve) => setTimeout(resolve, 5));
    res.send("b");
  },
  "sends JSON twice": (res) => {
    res.json({ a: 1 });
    res.json({ b: 2 });
  },
  "sends a cycle": (res) => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    res.json(cycle);
  },
  "sends a file and goes on": (res) => {
    res.sendFile(new URL("./run.ts", import.meta.url).pathname);
    res.send("page");
  },
  "sends a file that is not there": (res) => res.sendFile("/nowhere/at/all"),
  "sends a status that is none": (res) => res.status(42).send("a"),
  "sends and calls next": (res, req) => {
    res.send("a");
    req.next();
  },
  "sends and calls next with an error": (res, req) => {
    res.send("a");
    req.next(new Error("mine"));
  },
  "renders without an engine": (res) => res.render("index"),
  "throws a string": () => {
    throw "mine";
  },
  "opens after it sent": async (res, _req, touch) => {
    res.send("a");
    await touch();
  },
};

/** Handlers of Fastify. */
export const FASTIFY_ROWS: Record<string, FastifyRow> = {
  "sends and returns": (reply) => {
    reply.send("a");
    return { b: 1 };
  },
  "sends twice": (reply) => {
    reply.send("a");
    reply.send("b");
    return reply;
  },
  "sends, then throws": (reply) => {
    reply.send("a");
    throw new Error("mine");
  },
  "returns nothing": () => undefined,
  "redirects and goes on": (reply) => {
    reply.redirect("/log-in");
    return "page";
  },
  "sends a number": (reply) => reply.send(123),
  "sends a number as text": (reply) => reply.type("text/plain").send(123),
  "throws a string": () => {
    throw "mine";
  },
  "hijacks": (reply) => {
    reply.hijack();
    reply.raw.end("a");
  },
  "hijacks and returns": (reply) => {
    reply.hijack();
    reply.raw.end("a");
    return "b";
  },
  "ends the raw answer and returns": (reply) => {
    reply.raw.end("a");
    return "b";
  },
  "opens after it sent": async (reply, _request, touch) => {
    reply.send("a");
    await touch();
    return reply;
  },
};
