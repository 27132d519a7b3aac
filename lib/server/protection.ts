/** Protection: the host check, the check for a prefetch, and the headers that every answer carries. */

// A host name or address and an optional port (RFC 9110, section 7.2), as far as browsers send them: labels of letters,
// digits, "-" and "_" with single dots between them, or an IPv6 address in brackets. Some of these are no hosts, such
// as 999.999.999.999: the URL parser refuses those.
const HOST = /^(?:(?!-)[\w-]{1,63}(?:\.(?!-)[\w-]{1,63})*\.?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** The longest a host may be with its port: a name of 253 characters (RFC 1035, section 2.3.4) and its last dot. */
const MAX_HOST_LENGTH = 254 + ":65535".length;

/**
 * The hosts under which requests for an origin come: its own, and the same with the default port spelled out.
 *
 * @param origin The site's public address, such as `https://example.com`.
 */
export function hostsOf(origin: string): ReadonlySet<string> {
  const { host, port, protocol } = new URL(origin);
  return new Set(port === "" ? [host, `${host}:${protocol === "https:" ? 443 : 80}`] : [host]);
}

/**
 * Whether a string is a host that a browser could name in a request, with its port if it has one.
 *
 * @param host The host of a `Host` header or of an address.
 */
export function isHost(host: string): boolean {
  if (host.length > MAX_HOST_LENGTH) return false;
  return HOST.test(host) && URL.canParse(`http://${host}`);
}

/**
 * Whether a request names one valid host, and one that the site goes by.
 *
 * @param request The request.
 * @param hosts The hosts it may name, or `undefined` if any valid one will do.
 */
export function isForHost(request: Request, hosts: ReadonlySet<string> | undefined): boolean {
  const host = hostOf(request.url);
  // HTTP/2, and a request made in this process, have an authority and no Host header. An HTTP/1 request
  // without one looks the same, because Deno puts "localhost" in its place. No browser sends such a request.
  if (host === undefined || host.length > MAX_HOST_LENGTH) return false;
  if ((request.headers.get("host") ?? host) !== host) return false;
  return hosts === undefined ? isHost(host) : hosts.has(host.toLowerCase());
}

/**
 * The path that an address names, without its query. No URL is built for it: a `Host` like `evil.com/@x` would move the
 * path, and one like `a b` would throw. The path counts only if the host is valid.
 *
 * @param url The address of a request.
 * @returns The path, or `undefined` if there is none.
 */
export function pathOf(url: string): string | undefined {
  const slash = url.indexOf("/", url.indexOf("://") + 3);
  if (slash === -1) return undefined;
  const query = url.indexOf("?", slash);
  return query === -1 ? url.slice(slash) : url.slice(slash, query);
}

/**
 * Whether a browser fetches the page before the visitor asks for it.
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
 * @param https Whether the site is served over https, so that browsers should never use anything else.
 */
export function securityHeaders(https: boolean): [name: string, value: string][] {
  return [
    [
      "content-security-policy",
      "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ],
    ["x-content-type-options", "nosniff"],
    // With "no-referrer" browsers would send "Origin: null" with our own forms.
    ["referrer-policy", "same-origin"],
    ["cross-origin-opener-policy", "same-origin"],
    ["cross-origin-resource-policy", "same-origin"],
    ...(https ? [["strict-transport-security", "max-age=31536000"] as [string, string]] : []),
  ];
}

/**
 * The host that an address names, with its port, unchanged. No URL is built for it.
 *
 * @param url The address, which may hold anything.
 * @returns The host, or `undefined` if no path follows it.
 */
export function hostOf(url: string): string | undefined {
  const scheme = url.indexOf("://");
  const slash = url.indexOf("/", scheme + 3);
  return scheme === -1 || slash === -1 ? undefined : url.slice(scheme + 3, slash);
}
