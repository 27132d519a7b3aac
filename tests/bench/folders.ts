/** Folders full of sessions, as the file store would have left them. */
import { FileStore } from "../../lib/stores/file/store.ts";
import { SessionManager } from "../../lib/session_manager.ts";

/** The key that signs the cookies. */
export const KEY = "a key of the benchmark, of at least 32 bytes";

const HOUR = 3_600_000;

/** Writes `count` session files that nobody has the cookie of, all ending (or ended) at `expires`. */
export function fill(dir: string, count: number, expires: number): void {
  Deno.mkdirSync(dir, { mode: 0o700, recursive: true });
  for (let shard = 0; shard < 256; shard++) Deno.mkdirSync(`${dir}/${hex(shard)}`, { mode: 0o700, recursive: true });
  const created = Date.now();
  const data = { user: "somebody", greet: "Successfully registered username - somebody." };
  const bytes = new TextEncoder().encode(
    JSON.stringify({ version: 1, written: created, created, ends: created + 12 * HOUR, expires, data }),
  );
  const mtime = new Date(expires);
  for (let made = 0; made < count; made++) {
    const id = crypto.getRandomValues(new Uint8Array(16)).toHex();
    const path = `${dir}/${id.slice(0, 2)}/${id.slice(2)}.json`;
    const file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    file.writeSync(bytes);
    file.utimeSync(mtime, mtime);
    file.close();
  }
}

/** Registers `count` visitors and returns their cookies. */
export async function addActive(dir: string, count: number): Promise<string[]> {
  const store = new FileStore({ dir, max: 10_000_000 });
  const sessions = new SessionManager<{ user: string; greet: string }>({ store, keys: [KEY], idle: 3600 });
  const register = sessions.wrap(async (_request, open) => {
    const session = await open();
    session.set("user", "alice");
    session.set("greet", "Successfully registered username - alice.");
    return new Response();
  });
  const cookies: string[] = [];
  for (let made = 0; made < count; made++) {
    const response = await register(new Request("http://localhost/"));
    cookies.push(response.headers.getSetCookie()[0]!.split(";")[0]!);
  }
  await sessions.close();
  return cookies;
}

/** How many session files have an mtime, the end of their session, that `matches`. */
export function countSessions(dir: string, matches: (mtime: number) => boolean): number {
  let count = 0;
  for (const shard of Deno.readDirSync(dir)) {
    if (!shard.isDirectory) continue;
    for (const { name } of Deno.readDirSync(`${dir}/${shard.name}`)) {
      const { mtime } = Deno.statSync(`${dir}/${shard.name}/${name}`);
      if (name.endsWith(".json") && matches(mtime!.getTime())) count++;
    }
  }
  return count;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
