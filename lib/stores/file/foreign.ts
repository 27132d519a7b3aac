/** Foreign: finds files of other programs, so that no other program's folder is used as a folder of sessions. */
import { isDatabase } from "../_sqlite_file.ts";
import { isMissing } from "./calls.ts";
import { CORRUPT, isShard, SECRET, TEMPORARY } from "./names.ts";

/** Files that SQLite and its store put beside a database. */
const BESIDE_DATABASE = /-(wal|shm|journal|reserve)$/;

/**
 * The first name in a folder that belongs to no session store, no key and no database.
 *
 * @param dir The folder.
 * @returns The name, or `undefined` if there is none, or no folder.
 */
export function foreignIn(dir: string): string | undefined {
  try {
    return Array.from(Deno.readDirSync(dir)).find((entry) => !isOwn(dir, entry))?.name;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isOwn(dir: string, { name, isDirectory, isFile }: Deno.DirEntry): boolean {
  if (name.startsWith(".") || name.endsWith(TEMPORARY) || name.endsWith(CORRUPT)) return true;
  if (isDirectory) return isShard(name) || name === "lost+found";
  return isFile &&
    (name === "secret.key" || name === SECRET || isDatabase(`${dir}/${name.replace(BESIDE_DATABASE, "")}`));
}
