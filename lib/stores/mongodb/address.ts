/** Checks the address of a MongoDB, and refuses options that the store must set itself. */

const HOST = String.raw`(?:\[[0-9A-Fa-f:.]+\]|[^:@/?#,\s[\]]+)(?::\d+)?`;
// An address that does not match may have a password anywhere, so no message shows a part of it.
const SHAPE = new RegExp(
  String.raw`^mongodb(?:\+srv)?://(?:[^@/?#\s]*@)?(?<hosts>${HOST}(?:,${HOST})*)(?:/[^@/?#\s]*)?` +
    String.raw`(?:\?(?<options>[A-Za-z]+=[^#&\s]*(?:&[A-Za-z]+=[^#&\s]*)*))?$`,
);

/** The only allowed values of these options, by their names in lower case. The store depends on them. */
const ONLY: ReadonlyMap<string, readonly string[]> = new Map([
  ["w", ["majority"]],
  ["readpreference", ["primary"]],
  ["readconcernlevel", ["majority"]],
  ["journal", ["true"]],
]);

/** The options that the store sets itself, so that every verb ends in time and reads from the primary. */
const OWN: readonly string[] = [
  ...["timeoutms", "serverselectiontimeoutms", "connecttimeoutms", "sockettimeoutms", "waitqueuetimeoutms"],
  ...["wtimeoutms", "wtimeout", "readpreferencetags", "maxstalenessseconds"],
];

/**
 * Checks an address. The client checks the other options, and refuses those that it does not know.
 *
 * @param url The address. No message repeats it, because it may contain a password.
 * @returns The hosts, for messages.
 * @throws {TypeError} if the address is invalid, or has an option that the store does not allow.
 */
export function checkAddress(url: string): string {
  const { hosts, options = "" } = SHAPE.exec(url)?.groups ?? {};
  if (hosts === undefined || !isEncoded(url)) {
    throw new TypeError(
      "the address must be like mongodb://user:password@host:port/database or mongodb+srv://…: " +
        "characters such as % / @ : # in a name or password must be percent-encoded",
    );
  }
  for (const [, port] of hosts.matchAll(/:(\d+)(?=,|$)/g)) {
    if (Number(port) < 1 || Number(port) > 65_535) {
      throw new TypeError(`the port in the address must be from 1 to 65535: received ${port}`);
    }
  }
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(options)) {
    const key = name.toLowerCase();
    if (OWN.includes(key)) throw new TypeError(`the address must leave "${name}" to the store`);
    if (seen.has(key)) throw new TypeError(`the address has the parameter "${name}" more than once`);
    seen.add(key);
    const allowed = ONLY.get(key);
    if (allowed !== undefined && !allowed.includes(value)) {
      throw new TypeError(`"${name}" in the address must be ${allowed.join(" or ")}: received "${value}"`);
    }
  }
  return hosts;
}

function isEncoded(url: string): boolean {
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    return false;
  }
}
