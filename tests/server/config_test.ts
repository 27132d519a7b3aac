/** Config: what each setting means, and what is said of a value that cannot be used. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError, type Environment, readConfig, type Setting, SETTINGS } from "../../lib/server/config.ts";
import { startFlags } from "../support/server.ts";

const KEY = "a secret key of at least 32 bytes";

function refusal(env: Environment): string {
  return (assertThrows(() => readConfig(env), ConfigError) as ConfigError).message;
}

Deno.test("config: no setting is required", () => {
  assertEquals(readConfig({}), {
    hostname: "127.0.0.1",
    port: 8000,
    origin: undefined,
    https: false,
    tls: undefined,
    secretKey: undefined,
    fallbackKeys: [],
    type: "filesystem",
    dir: "session_data",
    url: undefined,
    permanent: true,
    idle: 60,
    absolute: 43_200,
    refresh: true,
    cookie: { name: "session", path: "/", httpOnly: true, secure: false, sameSite: "Lax", partitioned: false },
    max: 1_000_000,
    logLevel: "info",
  });
});

Deno.test("config: every setting is read", () => {
  const config = readConfig({
    HOST: "0.0.0.0",
    PORT: "0",
    ORIGIN: "https://shop.example.com",
    TLS_CERT_FILE: "cert.pem",
    TLS_KEY_FILE: "key.pem",
    SECRET_KEY: KEY,
    SECRET_KEY_FALLBACKS: `${KEY}1, ${KEY}2`,
    SESSION_TYPE: "memory",
    SESSION_FILE_DIR: "/var/lib/sessions",
    SESSION_URL: "anything",
    SESSION_PERMANENT: "false",
    PERMANENT_SESSION_LIFETIME: "3600",
    SESSION_ABSOLUTE_LIFETIME: "86400",
    SESSION_REFRESH_EACH_REQUEST: "0",
    SESSION_COOKIE_NAME: "sid",
    SESSION_COOKIE_DOMAIN: "example.com",
    SESSION_COOKIE_PATH: "/app",
    SESSION_COOKIE_HTTPONLY: "False",
    SESSION_COOKIE_SECURE: "1",
    SESSION_COOKIE_SAMESITE: "none",
    SESSION_COOKIE_PARTITIONED: "TRUE",
    SESSION_MAX: "10",
    LOG_LEVEL: "debug",
  });
  assertEquals(config, {
    hostname: "0.0.0.0",
    port: 0,
    origin: "https://shop.example.com",
    https: true,
    tls: { certFile: "cert.pem", keyFile: "key.pem" },
    secretKey: KEY,
    fallbackKeys: [`${KEY}1`, `${KEY}2`],
    type: "memory",
    dir: "/var/lib/sessions",
    url: "anything",
    permanent: false,
    idle: 3600,
    absolute: 86_400,
    refresh: false,
    cookie: {
      name: "__Secure-sid",
      domain: "example.com",
      path: "/app",
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
  assertEquals(cookieOf({ ORIGIN: "https://example.com", SESSION_COOKIE_NAME: "__Secure-id" }), ["__Secure-id", true]);
  assertEquals(cookieOf({ ORIGIN: "https://example.com", SESSION_COOKIE_PATH: "/a" }), ["__Secure-session", true]);
  assertEquals(cookieOf({ ORIGIN: "https://example.com", SESSION_COOKIE_SECURE: "false" }), ["session", false]);
  assertEquals(cookieOf({ SESSION_COOKIE_SECURE: "true" }), ["session", true]);
});

Deno.test("config: an unusable value is refused with the setting's name, what it must be, and what it was", () => {
  const unusable: [Setting, string, Environment?][] = [
    ["HOST", "a b"],
    ["PORT", "abc"],
    ["PORT", "65536"],
    ["PORT", "-1"],
    ["PORT", "80.5"],
    ["PORT", ""],
    ["ORIGIN", "example.com"],
    ["ORIGIN", "ftp://example.com"],
    ["ORIGIN", "https://example.com/app"],
    ["ORIGIN", "https://user@example.com"],
    ["ORIGIN", "https://example.com?x"],
    ["TLS_CERT_FILE", "", { TLS_KEY_FILE: "key.pem" }],
    ["TLS_KEY_FILE", "", { TLS_CERT_FILE: "cert.pem" }],
    ["SESSION_TYPE", "mongodb"],
    ["SESSION_FILE_DIR", ""],
    ["SESSION_PERMANENT", "yes"],
    ["PERMANENT_SESSION_LIFETIME", "0"],
    ["PERMANENT_SESSION_LIFETIME", "1e3"],
    ["PERMANENT_SESSION_LIFETIME", "34560001"],
    ["SESSION_ABSOLUTE_LIFETIME", "forever"],
    ["SESSION_REFRESH_EACH_REQUEST", "no"],
    ["SESSION_COOKIE_NAME", "a b"],
    ["SESSION_COOKIE_NAME", "a=b"],
    ["SESSION_COOKIE_NAME", "x".repeat(91)],
    ["SESSION_COOKIE_NAME", "__Host-x"],
    ["SESSION_COOKIE_DOMAIN", "exa mple.com"],
    ["SESSION_COOKIE_DOMAIN", "example.org", { ORIGIN: "https://example.com" }],
    ["SESSION_COOKIE_PATH", "app"],
    ["SESSION_COOKIE_PATH", "/a;b"],
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

Deno.test("config: each of the TLS files needs the other", () => {
  assert(refusal({ TLS_CERT_FILE: "cert.pem" }).startsWith('"TLS_KEY_FILE" must be'));
  assert(refusal({ TLS_KEY_FILE: "key.pem" }).startsWith('"TLS_CERT_FILE" must be'));
});

Deno.test("config: a key under 32 bytes is refused without being shown", () => {
  for (const name of ["SECRET_KEY", "SECRET_KEY_FALLBACKS"] as const) {
    for (const value of ["", "MY_SECRET_KEY", "x".repeat(31), `${KEY},short`]) {
      if (name === "SECRET_KEY" && value.length > 31) continue;
      const message = refusal({ [name]: value });
      assert(message.startsWith(`"${name}" must be at least 32 bytes`), message);
      assert(value === "" || !message.includes(value.split(",").at(-1)!), message);
    }
  }
  // Bytes count, not characters.
  readConfig({ SECRET_KEY: "é".repeat(16) });
});

Deno.test("config: a shared store needs its address, which is not shown, as it may hold a password", () => {
  for (const type of ["redis", "sqlite", "postgres", "memcached"]) {
    assert(refusal({ SESSION_TYPE: type }).startsWith('"SESSION_URL" must be'));
    const message = refusal({ SESSION_TYPE: type, SESSION_URL: "nonsense://user:password@host" });
    assert(message.startsWith('"SESSION_URL" must be') && !message.includes("password"), message);
  }
});

Deno.test("config: the start task may read every setting, and no other variable", async () => {
  const flag = (await startFlags()).find((flag) => flag.startsWith("--allow-env="))!;
  const allowed = flag.slice("--allow-env=".length).split(",");
  const mayRead = (name: string) =>
    allowed.some((one) => one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one);
  for (const name of SETTINGS) assert(mayRead(name), name);
  for (const one of allowed) {
    assert(SETTINGS.some((name) => one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one), one);
  }
  for (const name of ["PATH", "HOME", "DENO_DIR", "AWS_SECRET_ACCESS_KEY"]) assert(!mayRead(name), name);
});
