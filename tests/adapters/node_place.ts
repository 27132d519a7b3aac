/** Servers of node:http with sessions, for the tests of the adapter. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type NodeSessions, nodeSessions } from "../../lib/adapters/node.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { type Data, KEY } from "../support/site.ts";
import { Browser } from "../support/server.ts";

/** Sessions for node:http, over a store. */
export function sessionsOf(store = new MemoryStore()) {
  const manager = new SessionManager<Data>({ store, keys: [KEY] });
  return { manager, ...nodeSessions(manager) };
}

/** The manager, and the functions of its adapter. */
export type Sessions = NodeSessions<Data> & { manager: SessionManager<Data> };

/** Serves with a handler of each framework, lets a test visit it, and stops. */
export async function serving(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  test: (b: Browser) => Promise<void>,
) {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await test(new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
