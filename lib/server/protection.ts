/** Protection: the host check, the check for a prefetch, and the headers of every answer. */

// A host name or address and an optional port (RFC 9110, section 7.2), as far as browsers send them: labels of letters,
// digits, "-" and "_" with single dots between them, or an IPv6 address in brackets. Some of these, such as
// 999.999.999.999, are not hosts. The URL parser refuses those.
const HOST = /^(?:(?!-)[\w-]{1,63}(?:\.(?!-)[\w-]{1,63})*\.?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** The longest host and port: a name of 253 characters (RFC 1035, section 2.3.4), its final dot, and the port. */
const MAX_HOST_LENGTH = 254 + ":65535".length;

/**
 * The hosts that a request for an origin may name: the origin's host, and the same host with the default port.
 *
 * @param origin The site's public address, such as `https://example.com`.
 */
export function hostsOf(origin: string): ReadonlySet<string> {
  const { host, port, protocol } = new URL(origin);
  return new Set(port === "" ? [host, `${host}:${protocol === "https:" ? 443 : 80}`] : [host]);
}

/**
 * Whether a string is a host that a browser could name in a request. It may have a port.
 *
 * @param host The host of a `Host` header or of an address.
 */
export function isHost(host: string): boolean {
  if (host.length > MAX_HOST_LENGTH) return false;
  return HOST.test(host) && URL.canParse(`http://${host}`);
}

/**
 * Whether a request names exactly one host, which is valid and is one of the site's hosts.
 *
 * @param request The request.
 * @param hosts The site's hosts, or `undefined` if it may be any valid host.
 */
export function isForHost(request: Request, hosts: ReadonlySet<string> | undefined): boolean {
  const host = hostOf(request.url);
  // An HTTP/2 request, and one made in this process, has an authority and no Host header. An HTTP/1 request without a
  // Host header looks the same, because Deno uses "localhost" for it. No browser sends such a request.
  if (host === undefined || host.length > MAX_HOST_LENGTH) return false;
  if ((request.headers.get("host") ?? host) !== host) return false;
  return hosts === undefined ? isHost(host) : hosts.has(host.toLowerCase());
}

/**
 * The path of an address, without the query. The function makes no `URL`: a `Host` such as `evil.com/@x` would change
 * the path, and one such as `a b` would throw. A page uses the path only if the host is valid.
 *
 * @param url The address of a request.
 * @returns The path, or `undefined` if the address has none.
 */
export function pathOf(url: string): string | undefined {
  const slash = url.indexOf("/", url.indexOf("://") + 3);
  if (slash === -1) return undefined;
  const query = url.indexOf("?", slash);
  return query === -1 ? url.slice(slash) : url.slice(slash, query);
}

/**
 * Whether a browser fetches the page in advance, before the visitor asks for it.
 *
 * @param request The request.
 */
export function isPrefetch({ headers }: Request): boolean {
  const purpose = headers.get("sec-purpose") ?? headers.get("purpose") ?? headers.get("x-moz") ?? "";
  return /prefetch/i.test(purpose);
}

/**
 * The headers of every answer (ASVS 5, 3.4).
 *
 * @param https Whether the site is served over https. Browsers are then told to use nothing else.
 */
export function securityHeaders(https: boolean): [name: string, value: string][] {
  return [
    [
      "content-security-policy",
      "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ],
    ["x-content-type-options", "nosniff"],
    // With "no-referrer", browsers would send "Origin: null" with the site's own forms.
    ["referrer-policy", "same-origin"],
    ["cross-origin-opener-policy", "same-origin"],
    ["cross-origin-resource-policy", "same-origin"],
    ...(https ? [["strict-transport-security", "max-age=31536000"] as [string, string]] : []),
  ];
}

/**
 * The host and port of an address, unchanged. The function makes no `URL`.
 *
 * @param url The address, which may be any string.
 * @returns The host, or `undefined` if no path follows it.
 */
export function hostOf(url: string): string | undefined {
  const scheme = url.indexOf("://");
  const slash = url.indexOf("/", scheme + 3);
  return scheme === -1 || slash === -1 ? undefined : url.slice(scheme + 3, slash);
}
