/** The environment: the variables that are settings, those that look like one, and their help. */
import { assert, assertEquals } from "@std/assert";
import { readConfig } from "../../lib/server/config.ts";
import { settingsOf } from "../../lib/server/environment.ts";
import { explainSettings, SETTINGS } from "../../lib/server/settings.ts";
import { startFlags } from "../support/server.ts";

const KEY = "a key for tests of at least 32 bytes";

Deno.test("config: an empty value counts as unset, and other values are trimmed", () => {
  const empty = Object.fromEntries(Object.keys(SETTINGS).map((name, index) => [name, index % 2 === 0 ? "" : " \n"]));
  assertEquals(settingsOf(empty), { env: {}, unknown: [] });
  assertEquals(readConfig(settingsOf(empty).env), readConfig({}));
  const { env } = settingsOf({ SECRET_KEY: `${KEY}\n`, SECRET_KEY_FALLBACKS: `${KEY}1\n`, PORT: "80\r" });
  const { secretKey, fallbackKeys, port } = readConfig(env);
  assertEquals([secretKey, fallbackKeys, port], [KEY, [`${KEY}1`], 80]);
});

Deno.test("config: a variable that looks like a setting is found, with the setting meant", () => {
  const near: [name: string, meant: string | undefined][] = [
    ["SESSION_COOKEI_NAME", "SESSION_COOKIE_NAME"],
    ["SECRET_KEY_FALLBACK", "SECRET_KEY_FALLBACKS"],
    ["SECRET_KEYS", "SECRET_KEY"],
    ["SECRET_KEYFILE", "SECRET_KEY_FILE"],
    ["SECERT_KEY", "SECRET_KEY"],
    ["TLS_CERT", "TLS_CERT_FILE"],
    ["TLS_KEY", "TLS_KEY_FILE"],
    ["TLS_CERTIFICATE", undefined],
    ["REUSEPORT", "REUSE_PORT"],
    ["REUSE_PORTS", "REUSE_PORT"],
    ["PERMANENT_SESSION_LIFETIMES", "PERMANENT_SESSION_LIFETIME"],
    ["PERMANENT_SESSION", "PERMANENT_SESSION_LIFETIME"],
    ["LOGLEVEL", "LOG_LEVEL"],
    ["ORIGINS", "ORIGIN"],
    ["PROT", "PORT"],
    ["session_type", "SESSION_TYPE"],
    ["SESSION_KEYPREFIX", "SESSION_KEY_PREFIX"],
    ["PERMANENT_LIFETIME", undefined],
    ["TLSCERTFILE", "TLS_CERT_FILE"],
    ["SECRETKEY", "SECRET_KEY"],
    ["SESSIONTYPE", "SESSION_TYPE"],
    ["SESSION_USE_SIGNER", undefined],
    ["SESSION_COOKIE", undefined],
    ["SESSION_", undefined],
  ];
  for (const [name, meant] of near) assertEquals(settingsOf({ [name]: "x" }).unknown, [{ name, meant }]);
});

Deno.test("config: variables of other programs are not taken for settings", () => {
  const others = [
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "LOGNAME",
    "XDG_SESSION_ID",
    "SESSION_MANAGER",
    "DESKTOP_SESSION",
    "A",
  ];
  const kubernetes = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"];
  const all = [...others, ...kubernetes.map((name) => `SESSION_SERVER_${name}`), "TLS_CA_FILE", "SSL_CERT_FILE", ""];
  assertEquals(settingsOf(Object.fromEntries(all.map((name) => [name, "x"]))), { env: {}, unknown: [] });
});

Deno.test("config: the help names every setting, in lines of at most 100 characters", () => {
  const lines = explainSettings().split("\n");
  const names = lines.map((line) => /^ {2}(\w+) /.exec(line)?.[1]).filter((name) => name !== undefined);
  assertEquals(names, Object.keys(SETTINGS));
  for (const line of lines) assert(line.length <= 100, line);
});

Deno.test("config: the start task may read every setting, and no other variable", () => {
  const flag = startFlags().find((flag) => flag.startsWith("--allow-env="))!;
  const allowed = flag.slice("--allow-env=".length).split(",");
  const mayRead = (name: string) =>
    allowed.some((one) => one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one);
  for (const name of Object.keys(SETTINGS)) assert(mayRead(name), name);
  // Deno itself reads this variable when it opens a remote KV database.
  for (const one of allowed.filter((one) => one !== "DENO_KV_ACCESS_TOKEN")) {
    assert(
      Object.keys(SETTINGS).some((name) => one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one),
      one,
    );
  }
  for (const name of ["PATH", "HOME", "DENO_DIR", "AWS_SECRET_ACCESS_KEY"]) assert(!mayRead(name), name);
});
