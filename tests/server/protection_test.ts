/** The host check, the cross-site check and the headers, one request at a time. */
import { assert, assertEquals } from "@std/assert";
import { isCrossSite } from "../../lib/cross_site.ts";
import { hostsOf, isForHost, isHost, isPrefetch, pathOf, securityHeaders } from "../../lib/server/protection.ts";

/** A request as Deno makes it: the address contains what the client sent, without a check. */
function received(url: string, headers: Record<string, string> = {}, method = "POST"): Request {
  const request = new Request("http://localhost/", { method, headers });
  return Object.defineProperty(request, "url", { value: url });
}

Deno.test("protection: a path is found without a URL object, and without its query", () => {
  const paths = {
    "http://example.com/": "/",
    "http://example.com/add?x=/remove": "/add",
    "http://example.com//evil/x": "//evil/x",
    "http://example.com/../x": "/../x",
    "http://example.com/%zz": "/%zz",
    "http://example.com/*": "/*",
    "http://example.com:8000/add": "/add",
    "http://[::1]:8000/add": "/add",
    "http://127.0.0.1/a://b/c": "/a://b/c",
  };
  for (const [url, path] of Object.entries(paths)) assertEquals(pathOf(url), path);
});

Deno.test("protection: names, addresses and ports that browsers ask for are valid hosts", () => {
  const hosts = ["localhost", "localhost:8000", "EXAMPLE.com", "a.b-c.example", "my_pi", "example.com.", "127.0.0.1"];
  hosts.push("[::1]", "[::ffff:127.0.0.1]:65535", "xn--bcher-kva.example", `${"a".repeat(63)}.example`);
  // The longest: 253 characters, the last dot, and a port.
  hosts.push(`${`${"a".repeat(62)}.`.repeat(4)}a.:65535`);
  for (const host of hosts) assert(isForHost(received(`http://${host}/add`, { host }), undefined), host);
});

Deno.test("protection: a string that is not a host is not the site's host", () => {
  const hosts = ["a b", "a\tb", "a@b", "user:pw@a", "a:b", "a:99999", "a:123456", "a:", "a?x", "a#x", "a\\b", "[::1"];
  hosts.push("::1", "a,b", "%41", "..", ".", "a..b", ".a", "-a", "<x>", "a;b", "a'b", "{a}", "[]", "[x]", "a$b");
  hosts.push("a".repeat(64), "a.".repeat(150), `${"a".repeat(300)}`, "Ã©.com", "*", "~");
  for (const host of hosts) assert(!isForHost(received(`http://${host}/add`, { host }), undefined), host);
  assert(!isHost(`${"a.".repeat(130)}a`), "a host that is too long");
});

Deno.test("protection: a Host header that differs from the address is refused", () => {
  for (
    const [url, host] of [
      ["http://evil.com/@x/add", "evil.com/@x"],
      ["http://evil.com/add", "example.com"],
      ["http://localhost:8000/add", ""],
      ["http://example.com:80", "example.com:80"],
    ] as const
  ) {
    assert(!isForHost(received(url, { host }), undefined), url);
  }
  assertEquals(pathOf("http://example.com:80"), undefined);
});

Deno.test("protection: if an origin is set, only its host is accepted", () => {
  const hosts = hostsOf("https://example.com");
  for (const host of ["example.com", "EXAMPLE.com", "example.com:443"]) {
    assert(isForHost(received(`http://${host}/`, { host }), hosts), host);
  }
  for (const host of ["example.com:80", "example.com.", "www.example.com", "example.com.evil.com", "127.0.0.1"]) {
    assert(!isForHost(received(`http://${host}/`, { host }), hosts), host);
  }
  assertEquals(hostsOf("http://example.com"), new Set(["example.com", "example.com:80"]));
  assertEquals(hostsOf("http://example.com:8000"), new Set(["example.com:8000"]));
});

Deno.test("protection: Sec-Fetch-Site decides, whatever Origin says", () => {
  for (const origin of [undefined, "http://example.com"]) {
    for (const from of [undefined, "http://example.com", "http://evil.com", "null"]) {
      const headers = (site: string) => ({ "sec-fetch-site": site, ...(from && { origin: from }) });
      const crossSite = (site: string) => isCrossSite(received("http://example.com/add", headers(site)), origin);
      for (const site of ["same-origin", "none"]) assertEquals(crossSite(site), false, `${site} ${from}`);
      for (const site of ["cross-site", "same-site", "", "Same-Origin", "same-origin, none", "x"]) {
        assertEquals(crossSite(site), true, `${site} ${from}`);
      }
    }
  }
});

Deno.test("protection: without Sec-Fetch-Site, the Origin must be the request's own host", () => {
  // What a browser sends over plain http in a home network.
  const crossSite = (host: string, origin: string) =>
    isCrossSite(received(`http://${host}/add`, { host, origin }), undefined);
  assertEquals(crossSite("192.168.1.7:8000", "http://192.168.1.7:8000"), false);
  assertEquals(crossSite("My-Pi:8000", "http://my-pi:8000"), false);
  assertEquals(crossSite("example.com", "https://example.com"), false, "behind a proxy that ended TLS");
  for (
    const origin of ["http://192.168.1.8:8000", "http://192.168.1.7", "http://192.168.1.7:8000.evil.com", "null", ""]
  ) {
    assertEquals(crossSite("192.168.1.7:8000", origin), true, origin);
  }
  // A string that is not a host has no origin, even if the Origin header is the same string.
  for (const origin of ["http://undefined", "https://null", "http://999.999.999.999"]) {
    assertEquals(crossSite("999.999.999.999", origin), true, origin);
  }
});

Deno.test("protection: without Sec-Fetch-Site, the Origin must be the one that is set", () => {
  const crossSite = (from: string) =>
    isCrossSite(received("http://example.com/add", { origin: from }), "https://example.com");
  assertEquals(crossSite("https://example.com"), false);
  for (const from of ["http://example.com", "https://example.com:444", "https://www.example.com", "null", ""]) {
    assertEquals(crossSite(from), true, from);
  }
});

Deno.test("protection: a request with neither header comes from a program, not a site", () => {
  assertEquals(isCrossSite(received("http://example.com/add"), undefined), false);
  assertEquals(isCrossSite(received("http://example.com/add"), "https://example.com"), false);
});

Deno.test("protection: a prefetch is recognised by each of the headers that browsers send", () => {
  const headers = [{ "sec-purpose": "prefetch" }, { "sec-purpose": "prefetch;prerender" }, { purpose: "prefetch" }];
  for (const header of [...headers, { "x-moz": "prefetch" }, { purpose: "Prefetch" }] as Record<string, string>[]) {
    assertEquals(isPrefetch(received("http://example.com/remove", header, "GET")), true, JSON.stringify(header));
  }
  assertEquals(isPrefetch(received("http://example.com/remove", {}, "GET")), false);
});

Deno.test("protection: the content security policy allows only the own style and forms", () => {
  const { "content-security-policy": policy, ...others } = Object.fromEntries(securityHeaders(false));
  const directives = Object.fromEntries(
    policy!.split("; ").map((directive) => [directive.split(" ")[0], directive.split(" ").slice(1).join(" ")]),
  );
  assertEquals(directives, {
    "default-src": "'none'",
    "img-src": "'self'",
    "style-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
  });
  assert(!policy!.includes("unsafe-"));
  assertEquals(others, {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  });
});

Deno.test("protection: browsers are told to stay on https for a year, under https only", () => {
  const name = "strict-transport-security";
  assertEquals(Object.fromEntries(securityHeaders(true))[name], "max-age=31536000");
  assertEquals(Object.fromEntries(securityHeaders(false))[name], undefined);
});
