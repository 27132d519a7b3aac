/**
 * SessionCookie: checks the cookie's attributes, reads the `Cookie` header, and writes the `Set-Cookie` headers that
 * give a browser an id or delete it.
 *
 * @module
 */
import { setCookie as stdSetCookie } from "@std/http/cookie";
import { Cache } from "./_cache.ts";
import { keyOf } from "./id.ts";
import { BOOLEAN, checkOptions, oneOf, type Rule } from "./_options.ts";
import { Signer } from "./signer.ts";

/** How the session cookie is sent. The defaults are strict, but also work over plain http. */
export interface CookieOptions {
  /** Its name: `session` unless given. If the site is served over https, choose one that starts with `__Host-`. */
  readonly name?: string | undefined;
  /** The domain to which it is sent, with all subdomains. Unless given, it is sent only to the host that set it. */
  readonly domain?: string | undefined;
  /** The path below which it is sent: `/` unless given. */
  readonly path?: string | undefined;
  /** Whether it is hidden from scripts: `true` unless given. */
  readonly httpOnly?: boolean | undefined;
  /** Whether it is sent over https only: `false` unless given. */
  readonly secure?: boolean | undefined;
  /** Which requests from other sites carry it: `Lax` unless given. */
  readonly sameSite?: "Strict" | "Lax" | "None" | undefined;
  /** Whether each top-level site that embeds this one has its own cookie (CHIPS): `false` unless given. */
  readonly partitioned?: boolean | undefined;
}

/** An id from a `Cookie` header. */
export interface SignedId {
  /** The id. */
  readonly value: string;
  /** The key under which the store keeps the session. */
  readonly key: string;
  /** Whether an older key signed it, not the first one. Then it should be signed and sent again. */
  readonly signedByOlderKey: boolean;
}

/** The result of reading a `Cookie` header. */
interface CookieReading {
  /** The distinct ids with a valid signature: usually one. */
  readonly ids: readonly SignedId[];
  /** Whether a cookie of the name had no valid signature. */
  readonly hasInvalid: boolean;
  /** Whether there were more different cookies of the name than are verified. Then none is verified. */
  readonly hasTooMany: boolean;
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

/** The longest name of a cookie, in bytes. With it, name and value together take less than 200 bytes. */
const MAX_NAME_LENGTH = 100;
/** An id and a signature, as `Signer.sign` makes them. */
const SIGNED_ID = /^[0-9a-f]{40}\.[A-Za-z0-9_-]{43}$/;
/** The most different cookies of the name that are verified. A browser has more only after an attack. */
const MAX_VERIFIED = 4;
/** The most cookies that one answer deletes. */
const MAX_DELETED = 24;
const FAILURE = "Cannot use the session cookie";
const RULES: Readonly<Record<string, Rule>> = {
  name: {
    needed: `1 to ${MAX_NAME_LENGTH} letters, digits or !#$%&'*+.^_\`|~-`,
    // RFC 6265, section 4.1.1: the name is a token, which RFC 9110 defines.
    accepts: (name) =>
      typeof name === "string" && /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && name.length <= MAX_NAME_LENGTH,
  },
  domain: { needed: "a domain name such as example.com", accepts: isCookieDomain },
  path: {
    needed: 'a path of at most 1024 ASCII characters that starts with "/", without spaces or ";"',
    accepts: isCookiePath,
  },
  httpOnly: BOOLEAN,
  secure: BOOLEAN,
  sameSite: oneOf("Strict", "Lax", "None"),
  partitioned: BOOLEAN,
};
/** About how many bytes of memory an id and its key take. */
const KEY_BYTES = 300;

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
 * assertEquals(cookie.read(pair).ids, [{ value: id, signedByOlderKey: false, key: keyOf(id) }]);
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
   * @param options The attributes that differ from the defaults. One that is `undefined` counts as not given.
   * @param keys The keys that sign the ids: the first signs, all of them verify.
   * @throws {TypeError} if there is no key, or browsers would refuse an attribute.
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
   * Reads a `Cookie` header. It never throws, whatever the header holds. Only space and tab count as white space, and
   * names are compared byte by byte (RFC 6265bis, section 5.6). The form of all values is checked before any signature.
   *
   * @param header The header's value, or `null` if there is none.
   */
  read(header: string | null): CookieReading {
    const candidates = new Set<string>();
    let hasInvalid = false;
    for (const value of cookieValues(header, this.#prefix)) {
      if (!SIGNED_ID.test(value)) hasInvalid = true;
      else if (candidates.add(value).size > MAX_VERIFIED) return { ids: [], hasInvalid, hasTooMany: true };
    }
    const ids: SignedId[] = [];
    for (const value of candidates) {
      const id = this.#signer.unsign(value);
      if (id === undefined) hasInvalid = true;
      else if (!ids.some((other) => other.value === id.value)) ids.push({ ...id, key: this.#keyOf(id.value) });
    }
    return { ids, hasInvalid, hasTooMany: false };
  }

  /**
   * The `Set-Cookie` value that gives a browser an id.
   *
   * @param id The id.
   * @param maxAge Seconds that the browser keeps the cookie. Unless given, the cookie is deleted when the browser is
   * closed.
   */
  issue(id: string, maxAge?: number): string {
    const value = this.#prefix + this.#signer.sign(id) + this.#suffix;
    return maxAge === undefined ? value : `${value}; Max-Age=${maxAge}`;
  }

  /** The key of an id. Hashing takes a microsecond, so the keys of recent ids are cached. */
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
   * The `Set-Cookie` values that delete the cookies of the name that a browser could have sent with a request, for each
   * domain and path that they could have been set with, up to a maximum.
   *
   * @param url The request's address, if it is known.
   */
  clearAll(url: string | undefined): string[] {
    const { domain: own, path: ownPath, name } = this.#attributes;
    if (/^__host-/i.test(name)) return [this.clear()];
    const { hostname = "", pathname = "/" } = url !== undefined && URL.canParse(url) ? new URL(url) : {};
    // A cookie's domain can be the host or any domain above it (RFC 6265bis, section 5.1.3). Its path can be any
    // leading part of the address's path (section 5.1.4).
    const isName = /[a-z]/i.test(hostname.split(".").at(-1)!) && !hostname.startsWith("[");
    // Only as many domains and paths are made as can be deleted. All those of a long address would take quadratic time.
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

/** Removes spaces and tabs at both ends. `String.trim` would remove other white space, too. */
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

/** The part of a `Set-Cookie` header after the value. */
function suffixOf(attributes: Attributes): string {
  const headers = new Headers();
  // `setCookie` changes its argument if the name starts with "__Host-", so it gets a copy.
  setCookie(headers, { ...attributes, value: "" });
  return headers.getSetCookie()[0]!.slice(`${attributes.name}=`.length);
}

function deletion(attributes: Attributes): string {
  // "Expires" is for old browsers. Browsers that know both use "Max-Age".
  return `${attributes.name}=${suffixOf(attributes)}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`;
}

/**
 * The attributes of a cookie, with the defaults.
 *
 * @throws {TypeError} naming the option, if browsers would refuse an attribute.
 */
export function attributesOf(options: CookieOptions = {}): Attributes {
  checkOptions(FAILURE, options, RULES);
  const { name = "session", path = "/", httpOnly = true, secure = false, sameSite = "Lax" } = options;
  const { partitioned = false, domain } = options;
  const invalid = (option: string, needed: string, value: unknown) => {
    const received = typeof value === "string" ? JSON.stringify(value) : String(value);
    return new TypeError(`${FAILURE}: "${option}" must be ${needed}: received ${received}`);
  };
  // RFC 6265bis, section 4.1.3. Browsers compare the prefixes without regard to case.
  if (/^__(host|secure|http)-/i.test(name) && !secure) {
    throw invalid("name", 'a name without this prefix unless "secure" is true', name);
  }
  if (/^__(http|host-http)-/i.test(name) && !httpOnly) {
    throw invalid("name", 'a name without this prefix unless "httpOnly" is true', name);
  }
  if (/^__host-/i.test(name) && (domain !== undefined || path !== "/")) {
    throw invalid("name", 'a name without this prefix unless "path" is / and "domain" is not given', name);
  }
  if (sameSite === "None" && !secure) throw invalid("sameSite", 'Strict or Lax unless "secure" is true', sameSite);
  if (partitioned && !secure) throw invalid("partitioned", 'false unless "secure" is true', partitioned);
  const attributes = { name, path, httpOnly, secure, sameSite, partitioned };
  return domain === undefined ? attributes : { ...attributes, domain };
}

/** Whether browsers accept a path (RFC 6265bis, section 5.6.4). They ignore an attribute of over 1024 bytes. */
function isCookiePath(path: unknown): path is string {
  return typeof path === "string" && /^\/[\x21-\x3A\x3C-\x7E]*$/.test(path) && path.length <= 1024;
}

/**
 * Whether browsers accept a domain: it has two labels or more, and is no IP address. A leading dot is ignored (RFC
 * 6265bis, section 5.6.3).
 */
function isCookieDomain(domain: unknown): domain is string {
  if (typeof domain !== "string" || domain.length > 254) return false;
  const labels = domain.replace(/^\./, "").split(".");
  return labels.length > 1 && /[a-z]/i.test(labels.at(-1)!) &&
    labels.every((label) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i.test(label));
}
