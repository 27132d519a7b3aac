/** TypeScript must accept every export of the package on Node, with `strict` and without `skipLibCheck`. */
import { honoSessions } from "@session-server/sessions/hono";
import { MemcachedStore } from "@session-server/sessions/memcached";
import { MongoStore } from "@session-server/sessions/mongodb";
import { nodeSessions } from "@session-server/sessions/node";
import { PostgresStore } from "@session-server/sessions/postgres";
import { RedisStore } from "@session-server/sessions/redis";
import { MemoryStore, type SessionData, SessionManager, type SessionStore } from "@session-server/sessions";
import { SqliteStore } from "@session-server/sessions/sqlite";
import { EntryStore, type StoreOptions } from "@session-server/sessions/store";
import { withTelemetry } from "@session-server/sessions/telemetry";
import { Clock, cookieFor, testStore } from "@session-server/sessions/testing";
import express from "express";
import { Hono } from "hono";

interface Shop {
  cart: string[];
}

const stores: SessionStore[] = [
  new MemoryStore({ now: new Clock().now }),
  new SqliteStore({ path: "sessions.db" }),
  new RedisStore({ url: "redis://127.0.0.1" }),
  new PostgresStore({ url: "postgres://ada@127.0.0.1/app" }),
  new MongoStore({ url: "mongodb://127.0.0.1/app" }),
  new MemcachedStore({ url: "memcached://127.0.0.1" }),
];
const keys = ["only for trying it out: 32 bytes or more"];
const sessions = new SessionManager<Shop>(withTelemetry({ store: stores[0]!, keys }));

const { middleware, open } = nodeSessions(sessions);
const app = express();
app.use(middleware);
app.get("/", async (request, response) => {
  const cart: readonly string[] | undefined = (await open(request)).get("cart");
  response.json(cart);
});

const hono = honoSessions(sessions);
new Hono().use(hono.middleware).get("/", async (c) => c.json((await hono.open(c)).get("cart") ?? []));

export const handler: (request: Request) => Promise<Response> = sessions.wrap(async (_request, open) => {
  (await open()).update("cart", (cart = []) => [...cart, "tea"]);
  return new Response();
});
export const cookie: Promise<string> = cookieFor(sessions, { cart: ["tea"] });
export const data: SessionData = { cart: ["tea"] };
export const base: typeof EntryStore = EntryStore;
export const options: StoreOptions = { max: 10 };
export const suite: typeof testStore = testStore;

const dated = new SessionManager<{ since: Date }>({ store: stores[0]!, keys: [] });
// @ts-expect-error A date is no JSON.
dated.open(new Request("http://localhost/")).then((session) => session.set("since", new Date()));
