/** Foreign files: finds other programs' files, so that the store does not use the folder of another program. */
import { isDatabase } from "../_sqlite_file.ts";
import { isMissing } from "./calls.ts";
import { CORRUPT, isShard, SECRET, TEMPORARY } from "./names.ts";

/** The ends of the names of files that SQLite and its store put beside a database. */
const BESIDE_DATABASE = /-(wal|shm|journal|reserve)$/;

/**
 * Finds a file or folder that is neither a session store's, nor a secret key, nor an SQLite database.
 *
 * @param dir The folder to search.
 * @returns The first such name; `undefined` if there is none, or no folder.
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
