/**
 * SessionCookie: from options to headers and back. It checks the attributes, reads the `Cookie` header, and writes the
 * cookie that carries an id or deletes it; the only user of Signer.
 *
 * @module
 */
import { setCookie as stdSetCookie } from "@std/http/cookie";
import { Cache } from "./_cache.ts";
import { keyOf } from "./id.ts";
import { BOOLEAN, checkOptions, oneOf, type Rule } from "./_options.ts";
import { Signer } from "./signer.ts";

/** How the session cookie is sent. The defaults are the strict ones that work over plain http as well. */
export interface CookieOptions {
  /** Its name: `session` unless given. Let it start with `__Host-` where the site is served over https. */
  readonly name?: string | undefined;
  /** The domain it is also sent to, subdomains included; without it, only to the host that set it. */
  readonly domain?: string | undefined;
  /** The path below which it is sent: `/` unless given. */
  readonly path?: string | undefined;
  /** Whether scripts cannot read it: `true` unless given. */
  readonly httpOnly?: boolean | undefined;
  /** Whether it is sent over https only: `false` unless given. */
  readonly secure?: boolean | undefined;
  /** When other sites' requests carry it: `Lax` unless given. */
  readonly sameSite?: "Strict" | "Lax" | "None" | undefined;
  /** Whether each top-level site that embeds this one has a cookie of its own (CHIPS): `false` unless given. */
  readonly partitioned?: boolean | undefined;
}

/** An id from a `Cookie` header. */
export interface SignedId {
  /** The id. */
  readonly value: string;
  /** The key under which the store keeps its session. */
  readonly key: string;
  /** Whether an older key signed it, so that it should be signed and sent again. */
  readonly stale: boolean;
}

/** What a `Cookie` header says. */
export interface CookieReading {
  /** The distinct ids that we signed: usually one. */
  readonly ids: readonly SignedId[];
  /** Whether there was a cookie of the name that we did not sign. */
  readonly refused: boolean;
  /** Whether there were more cookies of the name than are verified. Then none of them counts. */
  readonly tooMany: boolean;
}

interface Attributes {
  readonly name: string;
  readonly path: string;
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly sameSite: "Strict" | "Lax" | "None";
  readonly partitioned: boolean;
  readonly domain?: string;
}

const setCookie: (headers: Headers, cookie: Attributes & { value: string }) => void = stdSetCookie;

/** The longest a cookie's name may be, in bytes, so that name and value stay under 200. */
const MAX_NAME_LENGTH = 100;
/** An id and a signature, as `Signer.sign` makes them. */
const SIGNED_ID = /^[0-9a-f]{40}\.[A-Za-z0-9_-]{43}$/;
/** How many different cookies of the name are verified at most. A browser that sends more has been tampered with. */
const MAX_VERIFIED = 4;
/** How many cookies are deleted at once, at most. */
const MAX_DELETED = 24;
const FAILURE = "Cannot use the session cookie";
const RULES: Readonly<Record<string, Rule>> = {
  name: {
    needed: `1 to ${MAX_NAME_LENGTH} letters, digits or !#$%&'*+.^_\`|~-`,
    // RFC 6265, section 4.1.1, by way of RFC 9110's token.
    accepts: (name) =>
      typeof name === "string" && /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && name.length <= MAX_NAME_LENGTH,
  },
  domain: { needed: "a domain name such as example.com", accepts: isCookieDomain },
  path: { needed: 'a path that starts with "/", without spaces or ";", of at most 1024 bytes', accepts: isCookiePath },
  httpOnly: BOOLEAN,
  secure: BOOLEAN,
  sameSite: oneOf("Strict", "Lax", "None"),
  partitioned: BOOLEAN,
};
/** About how much an id and its key take in memory, in bytes. */
const KEY_BYTES = 300;
const NOTHING: CookieReading = { ids: [], refused: false, tooMany: false };

/**
 * Reads and writes the session cookie.
 *
 * @example
 * ```ts
 * import { SessionCookie } from "./session_cookie.ts";
 * import { keyOf, newId } from "./id.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const cookie = new SessionCookie({ sameSite: "Strict" }, ["a secret key of at least 32 bytes"]);
 * const id = newId();
 * const [pair = "", ...attributes] = cookie.issue(id, 60).split("; ");
 * assertEquals(attributes, ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=60"]);
 * assertEquals(cookie.read(pair).ids, [{ value: id, stale: false, key: keyOf(id) }]);
 * ```
 */
export class SessionCookie {
  /** Its name. */
  readonly name: string;
  #attributes: Attributes;
  #signer: Signer;
  #prefix: string;
  #suffix: string;
  #keys = new Cache<string>(4 * 1024 * 1024);

  /**
   * Checks the attributes.
   *
   * @param options What differs from the defaults; `undefined` is the same as not given.
   * @param keys The keys that sign the ids: the first signs, all of them verify.
   * @throws {TypeError} if there is no key, or browsers refuse an attribute.
   * @throws {RangeError} if a key is under 32 bytes.
   */
  constructor(options: CookieOptions | undefined, keys: readonly string[]) {
    this.#attributes = attributesOf(options);
    this.name = this.#attributes.name;
    this.#signer = new Signer(keys, `session id\0${this.name}`);
    this.#prefix = `${this.name}=`;
    this.#suffix = suffixOf(this.#attributes);
  }

  /**
   * Reads a `Cookie` header. Never throws, whatever it holds. Only space and tab are white space there, and names are
   * compared byte for byte (RFC 6265bis, section 5.6). The form of a value is checked before any signature.
   *
   * @param header The header's value, or `null` if there is none.
   */
  read(header: string | null): CookieReading {
    if (header === null || !header.includes(this.#prefix)) return NOTHING;
    const candidates = new Set<string>();
    let refused = false;
    for (const value of cookieValues(header, this.#prefix)) {
      if (!SIGNED_ID.test(value)) refused = true;
      else if (candidates.add(value).size > MAX_VERIFIED) return { ids: [], refused: true, tooMany: true };
    }
    const ids: SignedId[] = [];
    for (const value of candidates) {
      const id = this.#signer.unsign(value);
      if (id === undefined) refused = true;
      else if (!ids.some((other) => other.value === id.value)) ids.push({ ...id, key: this.#keyOf(id.value) });
    }
    return { ids, refused, tooMany: false };
  }

  /**
   * The `Set-Cookie` value that gives a browser an id.
   *
   * @param id The id.
   * @param maxAge Seconds to keep it; without it, until the browser's run ends.
   */
  issue(id: string, maxAge?: number): string {
    const value = this.#prefix + this.#signer.sign(id) + this.#suffix;
    return maxAge === undefined ? value : `${value}; Max-Age=${maxAge}`;
  }

  /** The key of an id that was signed. Hashing costs a microsecond, so those seen lately are kept. */
  #keyOf(id: string): string {
    let key = this.#keys.get(id);
    if (key === undefined) this.#keys.set(id, key = keyOf(id), KEY_BYTES);
    return key;
  }

  /** The `Set-Cookie` value that deletes the cookie, with the attributes it was set with. */
  clear(): string {
    return deletion(this.#attributes);
  }

  /**
   * The `Set-Cookie` values that delete every cookie of the name which a browser could have sent with a request, whatever
   * domain and path it was set with.
   *
   * @param url The request's address, if it is known.
   */
  clearAll(url: string | undefined): string[] {
    const { domain: own, path: ownPath, name } = this.#attributes;
    if (/^__host-/i.test(name)) return [this.clear()];
    const { hostname = "", pathname = "/" } = url !== undefined && URL.canParse(url) ? new URL(url) : {};
    // A domain cookie can come from the host itself and from every domain above it (RFC 6265bis, section 5.1.3), one
    // with a path from every part of the address's (section 5.1.4).
    const isName = /[a-z]/i.test(hostname.split(".").at(-1)!) && !hostname.startsWith("[");
    // No more of either than can be deleted: to make all of a long address's takes quadratic time.
    const labels = isName ? hostname.split(".").slice(-MAX_DELETED) : [];
    const parents = labels.slice(0, -1).map((_, index) => labels.slice(index).join("."));
    const parts = pathname.split("/", MAX_DELETED + 2).slice(1, -1);
    const above = parts.flatMap((_, index) => {
      const path = `/${parts.slice(0, index + 1).join("/")}`;
      return [path, `${path}/`];
    });
    const domains = new Set([undefined, own?.replace(/^\./, ""), ...parents.reverse()]);
    const paths = new Set([ownPath, "/", pathname, ...above].filter(isCookiePath));
    const all = [...paths].flatMap((path) => [...domains].map((domain) => ({ path, domain })));
    return all.slice(0, MAX_DELETED).map(({ path, domain }) => {
      const { domain: _, ...attributes } = this.#attributes;
      return deletion({ ...attributes, path, ...(domain !== undefined && { domain }) });
    });
  }
}

/**
 * The values of all cookies of a name.
 *
 * @param header The `Cookie` header, or `null` if there is none.
 * @param prefix The name and `=`.
 */
export function cookieValues(header: string | null, prefix: string): string[] {
  if (header === null || !header.includes(prefix)) return [];
  const pairs = header.split(";").map(trim);
  return pairs.filter((pair) => pair.startsWith(prefix)).map((pair) => pair.slice(prefix.length));
}

/** Without the space and tab around it. `String.trim` takes more than these for white space. */
function trim(part: string): string {
  let start = 0;
  let end = part.length;
  while (start < end && isSpace(part.charCodeAt(start))) start++;
  while (end > start && isSpace(part.charCodeAt(end - 1))) end--;
  return part.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** What follows the value in a `Set-Cookie` header. */
function suffixOf(attributes: Attributes): string {
  const headers = new Headers();
  // It changes its argument for a name that starts with "__Host-", so it always gets a fresh one.
  setCookie(headers, { ...attributes, value: "" });
  return headers.getSetCookie()[0]!.slice(`${attributes.name}=`.length);
}

function deletion(attributes: Attributes): string {
  // "Expires" is for browsers of the past; "Max-Age" counts where both are understood.
  return `${attributes.name}=${suffixOf(attributes)}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`;
}

/**
 * The attributes of a cookie, defaults included.
 *
 * @throws {TypeError} naming the option, if browsers refuse an attribute.
 */
export function attributesOf(options: CookieOptions = {}): Attributes {
  checkOptions(FAILURE, options, RULES);
  const { name = "session", path = "/", httpOnly = true, secure = false, sameSite = "Lax" } = options;
  const { partitioned = false, domain } = options;
  const must = (option: string, needed: string, value: unknown) => {
    const received = typeof value === "string" ? JSON.stringify(value) : String(value);
    return new TypeError(`${FAILURE}: "${option}" must be ${needed}: received ${received}`);
  };
  // RFC 6265bis, section 4.1.3. Browsers compare the prefixes without regard to case.
  if (/^__(host|secure|http)-/i.test(name) && !secure) {
    throw must("name", 'a name without this prefix unless "secure" is true', name);
  }
  if (/^__(http|host-http)-/i.test(name) && !httpOnly) {
    throw must("name", 'a name without this prefix unless "httpOnly" is true', name);
  }
  if (/^__host-/i.test(name) && (domain !== undefined || path !== "/")) {
    throw must("name", 'a name without this prefix unless "path" is / and "domain" is not given', name);
  }
  if (sameSite === "None" && !secure) throw must("sameSite", 'Strict or Lax unless "secure" is true', sameSite);
  if (partitioned && !secure) throw must("partitioned", 'false unless "secure" is true', partitioned);
  const attributes = { name, path, httpOnly, secure, sameSite, partitioned };
  return domain === undefined ? attributes : { ...attributes, domain };
}

/** A path that browsers take (RFC 6265bis, section 5.6.4; an attribute of over 1024 bytes is ignored). */
function isCookiePath(path: unknown): path is string {
  return typeof path === "string" && /^\/[\x21-\x3A\x3C-\x7E]*$/.test(path) && path.length <= 1024;
}

/** A domain that browsers take: two labels or more, no address, a dot before it ignored (RFC 6265bis, section 5.6.3). */
function isCookieDomain(domain: unknown): domain is string {
  if (typeof domain !== "string" || domain.length > 254) return false;
  const labels = domain.replace(/^\./, "").split(".");
  return labels.length > 1 && /[a-z]/i.test(labels.at(-1)!) &&
    labels.every((label) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i.test(label));
}
