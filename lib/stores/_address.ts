/** Parses the addresses of engines, and refuses an address if a part of it cannot be used. */

/**
 * Parses the address of a server. No message repeats the address, because it may contain a password.
 *
 * @param address The address.
 * @param example An example of an address, for the messages.
 * @param schemes The allowed schemes, such as `"rediss:"`.
 * @throws {TypeError} if the address is invalid, or has another scheme or a fragment.
 */
export function parseAddress(address: string, example: string, schemes: readonly string[]): URL {
  const must = `the address must be like ${example}`;
  let url: URL;
  try {
    url = new URL(address);
    decodeURIComponent(url.username + url.password);
  } catch {
    throw new TypeError(`${must}: ${faultOf(address)}`);
  }
  if (!schemes.includes(url.protocol)) throw new TypeError(`${must}: received the scheme "${url.protocol}"`);
  if (url.hash !== "") throw new TypeError(`${must}: a "#" in it must be written as %23`);
  if (url.port === "0") throw new TypeError(`${must}: ${PORT}`);
  return url;
}

const PORT = "the port must be a whole number from 1 to 65535";

/** The reason why an address is invalid. It does not show the port, because a password may be in the port's place. */
function faultOf(address: string): string {
  const [, authority = ""] = /^[^/?#]*:\/\/([^/?#]*)/.exec(address) ?? [];
  const [, port] = /^(?:.*@)?(?:\[.*\]|[^:@]+):([^:@]+)$/.exec(authority) ?? [];
  const isWhole = authority.includes("@") || !address.includes("@");
  if (port !== undefined && isWhole && !(Number(port) >= 1 && Number(port) <= 65_535)) return PORT;
  return "characters such as % / @ : # in a name or password must be percent-encoded, and the host must be a name or " +
    "an IP address";
}

/**
 * Refuses parameters of an address that would not be used, because the author of the address relies on them.
 *
 * @param url The address.
 * @param known The parameters that are allowed once.
 * @param repeatable The parameters that are allowed several times.
 * @throws {TypeError} if there is another parameter, or one of `known` is given twice.
 */
export function checkParameters(url: URL, known: readonly string[], repeatable: readonly string[] = []): void {
  for (const name of url.searchParams.keys()) {
    if (![...known, ...repeatable].includes(name)) {
      const usable = [...known, ...repeatable].map((name) => `"${name}"`).join(", ") || "none";
      throw new TypeError(`the address has a parameter that cannot be used: "${name}" (usable: ${usable})`);
    }
    if (!repeatable.includes(name) && url.searchParams.getAll(name).length > 1) {
      throw new TypeError(`the address has the parameter "${name}" more than once`);
    }
  }
}
