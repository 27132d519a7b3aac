/** A server that counts a session's visits, on a free port: the smallest one that two requests could make lose one. */
import { FileStore, SessionManager } from "../../lib/mod.ts";

const sessions = new SessionManager<{ visits: number }>({
  store: new FileStore({ dir: Deno.env.get("SESSION_FILE_DIR")! }),
  keys: ["a secret key of at least 32 bytes"],
});
const handler = sessions.wrap(async (_request, open) => {
  const session = await open();
  session.update("visits", (visits = 0) => visits + 1);
  // Others get their turn between the reading and the storing.
  await new Promise((resolve) => setTimeout(resolve, 2 * Math.random()));
  return new Response();
});
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`Listening on http://127.0.0.1:${port}/`),
}, (request) => handler(request));
