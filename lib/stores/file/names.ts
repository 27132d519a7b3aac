/** The names in a store's folder: the path of a session's file, and the key that a name stands for. */
import { isId } from "../../id.ts";

/** The end of the name of a file that will be renamed or linked when it is whole. */
export const TEMPORARY = ".tmp";
/** The end of the name of a corrupt record that was put aside. */
export const CORRUPT = ".corrupt";
/** The name of the file by which the store recognises its own folder. */
export const SECRET = "folder.secret";

const EXTENSION = ".json";
/** How many of a key's digits name the folder, so that there are 4096 of them. */
const SHARD_DIGITS = 3;
const SHARD = /^[0-9a-f]{3}$/;
const SESSION = /^[0-9a-f]{37}\.json$/;

/**
 * The path of a session's file.
 *
 * @throws {TypeError} if it is not a key: nothing else ever becomes part of a path.
 */
export function pathOf(dir: string, key: string): string {
  if (!isId(key)) throw new TypeError("Cannot use a session's key: it must be 40 lower-case hex digits");
  return `${dir}/${shardOf(key)}/${key.slice(SHARD_DIGITS)}${EXTENSION}`;
}

/** The folder that a key's file is in. All keys of a group have the same. */
export function shardOf(keyOrGroup: string): string {
  return keyOrGroup.slice(0, SHARD_DIGITS);
}

/** The key of the session whose file has this name in this folder. */
export function keyIn(shard: string, name: string): string {
  return shard + name.slice(0, -EXTENSION.length);
}

/** Whether a name is that of a folder with sessions. */
export function isShard(name: string): boolean {
  return SHARD.test(name);
}

/** Whether a name is that of a session's file. */
export function isSession(name: string): boolean {
  return SESSION.test(name);
}

/** The keys of a group or a whole subfolder, by the names in it: one after the other, as there may be very many. */
export function* keysOf(groupOrShard: string, names: readonly string[]): Generator<string> {
  const start = groupOrShard.slice(SHARD_DIGITS);
  for (const name of names) if (name.startsWith(start) && isSession(name)) yield keyIn(shardOf(groupOrShard), name);
}
