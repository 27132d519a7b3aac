/** Protection: the host check, the cross-site check, and the headers that every answer carries. */

// A host name or address and an optional port (RFC 9110, section 7.2), as far as browsers send them: labels of letters,
// digits, "-" and "_" with single dots between them, or an IPv6 address in brackets.
const HOST = /^(?:(?!-)[\w-]{1,63}(?:\.(?!-)[\w-]{1,63})*\.?|\[[0-9a-f:.]{2,45}\])(?::(\d{1,5}))?$/i;

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
 * Finds the path that a request names, and checks the host it names first. No URL is built for it: a `Host` like
 * `evil.com/@x` would move the path, and one like `a b` would throw.
 *
 * @param request The request.
 * @param hosts The hosts it may name, or `undefined` if any valid one will do.
 * @returns The path without its query, or `undefined` if the request names no valid host, two, or another one.
 */
export function pathOf(request: Request, hosts: ReadonlySet<string> | undefined): string | undefined {
  const { url } = request;
  const host = hostOf(url);
  // HTTP/2, and a request made in this process, have an authority and no Host header. HTTP/1 without one cannot be told
  // from them (Deno puts "localhost" in its place); no browser sends that.
  if (host === undefined || (request.headers.get("host") ?? host) !== host) return undefined;
  if (host.length > MAX_HOST_LENGTH) return undefined;
  const match = HOST.exec(host);
  if (match === null || Number(match[1] ?? 0) > 65535) return undefined;
  if (hosts !== undefined && !hosts.has(host.toLowerCase())) return undefined;
  const slash = url.indexOf("://") + 3 + host.length;
  const query = url.indexOf("?", slash);
  return query === -1 ? url.slice(slash) : url.slice(slash, query);
}

/**
 * Whether a browser sent the request on behalf of another site: by `Sec-Fetch-Site`, else by `Origin`. A request with
 * neither is a program's, which nobody can forge for a visitor. (As Go's CrossOriginProtection; ASVS 5, 3.5.)
 *
 * @param request A request whose host was checked.
 * @param origin The site's public address, or `undefined` if it goes by the host that the request names.
 */
export function isCrossSite(request: Request, origin: string | undefined): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const from = request.headers.get("origin");
  if (from === null || from === origin) return false;
  if (origin !== undefined) return true;
  // The scheme is left out, as a proxy may have ended TLS.
  const host = hostOf(request.url)?.toLowerCase();
  return from !== `http://${host}` && from !== `https://${host}`;
}

/**
 * Whether a browser fetches the page in case the visitor will want it.
 *
 * @param request The request.
 */
export function isPrefetch({ headers }: Request): boolean {
  const purpose = headers.get("sec-purpose") ?? headers.get("purpose") ?? headers.get("x-moz") ?? "";
  return purpose.includes("prefetch");
}

const UNUSED_FEATURES = [
  "accelerometer",
  "autoplay",
  "browsing-topics",
  "camera",
  "clipboard-read",
  "clipboard-write",
  "compute-pressure",
  "cross-origin-isolated",
  "display-capture",
  "encrypted-media",
  "fullscreen",
  "gamepad",
  "geolocation",
  "gyroscope",
  "hid",
  "identity-credentials-get",
  "idle-detection",
  "keyboard-map",
  "local-fonts",
  "magnetometer",
  "microphone",
  "midi",
  "otp-credentials",
  "payment",
  "picture-in-picture",
  "publickey-credentials-create",
  "publickey-credentials-get",
  "screen-wake-lock",
  "serial",
  "storage-access",
  "sync-xhr",
  "unload",
  "usb",
  "window-management",
  "xr-spatial-tracking",
];

/**
 * The `Permissions-Policy` of a page: all that it could ask of a browser, and these do not, is switched off. Naming every
 * feature has a second use. Deno sends an answer in one write if its head and body fit into a buffer that starts at 512
 * bytes and doubles when a head outgrows it. With a head of more than 1,024 bytes a page fits, which saves a system call
 * and a fifth of the time it takes.
 */
export const PERMISSIONS_POLICY = UNUSED_FEATURES.map((feature) => `${feature}=()`).join(", ");

/**
 * The headers of every answer (ASVS 5, 3.4).
 *
 * @param https Whether the site is served over https, so that browsers should never use anything else.
 */
export function securityHeaders(https: boolean): [name: string, value: string][] {
  return [
    [
      "content-security-policy",
      "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ],
    ["x-content-type-options", "nosniff"],
    // With "no-referrer" browsers would send "Origin: null" with our own forms.
    ["referrer-policy", "same-origin"],
    ["cross-origin-opener-policy", "same-origin"],
    ["cross-origin-resource-policy", "same-origin"],
    ...(https ? [["strict-transport-security", "max-age=31536000"] as [string, string]] : []),
  ];
}

function hostOf(url: string): string | undefined {
  const start = url.indexOf("://") + 3;
  const slash = url.indexOf("/", start);
  return slash === -1 ? undefined : url.slice(start, slash);
}
