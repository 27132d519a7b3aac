/** Addresses in settings: HOST, ORIGIN, SESSION_URL and the store that it means. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { storeAddress } from "../../lib/server/addresses.ts";
import { readConfig } from "../../lib/server/config.ts";
import { ConfigError } from "../../lib/server/setting_values.ts";
import type { Environment } from "../../lib/server/settings.ts";

function refusal(env: Environment): string {
  return (assertThrows(() => readConfig(env), ConfigError) as ConfigError).message;
}

Deno.test("config: an ORIGIN that no request can match is refused", () => {
  const hosts = ["*.example.com", "a..b", "-a.com", "a~b", "example.com:0", "(a)", "a.".repeat(150)];
  for (const value of hosts.map((host) => `https://${host}`)) {
    assert(refusal({ ORIGIN: value }).startsWith('"ORIGIN" must be '), value);
  }
  const tls = { TLS_CERT_FILE: "c", TLS_KEY_FILE: "k" };
  assert(refusal({ ...tls, ORIGIN: "http://example.com" }).startsWith('"ORIGIN" must be an https: address'));
  for (const value of ["https://[::1]:8443", "http://my_pi:8000", "https://bücher.example", "HTTPS://Example.COM/"]) {
    assert(readConfig({ ORIGIN: value }).origin?.startsWith("http"), value);
  }
});

Deno.test("config: HOST may be an address in the brackets that it has in a URL", () => {
  assertEquals(["[::1]", "::1", "[::]"].map((HOST) => readConfig({ HOST }).host), [
    { hostname: "::1" },
    { hostname: "::1" },
    { hostname: "::" },
  ]);
});

Deno.test("config: a shared store needs its address, which is not shown", () => {
  for (const type of ["redis", "sqlite", "postgres", "memcached", "mongodb", "denokv"]) {
    assert(refusal({ SESSION_TYPE: type }).startsWith('"SESSION_URL" must be'));
    const message = refusal({ SESSION_TYPE: type, SESSION_URL: "nonsense://user:password@host" });
    assert(message.startsWith('"SESSION_URL" must be') && !message.includes("password"), message);
  }
  const hosts = "mongodb://a:27017,b:27017/db";
  assertEquals(readConfig({ SESSION_TYPE: "mongodb", SESSION_URL: hosts }).url, hosts);
});

Deno.test("config: a store's address may begin as its documentation says, in capitals too", () => {
  const addresses: Record<string, string[]> = {
    redis: ["redis://a", "rediss://a", "valkey://a", "valkeys://a", "redis+unix:///run/a.sock"],
    memcached: ["memcached://a", "memcached+unix:///run/a.sock"],
    postgres: ["postgres://u@a/d", "postgresql://u@a/d"],
    mongodb: ["mongodb://a", "mongodb+srv://a"],
    sqlite: ["sqlite:A.db"],
    denokv: ["denokv:A.db", "https://a"],
  };
  for (const [type, urls] of Object.entries(addresses)) {
    for (const url of urls) {
      const capitals = url.replace(/^[^:]+/, (scheme) => scheme.toUpperCase());
      for (const given of [url, capitals]) {
        assertEquals(readConfig({ SESSION_TYPE: type, SESSION_URL: given }).url, url);
      }
    }
  }
});

Deno.test("config: SESSION_TYPE follows the scheme of SESSION_URL when unset", () => {
  const typeOf = (SESSION_URL: string) => readConfig({ SESSION_URL }).type;
  const addresses = [
    "rediss://a",
    "POSTGRESQL://u@a/d",
    "sqlite:a.db",
    "memcached://a",
    "mongodb+srv://a",
    "https://a",
  ];
  assertEquals(addresses.map(typeOf), ["redis", "postgres", "sqlite", "memcached", "mongodb", "denokv"]);
  for (const SESSION_URL of ["redis://a", "denokv::memory:"]) {
    const { type, url } = readConfig({ SESSION_TYPE: "filesystem", SESSION_URL, REUSE_PORT: "true" });
    assertEquals([type, url], ["filesystem", undefined], "an address that the store does not use");
  }
  for (const SESSION_URL of ["mysql://user:password@a", "a.db", "password"]) {
    const message = refusal({ SESSION_URL });
    assert(message.startsWith('"SESSION_URL" must be an address') && !message.includes("password"), message);
  }
});

Deno.test("config: sqlalchemy is PostgreSQL or SQLite, as SQLAlchemy reads the address", () => {
  const read = (SESSION_URL: string) => {
    const { type, url } = readConfig({ SESSION_TYPE: "sqlalchemy", SESSION_URL });
    return [type, url];
  };
  assertEquals(read("postgresql://u:p@a/d?sslmode=require"), ["postgres", "postgresql://u:p@a/d?sslmode=require"]);
  assertEquals(read("postgresql+psycopg2://u:p@a/d"), ["postgres", "postgresql://u:p@a/d"]);
  assertEquals(read("POSTGRESQL+asyncpg://u@a/d"), ["postgres", "postgresql://u@a/d"]);
  assertEquals(readConfig({ SESSION_URL: "postgresql+psycopg2://u@a/d" }).type, "postgres");
  assertEquals(read("sqlite:///data/s.db"), ["sqlite", "sqlite:data/s.db"]);
  assertEquals(read("sqlite:////var/lib/s.db"), ["sqlite", "sqlite:/var/lib/s.db"]);
  assertEquals(read("sqlite+pysqlite:///s.db"), ["sqlite", "sqlite:s.db"]);
  for (const memory of ["sqlite://", "sqlite:///", "sqlite:///:memory:"]) {
    assert(
      /"SESSION_URL" must name a file.* memory/.test(refusal({ SESSION_TYPE: "sqlalchemy", SESSION_URL: memory })),
    );
  }
  for (const SESSION_URL of [undefined, "mysql://u:password@a/d", "sqlite:s.db", "sqlite://s.db"]) {
    const message = refusal({ SESSION_TYPE: "sqlalchemy", ...(SESSION_URL && { SESSION_URL }) });
    assert(message.startsWith('"SESSION_URL" must ') && !message.includes("password"), message);
  }
});

Deno.test("config: HOST may be a Unix socket, without TLS", () => {
  assertEquals(readConfig({ HOST: "unix:/run/a.sock" }).host, { path: "/run/a.sock" });
  assertEquals(readConfig({ HOST: "unix:/run/a.sock" }).https, false);
  const tls = { TLS_CERT_FILE: "c", TLS_KEY_FILE: "k" };
  assert(refusal({ HOST: "unix:/run/a.sock", ...tls }).startsWith('"TLS_CERT_FILE" must be unset'));
});

Deno.test("config: ORIGIN may have a path, which the cookie follows", () => {
  for (const ORIGIN of ["http://example.com/app", "http://example.com/app/"]) {
    const { origin, basePath, cookie } = readConfig({ ORIGIN });
    assertEquals([origin, basePath, cookie.path], ["http://example.com", "/app", "/app"]);
  }
  assertEquals(readConfig({ ORIGIN: "http://example.com/a/b%20c" }).basePath, "/a/b%20c");
  for (const path of ["/", "/a", "/a/", "/a/b", "/a/b/"]) {
    const { cookie } = readConfig({ ORIGIN: "http://example.com/a/b", SESSION_COOKIE_PATH: path });
    assertEquals(cookie.path, path);
  }
});

Deno.test("addresses: without a type, the path follows sqlite:", () => {
  for (const url of ["sqlite:///srv/s.db", "sqlite:s.db"]) {
    assertEquals(storeAddress(undefined, url), { type: "sqlite", url });
  }
});
