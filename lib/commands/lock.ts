/** `deno run -P lib/commands/lock.ts`: prints the path of the lock file for the store that `SESSION_URL` names. */
import { STORES } from "../stores/table.ts";

const root = new URL("../../", import.meta.url);

/**
 * Finds the lock file with the client of a store. Deno downloads every package of the lock file in use, so each client
 * has a lock file of its own, and the default start downloads none.
 *
 * @param url The value of `SESSION_URL`: every store with a client needs one.
 * @returns The path of the lock file, relative to the project.
 */
export function lockFor(url = ""): string {
  const scheme = /^[a-z0-9+.-]+:/.exec(url.trim().toLowerCase())?.[0] ?? "";
  // SQLAlchemy's addresses may name a driver, as "postgresql+psycopg2:" does.
  const known = [scheme, scheme.replace(/\+.*/, ":")];
  const entry = Object.values(STORES).find(({ schemes }) => schemes.some((one) => known.includes(one)));
  const lock = `lib/stores/${entry?.module.replace("store.ts", "client.lock")}`;
  return isFile(lock) ? lock : "deno.lock";
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, root)).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) console.log(lockFor(Deno.env.get("SESSION_URL")));
