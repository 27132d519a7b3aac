/** Prefixes: the characters that the keys of a store may begin with. */

/**
 * Checks what keys begin with: characters that mean nothing to any engine, so that they need no escape.
 *
 * @throws {TypeError} if the prefix is empty, longer than 100 characters, or has other characters.
 */
export function checkPrefix(prefix: string): string {
  if (/^[\w.:/-]{1,100}$/.test(prefix)) return prefix;
  const received = JSON.stringify(prefix);
  throw new TypeError(`"prefix" must be 1 to 100 letters, digits or characters of _ . : / -: received ${received}`);
}
