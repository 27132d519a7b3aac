/** Express 5 with the package: a session is kept, a log-in gives a new cookie, a log-out ends it. */
import assert from "node:assert/strict";
import { MemoryStore, SessionManager } from "@session-server/sessions";
import { nodeSessions } from "@session-server/sessions/node";
import express from "express";
import { visit } from "./visit.mjs";

const manager = new SessionManager({ store: new MemoryStore(), keys: ["only for trying it out: 32 bytes or more"] });
const { middleware, open } = nodeSessions(manager);

const app = express();
app.use(middleware);
app.get("/", async (request, response) => {
  response.send(`Hello, ${(await open(request)).user ?? "stranger"}`);
});
app.post("/log-in", async (request, response) => {
  (await open(request)).logIn("ada");
  response.redirect(303, "/");
});
app.post("/log-out", async (request, response) => {
  (await open(request)).logOut();
  response.redirect(303, "/");
});
app.get("/fails", async (request) => {
  (await open(request)).logOut();
  throw Object.assign(new Error("mine"), { status: 500 });
});
app.use((error, _request, response, _next) => response.status(500).send(error.message));

const server = app.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
await visit(`http://127.0.0.1:${server.address().port}`);
server.close();
assert.ok(manager.counters !== undefined);
console.log("ok");
