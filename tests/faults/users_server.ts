/** A server with the library: logs users in, answers the user's name, and ends all sessions of a user. */
import { FileStore, SessionManager } from "../../lib/mod.ts";
import { SqliteStore } from "../../lib/stores/sqlite/store.ts";

const dir = Deno.env.get("SESSION_FILE_DIR")!;
const store = Deno.env.get("SESSION_TYPE") === "sqlite"
  ? new SqliteStore({ path: `${dir}/sessions.db` })
  : new FileStore({ dir });
await store.ready?.();
const sessions = new SessionManager({ store, keys: ["a secret key of at least 32 bytes"] });
const handler = sessions.wrap(async (request, open) => {
  const url = new URL(request.url);
  const user = url.searchParams.get("user") ?? "";
  if (url.pathname === "/end-all") return new Response(String(await sessions.endAll(user)));
  const session = await open();
  if (url.pathname === "/log-in") session.logIn(user);
  if (url.pathname === "/log-out") session.logOut();
  return new Response(session.user ?? "no one");
});
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`Listening on http://127.0.0.1:${port}/`),
}, (request) => handler(request));
