/** Settings of a running server: misspelt names, keys in a file, folders of other programs, a path. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Browser, Server, withFolder } from "../support/server.ts";

const KEYS = ["first: 9f2c41d07be86a35 9f2c41d07be86a35", "second: 7be86a359f2c41d0 7be86a359f2c41d0"] as const;

/** Starts a server, and stops it after the test. Returns its standard error. */
async function withServer(
  env: Record<string, string>,
  test: (server: Server) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  const server = await Server.start(env);
  try {
    await test(server);
    assertEquals(await server.stop(), 0);
    return server.stderr;
  } finally {
    await server.kill();
  }
}

/** The line that a refused start prints. */
async function refusal(env: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await Server.run(env);
  assertEquals([code, stdout], [1, ""], stderr);
  assertMatch(stderr, /^Cannot start: [^\n]+\n$/);
  return stderr;
}

Deno.test("settings: deno task start warns of names that look like a setting", async () => {
  await withFolder(async (dir) => {
    const near: Record<string, string> = {
      SESSION_COOKEI_NAME: "SESSION_COOKIE_NAME",
      SECRET_KEY_FALLBACK: "SECRET_KEY_FALLBACKS",
      TLS_CERT: "TLS_CERT_FILE",
      REUSEPORT: "REUSE_PORT",
      LOGLEVEL: "LOG_LEVEL",
      ORIGINS: "ORIGIN",
      PERMANENT_SESSION_LIFETIMES: "PERMANENT_SESSION_LIFETIME",
    };
    const env = Object.fromEntries(Object.keys(near).map((name) => [name, "x"]));
    const stderr = await withServer({ ...env, SESSION_FILE_DIR: dir, SECRET_KEY: KEYS[0] });
    const lines = stderr.trimEnd().split("\n").map((line) => line.replace(/^\S+ warn /, "")).sort();
    const expected = Object.entries(near).map(([name, meant]) =>
      `"${name}" is not a setting of this program, so it is ignored: did you mean "${meant}"?`
    );
    assertEquals(lines, expected.sort());
  });
});

Deno.test("settings: the first key in SECRET_KEY_FILE signs, and the others are accepted", async () => {
  await withFolder(async (dir) => {
    const file = `${dir}/keys`;
    const env = { SESSION_FILE_DIR: `${dir}/data`, SECRET_KEY_FILE: file };
    Deno.writeTextFileSync(file, `${KEYS[1]}\n`, { mode: 0o644 });
    const browser = new Browser("");
    const quiet = await withServer(env, async (server) => {
      const first = new Browser(server.origin);
      await first.post("/add", { username: "Ada" });
      for (const [name, value] of first.cookies) browser.cookies.set(name, value);
    });
    assert(!quiet.includes("warn"), "a file that others can read is fine");
    Deno.writeTextFileSync(file, `\n  ${KEYS[0]}  \r\n\n${KEYS[1]}\n`);
    if (Deno.build.os !== "windows") Deno.chmodSync(file, 0o666);
    const warned = await withServer(env, async (server) => {
      const again = new Browser(server.origin);
      again.cookies.set("session", browser.cookies.get("session")!);
      assertMatch(await again.get("/"), /Hi, <bdi>Ada/);
      assertEquals(again.setCookies.length, 1, "signed by the first key");
    });
    if (Deno.build.os !== "windows") assertMatch(warned, /^\S+ warn Others on this machine can write .*keys$/m);
    assertEquals([...Deno.readDirSync(`${dir}/data`)].some(({ name }) => name === "secret.key"), false);
  });
});

Deno.test("settings: the error for a SECRET_KEY_FILE names the file, and none of its keys", async () => {
  await withFolder(async (dir) => {
    const file = `${dir}/keys`;
    const env = { SESSION_FILE_DIR: `${dir}/data`, SECRET_KEY_FILE: file };
    assertMatch(await refusal(env), /"SECRET_KEY_FILE" must be a file with keys/);
    for (const text of ["", "\n \n", `${KEYS[0]}\nshort`, `${KEYS[0]},${KEYS[1]}`, "a".repeat(40)]) {
      Deno.writeTextFileSync(file, text);
      const message = await refusal(env);
      assertMatch(message, /"SECRET_KEY_FILE" must be a file with keys/);
      assert(!message.includes("9f2c") && !message.includes("short") && !message.includes("aaaa"), message);
    }
  });
});

Deno.test("settings: no key is made in a folder with other files in it", async () => {
  await withFolder(async (dir) => {
    Deno.writeTextFileSync(`${dir}/hosts`, "127.0.0.1 localhost");
    for (const SESSION_TYPE of ["filesystem", "memory", "sqlite"]) {
      const env = { SESSION_TYPE, SESSION_FILE_DIR: dir, SESSION_URL: `sqlite:${dir}/../x${crypto.randomUUID()}.db` };
      assertMatch(await refusal(env), /"SESSION_FILE_DIR" must be a folder .*"hosts"/);
      const path = env.SESSION_URL.slice("sqlite:".length);
      for (const end of ["", "-reserve", "-wal", "-shm"]) await Deno.remove(path + end).catch(() => {});
    }
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["hosts"]);
    // A server that has its own key and keeps nothing in the folder does not use it.
    await withServer({ SESSION_TYPE: "memory", SESSION_FILE_DIR: dir, SECRET_KEY: KEYS[0] }, async (server) => {
      assertMatch(await new Browser(server.origin).get("/"), /Register First/);
    });
  });
});

Deno.test("settings: a key is made beside a database, and beside an earlier start's files", async () => {
  await withFolder(async (dir) => {
    const env = { SESSION_URL: `sqlite:${dir}/sessions.db`, SESSION_FILE_DIR: dir };
    Deno.mkdirSync(`${dir}/lost+found`);
    Deno.writeTextFileSync(`${dir}/.hidden`, "");
    Deno.writeTextFileSync(`${dir}/x.tmp`, "");
    await withServer(env);
    Deno.removeSync(`${dir}/secret.key`);
    assertMatch(await withServer(env), /a key was made/);
  });
});

Deno.test("settings: with a path in ORIGIN the pages and the cookie are below it", async () => {
  await withFolder(async (dir) => {
    const env = { SESSION_FILE_DIR: dir, ORIGIN: "https://example.com/app" };
    await withServer(env, async (server) => {
      const local = new URL(server.origin);
      const send = async (text: string) => {
        const connection = await Deno.connect({ hostname: local.hostname, port: Number(local.port) });
        await connection.write(new TextEncoder().encode(text));
        return await new Response(connection.readable).text();
      };
      const head = "Host: example.com\r\nConnection: close\r\n";
      assertMatch(await send(`GET /app HTTP/1.1\r\n${head}\r\n`), /^HTTP\/1\.1 30[18] .*location: \/app\/\r\n/is);
      for (const prefix of ["", "/app"]) {
        const form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\nusername=Ada";
        const answer = await send(`POST ${prefix}/add HTTP/1.1\r\n${head}${form}`);
        assertMatch(answer, /^HTTP\/1\.1 303 .*location: \/app\/\r\n/is);
        assertMatch(answer, /set-cookie: __Secure-session=[0-9a-f]{40}\.[^;]+;.* Path=\/app(;|\r\n)/i);
      }
    });
  });
});
