/** The grammar of the fuzz: requests with some odd parts, and the visitor whose name a page may show. */
import { mutateCookie, NASTY, type Random } from "../support/fuzz.ts";
import { type Field, http1Request, type RawRequest } from "../support/raw_http.ts";

/** The visitor whose session the request has. The page may show only this visitor's name. */
export type Owner = "victim" | "eve" | "no one";

/** The cookies of the two visitors, as `session=…` or `__Host-session=…`. */
export type Cookies = Readonly<Record<Exclude<Owner, "no one">, string>>;

/** A request in parts. A character is a byte. */
export interface Shot extends RawRequest {
  readonly owner: Owner;
  /** The version of HTTP, over HTTP/1.1. */
  readonly version: string;
  /** The end of a line, over HTTP/1.1. */
  readonly end: string;
}

/** A string that the log must never hold. */
export const MARK = "words-of-a-visitor";

/** The greatest length of a part. So a request has at most 64 kB. */
const HUGE = 50_000;
/** The most pieces of a body. A frame of HTTP/2 adds nine bytes, so more pieces of 50 kB would take over 64 kB. */
const MAX_PIECES = 1500;
const FORM = "application/x-www-form-urlencoded";

/** White space of every kind: of HTTP, of ASCII, of Latin-1, and of Unicode in UTF-8. */
const SPACES = [
  " ",
  "\t",
  "  ",
  "\x0b",
  "\x0c",
  "\x1c",
  "\x1f",
  "\x85",
  "\xa0",
  "\xc2\xa0",
  "\xc2\x85",
  "\xe2\x80\x83",
];
SPACES.push("\xe2\x80\xa8", "\xe3\x80\x80", "\xef\xbb\xbf", "\xe1\x9a\x80", "\xe2\x80\x8b");

const BYTES = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i));
const HOSTS = ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "[::1]:80", "localhost:1", "999.999.999.999", "0x7f.1"];
HOSTS.push(
  "1.2.3",
  "xn--",
  "xn--a.b",
  "[::ffff:1.2.3.4]",
  "[:::]",
  "a.0x",
  "example.1",
  "a..b",
  "-a",
  "a b",
  "a@b",
  "",
);
HOSTS.push(
  "localhost:99999",
  "localhost:",
  "evil.com/@x",
  "4294967296",
  "a".repeat(63),
  "a.".repeat(126),
  "localhost.",
);
const TARGETS = ["/", "/", "/add", "/add", "/remove", "/?ended", "/style.css", "/favicon.svg", "/healthz", "/readyz"];
TARGETS.push(
  "/nowhere",
  "//",
  "/add/",
  "/../",
  "*",
  "http://localhost/",
  "http://evil.com/add",
  "//evil.com/",
  "/%2e",
  "",
);
const METHODS = [
  "GET",
  "GET",
  "GET",
  "POST",
  "POST",
  "POST",
  "HEAD",
  "OPTIONS",
  "PUT",
  "TRACE",
  "CONNECT",
  "get",
  "DELETE",
];
const NAMES = ["referer", "origin", "sec-fetch-site", "sec-purpose", "purpose", "x-moz", "accept-encoding", "expect"];
NAMES.push("upgrade", "connection", "range", "if-none-match", "x-forwarded-host", "forwarded", "authorization", "te");
NAMES.push("content-type", "content-encoding", "transfer-encoding", "content-length", "cookie", "user-agent", "x");
const VALUES = ["http://localhost/", "http://localhost/add", "https://localhost", "same-origin", "cross-site", "none"];
VALUES.push("prefetch", "gzip", "100-continue", "h2c", "websocket", "close", "keep-alive", "bytes=0-", "null", MARK);
const TYPES = [
  FORM,
  FORM,
  FORM,
  FORM.toUpperCase(),
  `${FORM}; charset=utf-8`,
  `${FORM};`,
  "multipart/form-data; boundary=b",
];
TYPES.push("text/plain", "multipart/form-data", `${FORM}, ${FORM}`, "application/json", "", `${FORM};a="b;c,`);
// Marks that are sorted and composed, letters that are not, signs that become several, and halves of surrogate pairs.
const TYPED = [
  "Ada",
  "%CC%81",
  "%CC%96",
  "\xcc\x81\xcc\x96",
  "%EF%B7%BA",
  "%ED%A0%80",
  "%F0%9F%A6%8A",
  "%00",
  "%0D%0A",
  "%",
];
TYPED.push("+", "%20", "%C2%A0", "&", "=", "&username=", "<b>", "\xff", "%FF", "%E2%80%AE", "%E1%84%80%E1%85%A1", MARK);

/** The kinds of requests. The visitor who is logged in only sends those that read, and so stays logged in. */
const KINDS = {
  look: { method: "GET", targets: ["/", "/add", "/?ended", "/?x"] },
  register: { method: "POST", targets: ["/add"] },
  leave: { method: "POST", targets: ["/remove"] },
  // No proof of the grammar is valid, so no session is bound.
  bind: { method: "POST", targets: ["/bound/register", "/bound/refresh"] },
} as const;

const PARTS = ["method", "target", "version", "host", "type", "fields", "end"] as const;

/** Makes a request. At most two parts are odd, besides its cookies, its body and its optional fields. */
export function shoot(random: Random, cookies: Cookies): Shot {
  const owner = random.pick<Owner>(["no one", "no one", "no one", "eve", "victim"]);
  const isOwned = owner !== "no one";
  const kinds = isOwned
    ? ["look", "look", "bind"] as const
    : ["look", "register", "register", "leave", "bind"] as const;
  const kind = KINDS[random.pick<keyof typeof KINDS>(kinds)];
  const isOdd = new Set(random.below(3) === 0 ? [] : [random.pick(PARTS), random.pick(PARTS)]);
  const part = (name: typeof PARTS[number], right: string, others: readonly string[]) =>
    isOdd.has(name) ? odd(random, random.pick([right, random.pick(others)])) : right;

  const fields: Field[] = [];
  const cookie = cookieHeader(random, cookies, owner);
  if (cookie !== undefined) fields.push(["cookie", cookie]);
  const body = kind === KINDS.register || random.below(10) === 0 ? form(random) : undefined;
  if (body !== undefined) fields.push(["content-type", part("type", FORM, TYPES)]);
  if (kind === KINDS.bind) {
    fields.push(["secure-session-response", odd(random, `"${proof(random)}"`)]);
    fields.push(["sec-secure-session-id", odd(random, `"${random.pick(["0123456789".repeat(4), "x", ""])}"`)]);
  }
  for (let left = isOdd.has("fields") ? 1 + random.below(4) : 0; left > 0; left--) {
    const name = random.pick(NAMES);
    // A second cookie could be the other visitor's.
    if (name === "cookie" && isOwned) continue;
    const value = odd(random, random.pick([random.pick(VALUES), random.pick(NASTY), random.pick(HOSTS)]));
    const times = value.length < 600 && random.below(8) === 0 ? 1 + random.below(90) : 1;
    fields.push([random.below(20) === 0 ? odd(random, name) : name, value, times]);
  }
  return {
    owner,
    method: isOwned ? kind.method : part("method", kind.method, METHODS),
    target: isOwned ? random.pick(kind.targets) : part("target", random.pick(kind.targets), TARGETS),
    version: part("version", "HTTP/1.1", ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "x"]),
    host: part("host", "localhost", HOSTS),
    fields,
    body,
    piece: random.below(4) === 0
      ? Math.max(random.pick([1, 7, 1000]), Math.ceil((body?.length ?? 0) / MAX_PIECES))
      : undefined,
    end: isOdd.has("end") ? random.pick(["\n", "\r", "\r\r\n"]) : "\r\n",
  };
}

/** The bytes of a request over HTTP/1.1. */
export function http1Of(shot: Shot): string {
  return http1Request(shot, shot.version, shot.end);
}

/** A part, unchanged, or with white space, other bytes, or many repetitions. */
function odd(random: Random, part: string): string {
  switch (random.below(12)) {
    case 0:
      return random.pick(SPACES) + part;
    case 1:
      return part + random.pick(SPACES);
    case 2: {
      const at = random.below(part.length + 1);
      return part.slice(0, at) + random.pick(random.pick([SPACES, BYTES])) + part.slice(at);
    }
    case 3:
      return part + random.text(30, BYTES.join(""));
    case 4:
      return random.below(4) === 0 ? huge(random, part) : part;
    default:
      return part;
  }
}

/** A part, followed by many repetitions of it, of white space, or of a byte. */
function huge(random: Random, part: string): string {
  const unit =
    random.pick([part, random.pick(SPACES), random.pick(BYTES), ";", ",", "=", "/", "a", '"', "\\", "%41"]) || "a";
  const size = random.pick([1000, 10_000, HUGE]);
  return part + unit.repeat(Math.floor(size / unit.length)) + random.pick(["", "x", part]);
}

/** A Cookie header in which the owner's cookie is the only valid one of its name. */
function cookieHeader(random: Random, cookies: Cookies, owner: Owner): string | undefined {
  const pairs: string[] = [];
  if (owner !== "no one") pairs.push(cookies[owner]);
  for (let left = random.below(owner === "no one" ? 3 : 4); left > 0; left--) {
    const other = cookies[random.pick(["victim", "eve"] as const)];
    pairs.push(
      random.pick([
        // The valid value, under another name.
        () => {
          const [name = "", value] = other.split("=");
          return `${nearly(random, name)}=${value}`;
        },
        () => mutateCookie(random, other, cookies.victim),
        () => odd(random, "a=b"),
        () => "session=".repeat(random.below(1000)),
        () => ";".repeat(random.below(10_000)),
      ])(),
    );
  }
  if (pairs.length === 0) return undefined;
  // The order is random.
  if (random.below(2) === 0) pairs.reverse();
  const separators = owner === "no one" ? ["; ", ";", "; ;", ";\t", ","] : ["; ", ";", "; ;", ";\t"];
  return pairs.join(random.pick(separators));
}

/** A name that a server which trims, decodes, or compares loosely would take for the cookie's name. */
function nearly(random: Random, name: string): string {
  // Space and tab are white space in a Cookie header (RFC 6265bis).
  const spaces = SPACES.filter((space) => !/^[ \t]+$/.test(space));
  return random.pick([
    () => random.pick(spaces) + name,
    () => name + random.pick(SPACES),
    () => random.pick(BYTES) + name,
    () => name + random.pick(BYTES),
    () => name.toUpperCase(),
    () =>
      random.pick([name.replace("n", "%6e"), `"${name}"`, `__Secure-${name}`, name.replace("e", "\xe8"), `${name}s`]),
  ])();
}

/** A proof of a device: a JWT whose challenge, signature and some parts are wrong. */
function proof(random: Random): string {
  const jwk = random.pick<unknown>([
    { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) },
    { kty: "RSA", n: "A".repeat(342), e: "AQAB" },
    { kty: "EC" },
    MARK,
    null,
  ]);
  const head = { typ: random.pick(["dbsc+jwt", "jwt", MARK]), alg: random.pick(["ES256", "RS256", "none", MARK]), jwk };
  const parts = [head, { jti: random.pick(["", MARK, "a-1-b.c", 1]) }].map((part) =>
    random.pick([() => btoa(JSON.stringify(part)), () => btoa(JSON.stringify(part)), () => btoa(random.pick(NASTY))])()
      .replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_")
  );
  return [...parts, random.text(100, "Aa0_-") || "A"].join(random.pick([".", ".", ".", "..", ""]));
}

/** The body of a form, or of something else. */
function form(random: Random): string {
  const typed = Array.from({ length: random.below(6) }, () => random.pick(TYPED)).join("");
  switch (random.below(10)) {
    case 0:
      return random.text(300, BYTES.join(""));
    case 1: {
      const unit = random.pick([...TYPED, "a&", "a=b&", "%41", "\xcc\x81\xcc\x96", "%CC%81%CC%96"]);
      return `username=${unit.repeat(Math.floor(random.pick([2000, 16_000, 17_000, HUGE]) / unit.length))}`;
    }
    case 2:
      return `--b\r\nContent-Disposition: form-data; name="username"\r\n\r\n${typed}\r\n--b--\r\n`;
    case 3:
      return random.pick(["", "username", "=", "&&&", "username=&username=x", "__proto__=1"]);
    default:
      return `username=${typed}`;
  }
}
