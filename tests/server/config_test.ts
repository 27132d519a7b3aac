/** Config: the meaning of each setting, and the error for a value that cannot be used. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readConfig } from "../../lib/server/config.ts";
import { ConfigError } from "../../lib/server/setting_values.ts";
import type { Environment, SettingName } from "../../lib/server/settings.ts";

const KEY = "a key for tests of at least 32 bytes";

function refusal(env: Environment): string {
  return (assertThrows(() => readConfig(env), ConfigError) as ConfigError).message;
}

Deno.test("config: no setting is required", () => {
  assertEquals(readConfig({}), {
    host: { hostname: "127.0.0.1" },
    port: 8000,
    reusePort: false,
    origin: undefined,
    basePath: "",
    https: false,
    tls: undefined,
    secretKey: undefined,
    secretKeyFile: undefined,
    fallbackKeys: [],
    type: "filesystem",
    dir: "session_data",
    url: undefined,
    prefix: "session:",
    table: "sessions",
    sync: "normal",
    permanent: true,
    idle: 60,
    absolute: 43_200,
    refresh: true,
    bound: false,
    cookie: { name: "session", path: "/", httpOnly: true, secure: false, sameSite: "Lax", partitioned: false },
    max: 1_000_000,
    logLevel: "info",
  });
});

Deno.test("config: every setting is read", () => {
  const config = readConfig({
    HOST: "0.0.0.0",
    PORT: "0",
    REUSE_PORT: "true",
    ORIGIN: "https://shop.example.com/app",
    TLS_CERT_FILE: "cert.pem",
    TLS_KEY_FILE: "key.pem",
    SECRET_KEY: KEY,
    SECRET_KEY_FALLBACKS: `${KEY}1, ${KEY}2`,
    SESSION_TYPE: "redis",
    SESSION_FILE_DIR: "/var/lib/sessions",
    SESSION_URL: "redis://host",
    SESSION_KEY_PREFIX: "shop:",
    SESSION_TABLE: "shop_sessions",
    SESSION_SYNC: "full",
    SESSION_PERMANENT: "false",
    PERMANENT_SESSION_LIFETIME: "3600",
    SESSION_ABSOLUTE_LIFETIME: "86400",
    SESSION_REFRESH_EACH_REQUEST: "0",
    SESSION_COOKIE_NAME: "sid",
    SESSION_COOKIE_DOMAIN: "example.com",
    SESSION_COOKIE_PATH: "/app/",
    SESSION_COOKIE_HTTPONLY: "False",
    SESSION_COOKIE_SECURE: "1",
    SESSION_COOKIE_SAMESITE: "none",
    SESSION_COOKIE_PARTITIONED: "TRUE",
    SESSION_MAX: "10",
    LOG_LEVEL: "debug",
  });
  assertEquals(config, {
    host: { hostname: "0.0.0.0" },
    port: 0,
    reusePort: true,
    origin: "https://shop.example.com",
    basePath: "/app",
    https: true,
    tls: { certFile: "cert.pem", keyFile: "key.pem" },
    secretKey: KEY,
    secretKeyFile: undefined,
    fallbackKeys: [`${KEY}1`, `${KEY}2`],
    type: "redis",
    dir: "/var/lib/sessions",
    url: "redis://host",
    prefix: "shop:",
    table: "shop_sessions",
    sync: "full",
    permanent: false,
    idle: 3600,
    absolute: 86_400,
    refresh: false,
    bound: false,
    cookie: {
      name: "__Secure-sid",
      domain: "example.com",
      path: "/app/",
      httpOnly: false,
      secure: true,
      sameSite: "None",
      partitioned: true,
    },
    max: 10,
    logLevel: "debug",
  });
});

Deno.test("config: https makes the cookie Secure and its name __Host-", () => {
  const cookieOf = (env: Environment) => {
    const { name, secure } = readConfig(env).cookie;
    return [name, secure];
  };
  const tls = { TLS_CERT_FILE: "c", TLS_KEY_FILE: "k" };
  assertEquals(cookieOf({ ORIGIN: "https://example.com" }), ["__Host-session", true]);
  assertEquals(cookieOf(tls), ["__Host-session", true]);
  assertEquals(cookieOf({ ORIGIN: "http://example.com" }), ["session", false]);
  for (const name of ["__Secure-id", "__Host-id", "__host-id", "__Http-id"]) {
    assertEquals(cookieOf({ ORIGIN: "https://example.com", SESSION_COOKIE_NAME: name }), [name, true]);
  }
  assertEquals(cookieOf({ ORIGIN: "https://example.com/a" }), ["__Secure-session", true]);
  assertEquals(cookieOf({ ORIGIN: "https://example.com/a", SESSION_COOKIE_PATH: "/" }), ["__Host-session", true]);
  assertEquals(cookieOf({ ORIGIN: "https://example.com", SESSION_COOKIE_SECURE: "false" }), ["session", false]);
  assertEquals(cookieOf({ SESSION_COOKIE_SECURE: "true" }), ["session", true]);
});

Deno.test("config: an invalid value is refused with its name, and what it must be", () => {
  const unusable: [SettingName, string, Environment?][] = [
    ["HOST", "a b"],
    ["HOST", "[::1"],
    ["HOST", "127.0.0.1:8000"],
    ["PORT", "abc"],
    ["PORT", "65536"],
    ["PORT", "-1"],
    ["PORT", "80.5"],
    ["ORIGIN", "example.com"],
    ["ORIGIN", "ftp://example.com"],
    ["ORIGIN", "https://example.com/a//b"],
    ["ORIGIN", "https://example.com/a;b"],
    ["ORIGIN", "https://user@example.com"],
    ["ORIGIN", "https://example.com?x"],
    ["REUSE_PORT", "always"],
    ["SESSION_TYPE", "mysql"],
    ["SESSION_KEY_PREFIX", "my app"],
    ["SESSION_KEY_PREFIX", "x".repeat(101)],
    ["SESSION_TABLE", "my-table"],
    ["SESSION_TABLE", "1"],
    ["SESSION_TABLE", "app.sessions"],
    ["SESSION_SYNC", "always"],
    ["SESSION_PERMANENT", "yes"],
    ["PERMANENT_SESSION_LIFETIME", "0"],
    ["PERMANENT_SESSION_LIFETIME", "1e3"],
    ["PERMANENT_SESSION_LIFETIME", "34560001"],
    ["SESSION_ABSOLUTE_LIFETIME", "forever"],
    ["SESSION_REFRESH_EACH_REQUEST", "no"],
    ["SESSION_COOKIE_NAME", "a b"],
    ["SESSION_COOKIE_NAME", "a=b"],
    ["SESSION_COOKIE_NAME", "x".repeat(101)],
    ["SESSION_COOKIE_NAME", "__Host-x"],
    ["SESSION_COOKIE_NAME", "__Http-x", { SESSION_COOKIE_HTTPONLY: "false", ORIGIN: "https://example.com" }],
    ["SESSION_COOKIE_DOMAIN", "exa mple.com"],
    ["SESSION_COOKIE_DOMAIN", "localhost"],
    ["SESSION_COOKIE_DOMAIN", "127.0.0.1"],
    ["SESSION_COOKIE_DOMAIN", "a..com"],
    ["SESSION_COOKIE_DOMAIN", "example.org", { ORIGIN: "https://example.com" }],
    ["SESSION_COOKIE_PATH", "app"],
    ["SESSION_COOKIE_PATH", "/a;b"],
    ["SESSION_COOKIE_PATH", "/app"],
    ["SESSION_COOKIE_PATH", "/app2", { ORIGIN: "https://example.com/app" }],
    ["SESSION_COOKIE_PATH", "/app/x", { ORIGIN: "https://example.com/app" }],
    ["SESSION_BOUND", "yes"],
    ["SESSION_BOUND", "true"],
    ["SESSION_BOUND", "true", { SESSION_COOKIE_SECURE: "true" }],
    ["SESSION_BOUND", "true", { ORIGIN: "https://example.com", SESSION_COOKIE_SECURE: "false" }],
    ["SESSION_BOUND", "true", { ORIGIN: "https://example.com", SESSION_COOKIE_DOMAIN: "example.com" }],
    ["REUSE_PORT", "true", { SESSION_TYPE: "memory" }],
    ["REUSE_PORT", "true", { SESSION_TYPE: "denokv", SESSION_URL: "denokv::memory:" }],
    ["REUSE_PORT", "true", { HOST: "unix:/run/a.sock" }],
    ["HOST", "unix:"],
    ["SESSION_COOKIE_HTTPONLY", "maybe"],
    ["SESSION_COOKIE_SECURE", "on"],
    ["SESSION_COOKIE_SAMESITE", "Loose"],
    ["SESSION_COOKIE_SAMESITE", "None"],
    ["SESSION_COOKIE_PARTITIONED", "true"],
    ["SESSION_MAX", "0"],
    ["SESSION_MAX", "many"],
    ["LOG_LEVEL", "loud"],
  ];
  for (const [name, value, more] of unusable) {
    const message = refusal({ ...more, [name]: value });
    assert(message.startsWith(`"${name}" must be `) && message.includes(`: received "${value}"`), message);
    assert(!message.includes("\n"), message);
  }
});

Deno.test("config: SESSION_TYPE may be in upper or lower case", () => {
  assertEquals(readConfig({ SESSION_TYPE: "Redis", SESSION_URL: "redis://host" }).type, "redis");
  assertEquals(readConfig({ SESSION_TYPE: "FILESYSTEM" }).type, "filesystem");
});

Deno.test("config: a lifetime that was not set follows the one that was", () => {
  const lifetimes = (idle?: number, absolute?: number) => {
    const config = readConfig({
      ...(idle && { PERMANENT_SESSION_LIFETIME: String(idle) }),
      ...(absolute && { SESSION_ABSOLUTE_LIFETIME: String(absolute) }),
    });
    return [config.idle, config.absolute];
  };
  assertEquals(lifetimes(2_592_000), [2_592_000, 2_592_000]);
  assertEquals(lifetimes(undefined, 10), [10, 10]);
  assertEquals(lifetimes(43_200), [43_200, 43_200]);
  assertEquals(lifetimes(3600, 3600), [3600, 3600]);
  const message = refusal({ PERMANENT_SESSION_LIFETIME: "61", SESSION_ABSOLUTE_LIFETIME: "60" });
  assertEquals(
    message,
    '"PERMANENT_SESSION_LIFETIME" must be at most the value of "SESSION_ABSOLUTE_LIFETIME", 60: received "61"',
  );
});

Deno.test("config: each of the TLS files needs the other", () => {
  assert(refusal({ TLS_CERT_FILE: "cert.pem" }).startsWith('"TLS_KEY_FILE" must be'));
  assert(refusal({ TLS_KEY_FILE: "key.pem" }).startsWith('"TLS_CERT_FILE" must be'));
});

Deno.test("config: a key that is too short, or has a comma, is refused without being shown", () => {
  const short = ["MY_SECRET_KEY", "x".repeat(31), `${KEY},short`];
  for (
    const [name, values] of [["SECRET_KEY", [...short, `${KEY},${KEY}`]], ["SECRET_KEY_FALLBACKS", short]] as const
  ) {
    for (const value of values) {
      const message = refusal({ [name]: value });
      assert(message.startsWith(`"${name}" must be `), message);
      assert(!message.includes(value.split(",").at(-1)!), message);
    }
  }
  // Bytes count, not characters.
  readConfig({ SECRET_KEY: "éàèùâêîô".repeat(2) });
});

Deno.test("config: empty keys among the fallbacks are ignored", () => {
  assertEquals(readConfig({ SECRET_KEY_FALLBACKS: `, ${KEY} ,,` }).fallbackKeys, [KEY]);
});

Deno.test("config: a table in PostgreSQL may have its schema before it", () => {
  const env = { SESSION_TYPE: "postgres", SESSION_URL: "postgres://u@a/d" };
  assertEquals(readConfig({ ...env, SESSION_TABLE: "app.sessions" }).table, "app.sessions");
  for (const table of ["a.b.c", ".b", "a.", "a.1"]) {
    assert(refusal({ ...env, SESSION_TABLE: table }).startsWith('"SESSION_TABLE" must be'), table);
  }
});

Deno.test("config: SECRET_KEY and SECRET_KEY_FILE exclude each other", () => {
  const message = refusal({ SECRET_KEY: KEY, SECRET_KEY_FILE: "/run/secrets/key" });
  assert(message.startsWith('"SECRET_KEY_FILE" must be unset') && !message.includes(KEY), message);
});

Deno.test("config: the library's errors about the cookie name the settings", () => {
  const env = { SESSION_COOKIE_SAMESITE: "None" };
  const must =
    '"SESSION_COOKIE_SAMESITE" must be Strict or Lax unless "SESSION_COOKIE_SECURE" is true: received "None"';
  assertEquals(refusal(env), must);
});
