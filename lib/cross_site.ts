/**
 * The cross-site check: whether a browser sent a request on behalf of another site.
 *
 * @module
 */
import { headersOf, type RequestLike } from "./session_options.ts";

/**
 * Whether a browser sent the request on behalf of another site. `Sec-Fetch-Site` decides; if it is missing, `Origin`
 * does (as in Go's CrossOriginProtection; ASVS 5, 3.5). If the result is `true`, refuse a request that changes
 * something, such as a POST. A request with neither header comes from a program, which cannot use a visitor's cookie.
 *
 * @param request The request. Its address must name the host that the browser sees, unless `origin` is given.
 * @param origin The site's public address, such as `https://example.com`. It is needed if a proxy changes the host.
 * @returns `true` if another site made the browser send it. A subdomain counts as another site.
 * @throws {TypeError} if the request has no `Headers`, or `origin` is not an http: or https: address.
 *
 * @example
 * ```ts
 * import { isCrossSite } from "sessions";
 * import { assert } from "@std/assert";
 *
 * const post = (headers: HeadersInit) => new Request("https://example.com/pay", { method: "POST", headers });
 * assert(isCrossSite(post({ "sec-fetch-site": "cross-site" })));
 * assert(isCrossSite(post({ origin: "https://evil.example" })));
 * assert(!isCrossSite(post({ "sec-fetch-site": "same-origin" })));
 * assert(!isCrossSite(post({ origin: "https://example.com" })));
 * assert(!isCrossSite(post({})));
 * ```
 */
export function isCrossSite(request: RequestLike, origin?: string): boolean {
  const headers = headersOf("Cannot check a request", request);
  const own = origin === undefined ? undefined : URL.parse(origin);
  // An address of another scheme, such as "localhost:8000", has the origin "null". Browsers send the same "null" for
  // pages without an origin.
  if (origin !== undefined && !/^https?:$/.test(own?.protocol ?? "")) {
    throw new TypeError(
      `Cannot check a request: the origin must be an http: or https: address: received ${JSON.stringify(origin)}`,
    );
  }
  const site = headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const sender = headers.get("origin");
  if (sender === null) return false;
  if (own) return sender !== own.origin;
  // The schemes are not compared, because a proxy may have ended TLS.
  const host = URL.parse(request.url ?? "")?.host;
  return host === undefined || (sender !== `http://${host}` && sender !== `https://${host}`);
}
