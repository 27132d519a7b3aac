/** The names in a store's folder: where a session's file is, and what its name says. */
import { createHash } from "node:crypto";
import { isId } from "../../id.ts";

/** What is written beside a session's file, to be renamed over it. */
export const TEMPORARY = ".tmp";
/** What a corrupt record's name ends in when it was put aside. */
export const CORRUPT = ".corrupt";

const EXTENSION = ".json";
/** How many of an id's digits name the folder, so that there are 4096 of them. */
const SHARD_DIGITS = 3;
const SHARD = /^[0-9a-f]{3}$/;
const SESSION = /^[0-9a-f]{37}\.json$/;

/**
 * The path of a session's file.
 *
 * @throws {TypeError} if it is no id: nothing else ever becomes part of a path.
 */
export function pathOf(dir: string, id: string): string {
  if (!isId(id)) throw new TypeError("Cannot use a session's key: it must be 40 lower-case hex digits");
  return `${dir}/${shardOf(id)}/${id.slice(SHARD_DIGITS)}${EXTENSION}`;
}

/** The folder that an id's file is in. */
export function shardOf(id: string): string {
  return id.slice(0, SHARD_DIGITS);
}

/** What the keys of a user's sessions begin with: 8 lower-case hex digits. */
export function groupOf(user: string): string {
  return createHash("sha256").update(user).digest("hex").slice(0, 8);
}

/** The folder that all sessions of a user are in, and what the names of their files begin with. */
export function placeOf(user: string): { shard: string; prefix: string } {
  const group = groupOf(user);
  return { shard: shardOf(group), prefix: group.slice(SHARD_DIGITS) };
}

/** The id of the session whose file has this name in this folder. */
export function idOf(shard: string, name: string): string {
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

/**
 * Makes sure that a user's session will be found by its id.
 *
 * @throws {TypeError} if the id was not made for the user.
 */
export function checkOwner(id: string, user: string | undefined): void {
  if (user !== undefined && !id.startsWith(groupOf(user))) {
    throw new TypeError("Cannot store a session of a user: its key must begin with what groupOf() gives for the user");
  }
}
