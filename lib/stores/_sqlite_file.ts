/** Recognizes the files of SQLite databases. A file of Deno KV is one, too. */
import { statSync } from "node:fs";

/** The identity of the file at a path. It is the same string for the same file, and empty if there is no file. */
export function fileAt(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.dev}:${stat.ino}`;
}

/**
 * Whether a file is an SQLite database. Its first bytes show that.
 *
 * @param path The path of the file. An unreadable file counts as a database: the attempt to open it then says why.
 */
export function isDatabase(path: string): boolean {
  try {
    const file = Deno.openSync(path);
    try {
      const start = new Uint8Array(16);
      file.readSync(start);
      return new TextDecoder().decode(start) === "SQLite format 3\0";
    } finally {
      // There is no `using`, because the library must also load on Node 22, which does not know it.
      file.close();
    }
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}
