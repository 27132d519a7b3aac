/** SQLite's files: how one is recognised. Deno KV keeps its data in such a file, too. */
import { statSync } from "node:fs";

/** The file that a path names, as a string: the same one for the same file, an empty one for none. */
export function fileAt(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.dev}:${stat.ino}`;
}

/**
 * Whether a file is one of SQLite's, by its first bytes.
 *
 * @param path Its path. A file that cannot be read counts as one, so that opening it gives the reason.
 */
export function isDatabase(path: string): boolean {
  try {
    const file = Deno.openSync(path);
    try {
      const start = new Uint8Array(16);
      file.readSync(start);
      return new TextDecoder().decode(start) === "SQLite format 3\0";
    } finally {
      // By hand: Node 22, where the library is parsed too, has no `using`.
      file.close();
    }
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}
