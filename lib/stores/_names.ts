/** Names: checks the names that an application may give to its keys, table or collection in a shared engine. */

const NAME = "[a-z_]\\w{0,47}";
const TABLE = new RegExp(`^(?!sqlite_)${NAME}$`, "i");
const QUALIFIED_TABLE = new RegExp(`^(${NAME}\\.)?${NAME}$`, "i");

/**
 * Checks the prefix of keys. The allowed characters have no special meaning in any engine, so they need no escape.
 *
 * @returns The prefix.
 * @throws {TypeError} if the prefix is empty, longer than 100 characters, or has other characters.
 */
export function checkPrefix(prefix: string): string {
  return check("prefix", prefix, /^[\w.:/-]{1,100}$/, "1 to 100 letters, digits or characters of _ . : / -");
}

/**
 * Checks the name of a table without a schema.
 *
 * @returns The name.
 * @throws {TypeError} if the name is invalid.
 */
export function checkTable(table: string): string {
  const needed = '1 to 48 letters, digits and "_", beginning with no digit and not with "sqlite_"';
  return check("table", table, TABLE, needed);
}

/**
 * Checks the name of a table with a schema or without.
 *
 * @returns The name.
 * @throws {TypeError} if the name is invalid.
 */
export function checkQualifiedTable(table: string): string {
  const needed = '1 to 48 letters, digits and "_", beginning with no digit, with a schema and "." before it or not';
  return check("table", table, QUALIFIED_TABLE, needed);
}

/**
 * Checks the name of a collection.
 *
 * @returns The name.
 * @throws {TypeError} if the name is invalid.
 */
export function checkCollection(collection: string): string {
  const needed = '1 to 100 letters, digits or characters of _ . -, beginning with a letter or "_", not with "system."';
  return check("collection", collection, /^(?!system\.)[A-Za-z_][\w.-]{0,99}$/, needed);
}

function check(option: string, name: string, pattern: RegExp, needed: string): string {
  if (pattern.test(name)) return name;
  throw new TypeError(`"${option}" must be ${needed}: received ${JSON.stringify(name)}`);
}
