/** Tools of the hostile tests: seeded random choices, mutations of a cookie, and bytes over a raw socket. */

/** Random choices that are the same in every run (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** An integer from 0 to below `bound`. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * bound);
  }

  pick<T>(choices: ArrayLike<T>): T {
    return choices[this.below(choices.length)]!;
  }

  /** Text of up to `length` characters out of `alphabet`. */
  text(length: number, alphabet: string): string {
    return Array.from({ length: this.below(length + 1) }, () => this.pick(alphabet)).join("");
  }
}

const HEX = "0123456789abcdef";
const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");
/** Characters that a header may have: the tab, printable ASCII, and the bytes from 128 on. */
export const HEADER_CHARS = `\t${PRINTABLE}${
  Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join("")
}`;

/** Values that unsafe code would interpret: paths, markup, names of prototypes, numbers. */
export const NASTY = [
  "../../../../etc/passwd",
  "..%2f..%2fetc%2fpasswd",
  "..\\..\\windows\\win.ini",
  "/etc/passwd",
  "C:\\boot.ini",
  "secret.key",
  "../secret.key",
  "%00",
  "a%00.json",
  "file:///etc/passwd",
  "__proto__",
  "constructor",
  "${7*7}",
  "<script>alert(1)</script>",
  "' OR 1=1 --",
  "\xff\xfe\xe9",
  "\xc0\xae\xc0\xae/",
  "{}",
  "null",
  "undefined",
  "NaN",
  "-1",
  "1e309",
  "",
  " ",
  ".",
  "..",
  "=",
  "==",
  "x".repeat(300),
  ".".repeat(300),
  "../../".repeat(100),
];

/**
 * A `Cookie` header made from a valid one (`session=ID.SIGNATURE`), but never the valid one itself.
 *
 * @param other A valid cookie of another session. Parts of it are mixed in.
 */
export function mutateCookie(random: Random, right: string, other: string): string {
  while (true) {
    const header = mutate(random, right, other);
    const values = header.split(";").map((pair) => pair.trim());
    if (!values.includes(right) && !values.includes(other)) return header;
  }
}

function mutate(random: Random, right: string, other: string): string {
  const at = random.below(right.length);
  const value = right.slice(right.indexOf("=") + 1);
  const [id, signature] = value.split(".") as [string, string];
  switch (random.below(14)) {
    case 0: // one character
      return right.slice(0, at) + random.pick(HEADER_CHARS) + right.slice(at + 1);
    case 1: // the last character, where base64url has several spellings
      return right.slice(0, -1) + random.pick(BASE64URL);
    case 2: // cut
      return right.slice(0, at);
    case 3: // longer
      return right + random.text(20, BASE64URL);
    case 4: // two characters change places
      return right.slice(0, at) + right.slice(at + 1, at + 2) + right.slice(at, at + 1) + right.slice(at + 2);
    case 5: // another id under the signature
      return `session=${Array.from(id, () => random.pick(HEX)).join("")}.${signature}`;
    case 6: // another signature on the id
      return `session=${id}.${Array.from({ length: 43 }, () => random.pick(BASE64URL)).join("")}`;
    case 7: // the signature of the other id
      return `session=${id}.${other.slice(other.indexOf(".") + 1)}`;
    case 8: // upper and lower case
      return `session=${random.pick([id.toUpperCase(), id])}.${
        random.pick([signature.toUpperCase(), signature.toLowerCase()])
      }`;
    case 9: // a path for an id
      return `session=${random.pick(NASTY)}.${signature}`;
    case 10: // nothing but a nasty thing
      return `session=${random.pick(NASTY)}`;
    case 11: // in quotes, under other names, with blanks
      return random.pick([
        `session="${value}"`,
        `Session=${value}`,
        `session =${value}`,
        `session=${encodeURIComponent(`${value} `)}`,
      ]);
    case 12: // several, all of them wrong
      return Array.from({ length: 1 + random.below(5) }, () => mutate(random, right, other)).join(
        random.pick(["; ", ";", ";;", ","]),
      );
    default: // noise
      return random.pick(["session=", "session", "=", "=session", ";"]) + random.text(300, HEADER_CHARS);
  }
}

/** A string as bytes, one byte per character, as HTTP/1 sends it. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/**
 * Sends bytes to a server.
 *
 * @param port The server's port on 127.0.0.1.
 * @param sent The bytes to send, one per character.
 * @param wait The longest time to read, in milliseconds, if the server does not close the connection.
 * @param isAll Whether to close the sending side, so that the server knows that no more bytes come.
 * @returns The answer, one byte per character, and whether the server closed the connection.
 */
export async function exchange(
  port: number,
  sent: string,
  wait = 5000,
  isAll = false,
): Promise<{ text: string; status: number; closed: boolean }> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  let text = "";
  let closed = true;
  const timer = setTimeout(() => {
    closed = false;
    connection.close();
  }, wait);
  try {
    for (let rest = bytes(sent); rest.length > 0;) rest = rest.subarray(await connection.write(rest));
    if (isAll) await connection.closeWrite();
    for await (const chunk of connection.readable) text += String.fromCharCode(...chunk);
  } catch {
    // The server reset the connection, or it took too long.
  }
  clearTimeout(timer);
  if (closed) {
    try {
      connection.close();
    } catch {
      // The end of the readable stream has closed it.
    }
  }
  return { text, status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), closed };
}
