/** A small server that counts the visits of a session. Two requests at the same time could make it lose one. */
import { FileStore, SessionManager } from "../../lib/mod.ts";

const sessions = new SessionManager<{ visits: number }>({
  store: new FileStore({ dir: Deno.env.get("SESSION_FILE_DIR")! }),
  keys: ["a secret key of at least 32 bytes"],
});
const handler = sessions.wrap(async (_request, open) => {
  const session = await open();
  session.update("visits", (visits = 0) => visits + 1);
  // Other requests run between the reading and the storing.
  await new Promise((resolve) => setTimeout(resolve, 2 * Math.random()));
  return new Response();
});
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`Listening on http://127.0.0.1:${port}/`),
}, (request) => handler(request));
