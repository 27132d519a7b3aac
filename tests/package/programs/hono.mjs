/** Hono on Node's server with the package: a session is kept, a log-in gives a new cookie, a log-out ends it. */
import { serve } from "@hono/node-server";
import { MemoryStore, SessionManager } from "@session-server/sessions";
import { honoSessions } from "@session-server/sessions/hono";
import { Hono } from "hono";
import { visit } from "./visit.mjs";

const manager = new SessionManager({ store: new MemoryStore(), keys: ["only for trying it out: 32 bytes or more"] });
const { middleware, open } = honoSessions(manager);

const app = new Hono();
app.use(middleware);
app.get("/", async (c) => c.text(`Hello, ${(await open(c)).user ?? "stranger"}`));
app.post("/log-in", async (c) => {
  (await open(c)).logIn("ada");
  return c.redirect("/", 303);
});
app.post("/log-out", async (c) => {
  (await open(c)).logOut();
  return c.redirect("/", 303);
});
app.get("/fails", async (c) => {
  (await open(c)).logOut();
  throw new Error("mine");
});
app.onError((error, c) => c.text(error.message, 500));

const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
await new Promise((resolve) => server.once("listening", resolve));
await visit(`http://127.0.0.1:${server.address().port}`);
server.close();
console.log("ok");
