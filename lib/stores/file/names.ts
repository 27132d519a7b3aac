/** Names: the path of a session's file, and the key that belongs to a file's name. */
import { isId } from "../../id.ts";

/** The end of the name of an incomplete file. The file is renamed or linked when it is complete. */
export const TEMPORARY = ".tmp";
/** The end of the name of a corrupt record that the store has moved out of the way. */
export const CORRUPT = ".corrupt";
/** The name of the file by which the store recognizes its own folder. */
export const SECRET = "folder.secret";

const EXTENSION = ".json";
/** How many of a key's digits name the subfolder. So there are up to 4096 subfolders. */
const SHARD_DIGITS = 3;
const SHARD = /^[0-9a-f]{3}$/;
const SESSION = /^[0-9a-f]{37}\.json$/;

/**
 * The path of a session's file.
 *
 * @throws {TypeError} if the key is not valid. So nothing but a key becomes part of a path.
 */
export function pathOf(dir: string, key: string): string {
  if (!isId(key)) throw new TypeError("Cannot use a session's key: it must be 40 lower-case hex digits");
  return `${dir}/${shardOf(key)}/${key.slice(SHARD_DIGITS)}${EXTENSION}`;
}

/** The name of the subfolder that a key's file is in. All keys of a group have the same subfolder. */
export function shardOf(keyOrGroup: string): string {
  return keyOrGroup.slice(0, SHARD_DIGITS);
}

/** The key of the session whose file has this name in this subfolder. */
export function keyIn(shard: string, name: string): string {
  return shard + name.slice(0, -EXTENSION.length);
}

/** Whether this is the name of a subfolder with sessions. */
export function isShard(name: string): boolean {
  return SHARD.test(name);
}

/** Whether this is the name of a session's file. */
export function isSession(name: string): boolean {
  return SESSION.test(name);
}

/** The keys of a group or a whole subfolder, from the names in the subfolder. It is lazy: there may be very many. */
export function* keysWithPrefix(groupOrShard: string, names: readonly string[]): Generator<string> {
  const start = groupOrShard.slice(SHARD_DIGITS);
  for (const name of names) if (name.startsWith(start) && isSession(name)) yield keyIn(shardOf(groupOrShard), name);
}
