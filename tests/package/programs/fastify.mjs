/** Fastify 5 with the package: a session is kept, a log-in gives a new cookie, a log-out ends it. */
import middie from "@fastify/middie";
import { MemoryStore, SessionManager } from "@session-server/sessions";
import { nodeSessions } from "@session-server/sessions/node";
import fastify from "fastify";
import { visit } from "./visit.mjs";

const manager = new SessionManager({ store: new MemoryStore(), keys: ["only for trying it out: 32 bytes or more"] });
const { middleware, open } = nodeSessions(manager);

const app = fastify();
await app.register(middie);
app.use(middleware);
app.get("/", async ({ raw }) => `Hello, ${(await open(raw)).user ?? "stranger"}`);
app.post("/log-in", async ({ raw }, reply) => {
  (await open(raw)).logIn("ada");
  return reply.redirect("/", 303);
});
app.post("/log-out", async ({ raw }, reply) => {
  (await open(raw)).logOut();
  return reply.redirect("/", 303);
});
app.get("/fails", async ({ raw }) => {
  (await open(raw)).logOut();
  throw new Error("mine");
});

await visit(await app.listen({ port: 0, host: "127.0.0.1" }));
await app.close();
console.log("ok");
