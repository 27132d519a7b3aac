/** The same job with hono and hono-sessions; the sessions are in memory. */
// deno-lint-ignore no-import-prefix -- it has a lock file of its own
import { Hono } from "npm:hono@4.13.19";
// deno-lint-ignore no-import-prefix -- it has a lock file of its own
import { MemoryStore, type Session, sessionMiddleware } from "npm:hono-sessions@0.8.1";

type Visitor = { user: string; greet: string };
const app = new Hono<{ Variables: { session: Session<Visitor> } }>();

app.use(
  "*",
  sessionMiddleware({
    store: new MemoryStore(),
    encryptionKey: "a key of at least 32 characters for the cookie",
    expireAfterSeconds: 3600,
    cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true },
  }),
);

const escape = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

app.get("/", (context) => {
  const session = context.get("session");
  const user = session.get("user");
  const main = user
    ? `<p role="alert">${escape(session.get("greet") ?? "")}</p><h1>Hi, ${escape(user)}!</h1>`
    : `<h1>You Need to Register First!</h1><p><a href="/add">Register</a></p>`;
  return context.html(
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Session</title></head><body>${main}</body></html>`,
  );
});

app.post("/add", async (context) => {
  const { username } = await context.req.parseBody();
  const session = context.get("session");
  session.set("user", String(username));
  session.set("greet", `Successfully registered username - ${username}.`);
  return context.redirect("/", 303);
});

Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]), onListen() {} }, app.fetch);
