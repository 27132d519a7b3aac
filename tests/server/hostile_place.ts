/** A server for the hostile requests of one test, and the files that it leaves in its folder. */
import { assert, assertEquals } from "@std/assert";
import { exchange } from "../support/fuzz.ts";
import { Server } from "../support/server.ts";

export const KEY = "the key that these tests sign with of 32 bytes or more";

/** Runs a test against its own server, which must still run at the end. Returns the server, stopped. */
export async function withServer(
  env: Record<string, string>,
  fn: (
    context: { server: Server; port: number; dir: string; send: (request: string) => ReturnType<typeof exchange> },
  ) => Promise<void>,
): Promise<Server> {
  const dir = await Deno.makeTempDir();
  const server = await Server.start({ SECRET_KEY: KEY, SESSION_FILE_DIR: dir, ...env });
  try {
    const port = Number(new URL(server.origin).port);
    // The start line and headers; the rest is the same in most requests.
    const send = (request: string) => exchange(port, `${request}\r\nConnection: close\r\n\r\n`);
    await fn({ server, port, dir, send });
    const { host } = new URL(env.ORIGIN ?? server.origin);
    assertEquals((await send(`GET /healthz HTTP/1.1\r\nHost: ${host}`)).status, 200, "it is still there");
    assertEquals(await server.stop(), 0);
    assert(!/^\s+at /m.test(server.stderr), `a stack trace: ${server.stderr}`);
    return server;
  } finally {
    await server.kill();
    await Deno.remove(dir, { recursive: true });
  }
}

/** The names of all session files below a folder. */
export function filesIn(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${dir}/${name}`) : name.endsWith(".json") ? [`${dir}/${name}`] : []
  );
}
