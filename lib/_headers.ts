/** Headers: those that an answer with a session needs, and those that stay when an error replaces an answer. */
import { kindOf } from "./_options.ts";

/** The methods of `Headers` that are used. The headers of a `node:http` answer can be given as well. */
export interface HeaderList {
  get(name: string): string | null;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  delete(name: string): void;
  keys(): Iterable<string>;
}

/** Headers that replace `Cache-Control` for certain shared caches (RFC 9213; Surrogate-Control is older). */
const TARGETED = /^(?:(?:.+-)?cdn-cache-control|surrogate-control|edge-control)$/;

/** One directive of `Cache-Control`, whose value may be a quoted string with commas in it (RFC 9111, section 5.2). */
const DIRECTIVE = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g;

/** Headers that describe an answer (RFC 9110, section 8), redirect it, or make a proxy send a file in its place. */
const DESCRIBES =
  /^(?:content-(?!security-policy).*|etag|last-modified|location|set-cookie|accept-ranges|(?:repr-)?digest|trailer|transfer-encoding|refresh|x-accel-redirect|x-sendfile)$/;

/**
 * Adds the headers that an answer with a session needs: its cookies, and headers that keep caches from sending the
 * answer to another visitor.
 *
 * @param headers The headers of the answer.
 * @param cookies The `Set-Cookie` headers that `save` returned.
 * @param registration The header that asks the browser to bind the session to its device, if it should.
 */
export function addSessionHeaders(headers: HeaderList, cookies: readonly string[], registration?: string): void {
  if (registration !== undefined) headers.set("secure-session-registration", registration);
  const vary = headers.get("vary");
  if (vary === null) headers.set("vary", "Cookie");
  else if (vary !== "Cookie" && !/(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)) headers.append("vary", "Cookie");
  const control = headers.get("cache-control");
  if (control === null) headers.set("cache-control", "no-store");
  if (cookies.length === 0) return;
  // A shared cache may keep a Set-Cookie and send it to the next visitor (RFC 9111, section 7.3; CVE-2024-26144).
  if (control !== null) headers.set("cache-control", withoutSharing(control));
  forbidTargeted(headers);
  for (const cookie of cookies) headers.append("set-cookie", cookie);
}

/** Forbids caching in the headers that replace `Cache-Control` for certain shared caches. */
function forbidTargeted(headers: HeaderList): void {
  for (const name of [...headers.keys()]) {
    if (TARGETED.test(name.toLowerCase())) headers.set(name, "no-store");
  }
  if (headers.get("x-accel-expires") !== null) headers.set("x-accel-expires", "0");
}

/** The value of `Cache-Control`, changed so that only the visitor's own browser may cache the answer. */
function withoutSharing(control: string): string {
  const kept = (control.match(DIRECTIVE) ?? []).map((directive) => directive.trim()).filter((directive) => {
    const name = /^[\w-]*/.exec(directive)![0].toLowerCase();
    // `private="name"` is dropped, too: it only keeps the named header out of shared caches.
    return name !== "" && !["public", "s-maxage", "private"].includes(name);
  });
  const isStored = !kept.some((directive) => directive.toLowerCase() === "no-store");
  return (isStored ? ["private", ...kept] : kept).join(", ");
}

/**
 * Turns the headers of a withheld answer into those of the answer that replaces it. Headers that describe the withheld
 * answer are removed. All others stay, such as those for other origins (CORS) and for security.
 *
 * @param headers The headers of the withheld answer.
 * @param answer The headers of the answer that replaces it.
 */
export function replaceHeaders(headers: HeaderList, answer: Headers): void {
  for (const name of [...headers.keys()]) if (DESCRIBES.test(name.toLowerCase())) headers.delete(name);
  // These headers were for the withheld answer. Because of them, a cache could send the error to every visitor.
  forbidTargeted(headers);
  for (const [name, value] of answer) {
    if (name === "set-cookie") headers.append(name, value);
    else headers.set(name, value);
  }
}

/**
 * Whether a string in a `Response` has its `Content-Type` from the start, as in the Fetch standard. In Bun, it gets one
 * when it is sent, unless the program has read `body` before.
 */
const hasTypeOfText = new Response("").headers.has("content-type");

/**
 * A copy of an answer, whose headers can be changed. An answer of status 101 is returned uncopied: it cannot be copied,
 * but its headers can be changed.
 *
 * @param response The answer. The copy has its body.
 */
export function copyOf(response: Response): Response {
  if (!hasTypeOfText) {
    const copy = response.clone();
    response.body?.cancel().catch(() => {}); // otherwise the runtime would keep all of it for the original
    return copy;
  }
  const { body, status, statusText, headers } = response;
  // The headers are copied here, because the Response of @hono/node-server would share those of an answer of fetch.
  return status === 101 ? response : new Response(body, { status, statusText, headers: new Headers(headers) });
}

/**
 * Makes the answer that replaces a withheld one. An upgrade to a WebSocket is not replaced, as in `isSentDespite`.
 *
 * @param withheld The answer that is not sent. Some of its headers stay.
 * @param answer The answer that is sent.
 */
export function replaceAnswer(withheld: Response, answer: Response): Response {
  if (withheld.status === 101) return withheld;
  const headers = new Headers(withheld.headers);
  replaceHeaders(headers, answer.headers);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

/**
 * Checks that an answer can be sent, before its session is stored.
 *
 * @throws {TypeError} if it is not a `Response`, or is an error response, or its body was read or is locked.
 */
export function checkResponse(response: Response): void {
  const refuse = (what: string) => {
    throw new TypeError(
      `Cannot answer a request: the handler must return a Response that can be sent: received ${what}`,
    );
  };
  if (!(response?.headers instanceof Headers)) refuse(kindOf(response));
  if (response.status !== 101 && response.status < 200) refuse(`one of status ${response.status}`);
  if (response.bodyUsed || (hasTypeOfText && response.body?.locked)) refuse("one whose body was read");
}
