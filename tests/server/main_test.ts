/** The server as a real process: start, the main job, restart, signals, and the errors of a start that fails. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { SETTINGS } from "../../lib/server/settings.ts";
import { Browser, Server, withFolder } from "../support/server.ts";

const KEY = "a key for tests of at least 32 bytes";
const OTHER_KEY = "another secret key of at least 32 bytes";

async function withServer(env: Record<string, string>, test: (server: Server) => Promise<void>): Promise<void> {
  const server = await Server.start(env);
  try {
    await test(server);
  } finally {
    await server.kill();
  }
}

async function sessionFiles(dir: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    // Files whose names begin with a dot are not sessions.
    if (!isDirectory || name.startsWith(".")) continue;
    for await (const file of Deno.readDir(`${dir}/${name}`)) names.push(`${name}/${file.name}`);
  }
  return names;
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

Deno.test("server: does its whole job, keeps sessions over a restart, stops on SIGTERM", async () => {
  await withFolder(async (dir) => {
    const env = { SESSION_FILE_DIR: `${dir}/data` };
    const first = await Server.start(env);
    const browser = new Browser(first.origin);
    assert((await browser.get("/")).includes("Register First"));
    assertEquals(first.stdout, `Listening on ${first.origin}/\n`);
    assertEquals(await browser.post("/add", { username: "Ada" }), 303);
    assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
    assertEquals((await sessionFiles(env.SESSION_FILE_DIR)).length, 1);
    assertMatch(
      first.stderr,
      /^"SECRET_KEY" is not set: a key was made and is kept in \S+secret\.key\n\S+ info A user logged in: session [0-9a-f]{16}\n$/,
    );
    assertEquals(await first.stop("SIGTERM"), 0);

    await withServer(env, async (second) => {
      const again = new Browser(second.origin);
      again.cookies.set("session", browser.cookies.get("session")!);
      assert((await again.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
      assertEquals(await again.post("/remove"), 303);
      assert((await again.get("/")).includes("Username Removed from Session Storage."));
      assertMatch(second.stderr, /^\S+ info A user logged out: session [0-9a-f]{16}\n$/);
    });
  });
});

Deno.test("server: a visitor is forgotten after the lifetime, and the file is removed", async () => {
  await withFolder(async (dir) => {
    await withServer({ SESSION_FILE_DIR: dir, PERMANENT_SESSION_LIFETIME: "3" }, async (server) => {
      const browser = new Browser(server.origin);
      await browser.post("/add", { username: "Ada" });
      for (let i = 0; i < 3; i++) {
        await wait(1200);
        assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"), `use ${i}`);
      }
      await wait(3100);
      assert((await browser.get("/")).includes("Register First"));
      const stranger = new Browser(server.origin);
      let left = 1;
      for (let i = 0; i < 50 && left > 0; i++) {
        await wait(100);
        await stranger.get("/");
        left = (await sessionFiles(dir)).length;
      }
      assertEquals(left, 0);
    });
  });
});

Deno.test("server: a new key takes over from the old one and logs no one out", async () => {
  await withFolder(async (dir) => {
    const browser = new Browser("");
    await withServer({ SESSION_FILE_DIR: dir, SECRET_KEY: KEY }, async (server) => {
      const before = new Browser(server.origin);
      await before.post("/add", { username: "Ada" });
      browser.cookies.set("session", before.cookies.get("session")!);
    });
    const old = browser.cookie;
    const env = { SESSION_FILE_DIR: dir, SECRET_KEY: OTHER_KEY, SECRET_KEY_FALLBACKS: KEY };
    await withServer(env, async (server) => {
      const response = await fetch(server.origin, { headers: { cookie: old } });
      assert((await response.text()).includes("Hi, <bdi>Ada</bdi>!"));
      browser.cookies.set("session", /session=([^;]+)/.exec(response.headers.get("set-cookie")!)![1]!);
    });
    await withServer({ SESSION_FILE_DIR: dir, SECRET_KEY: OTHER_KEY }, async (server) => {
      const ask = async (cookie: string) => await (await fetch(server.origin, { headers: { cookie } })).text();
      assert((await ask(browser.cookie)).includes("Hi, <bdi>Ada</bdi>!"));
      assert((await ask(old)).includes("Register First"));
    });
  });
});

Deno.test("server: a visitor who only reads gets no cookie and leaves no file", async () => {
  await withFolder(async (dir) => {
    await withServer({ SESSION_FILE_DIR: dir, SECRET_KEY: KEY }, async (server) => {
      const browser = new Browser(server.origin);
      for (const path of ["/", "/add", "/style.css", "/healthz", "/nowhere", "/remove"]) {
        await browser.get(path);
        assertEquals(browser.setCookies, [], path);
      }
      assertEquals(await sessionFiles(dir), []);
    });
  });
});

Deno.test("server: two servers that start at the same time use one key", async () => {
  await withFolder(async (dir) => {
    const servers = await Promise.all([1, 2, 3].map(() => Server.start({ SESSION_FILE_DIR: dir })));
    try {
      const browser = new Browser(servers[0]!.origin);
      await browser.post("/add", { username: "Ada" });
      for (const { origin } of servers) {
        const html = await (await fetch(origin, { headers: { cookie: browser.cookie } })).text();
        assert(html.includes("Hi, <bdi>Ada</bdi>!"));
      }
      const { mode } = await Deno.stat(`${dir}/secret.key`);
      assertEquals(mode! & 0o777, 0o600);
      // 32 bytes in base64url.
      assertMatch(await Deno.readTextFile(`${dir}/secret.key`), /^[\w-]{43}\n$/);
    } finally {
      for (const server of servers) await server.kill();
    }
  });
});

Deno.test("server: the memory store and the null store work", async () => {
  await withFolder(async (dir) => {
    const statuses: Record<string, number> = {};
    for (const type of ["memory", "null"]) {
      await withServer({ SESSION_FILE_DIR: dir, SESSION_TYPE: type }, async (server) => {
        statuses[type] = await new Browser(server.origin).post("/add", { username: "Ada" });
      });
    }
    assertEquals(statuses, { memory: 303, null: 503 });
    assertEquals(await sessionFiles(dir), []);
  });
});

Deno.test("server: a start that fails prints one line, with the setting's name first", async () => {
  await withFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "x");
    const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    const good = { SESSION_FILE_DIR: `${dir}/data`, SECRET_KEY: KEY };
    const cases: [env: Record<string, string>, message: RegExp][] = [
      [{ ...good, PORT: "abc" }, /"PORT" must be an integer from 0 to 65535: received "abc"/],
      [{ ...good, PORT: String(port) }, /port \d+ of 127.0.0.1 is in use: .*"PORT"/],
      [{ ...good, SESSION_TYPE: "memcached", SESSION_URL: "memcached://127.0.0.1:9" }, /"SESSION_URL" must be/],
      [
        { ...good, SESSION_TYPE: "memcached", SESSION_URL: "memcached://:MY_SECRET_KEY@127.0.0.1:9" },
        /"SESSION_URL" must be/,
      ],
      [{ ...good, HOST: "203.0.113.1" }, /cannot listen on 203.0.113.1.*"HOST"/],
      [{ ...good, SESSION_FILE_DIR: `${dir}/file` }, /"SESSION_FILE_DIR" must be a folder .*\/file" is not a folder/],
      [{ ...good, SESSION_FILE_DIR: `${dir}/file/data` }, /"SESSION_FILE_DIR" must be a folder .*\/file\/data"/],
      [{ ...good, SECRET_KEY: "MY_SECRET_KEY" }, /"SECRET_KEY" must be at least 32 bytes: received 13/],
      [{ ...good, TLS_CERT_FILE: `${dir}/no`, TLS_KEY_FILE: `${dir}/no` }, /"TLS_CERT_FILE" must be a file/],
      [
        { ...good, TLS_CERT_FILE: `${dir}/file`, TLS_KEY_FILE: `${dir}/file` },
        /^Cannot start: "TLS_CERT_FILE" must be/,
      ],
      [{ ...good, SESSION_FILE_DIR: "/proc/1/sessions" }, /"SESSION_FILE_DIR" must be a folder (?!.*--allow-all)/],
      [{ SESSION_FILE_DIR: "/proc/1/sessions", SESSION_TYPE: "memory" }, /"SESSION_FILE_DIR" must be a folder/],
      [{ ...good, SESSION_TYPE: "sqlite" }, /"SESSION_URL" must be/],
    ];
    const servers = await Promise.all(cases.map(([env]) => Server.spawn(env)));
    for (const [index, server] of servers.entries()) {
      const code = await server.ended();
      assertEquals([code, server.stdout], [1, ""], server.stderr);
      assertMatch(server.stderr, /^Cannot start: (the session store does not work: )?"[A-Z_]+" [^\n]+\n$/);
      assertMatch(server.stderr, cases[index]![1]);
      assert(!/MY_SECRET_KEY| {4}at /.test(server.stderr), server.stderr);
    }
    taken.close();
  });
});

Deno.test("server: a second signal within a second is ignored, and a later one ends it", async () => {
  await withFolder(async (dir) => {
    const server = await Server.start({ SESSION_FILE_DIR: dir });
    // A request under way keeps it from stopping.
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.origin).port) });
    const head = "POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    await connection.write(new TextEncoder().encode(`${head}Content-Length: 100\r\n\r\nusername=`));
    await wait(200);
    server.process.kill("SIGINT");
    await wait(50);
    server.process.kill("SIGINT");
    await wait(1100);
    assertEquals(await server.stop("SIGINT"), 130);
    connection.close();
  });
});

Deno.test({
  name: "server: a stop does not wait forever for a form that never arrives",
  ignore: !Deno.env.has("TEST_FULL"),
  fn: async () => {
    const server = await Server.start({ SESSION_TYPE: "memory", SECRET_KEY: KEY });
    const { port } = new URL(server.origin);
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    const head = "POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    await connection.write(new TextEncoder().encode(`${head}Content-Length: 100\r\n\r\nusername=`));
    await wait(200);
    const patience = setTimeout(() => void server.kill(), 20_000);
    assertEquals(await server.stop(), 0);
    clearTimeout(patience);
    connection.close();
  },
});

Deno.test("server: SIGHUP, which a closing terminal sends, stops it cleanly", async () => {
  await withFolder(async (dir) => {
    const server = await Server.start({ SESSION_FILE_DIR: dir });
    await new Browser(server.origin).post("/add", { username: "Ada" });
    assertEquals(await server.stop("SIGHUP"), 0);
    assertEquals((await sessionFiles(dir)).length, 1);
  });
});

Deno.test("server: a start that fails leaves no key behind", async () => {
  await withFolder(async (dir) => {
    const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const server = await Server.spawn({ SESSION_FILE_DIR: dir, PORT: String(taken.addr.port) });
    assertEquals(await server.ended(), 1);
    taken.close();
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name === "secret.key"), []);
  });
});

Deno.test("server: it starts with empty settings and an unknown one", async () => {
  await withFolder(async (dir) => {
    const empty = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, ""]));
    const env = { ...empty, PORT: "0", SECRET_KEY: `${KEY}\n`, SESSION_FILE_DIR: dir, SESSION_USE_SIGNER: "true" };
    await withServer(env, async (server) => {
      assertMatch(
        server.stderr,
        /^\S+ warn "SESSION_USE_SIGNER" is not a setting of this program, so it is ignored\n$/,
      );
      assertEquals(await new Browser(server.origin).post("/add", { username: "Ada" }), 303);
    });
  });
});

Deno.test("server: it listens on an IPv6 address in brackets", async () => {
  await withServer({ HOST: "[::1]", SESSION_TYPE: "memory", SECRET_KEY: KEY }, async (server) => {
    assertMatch(server.origin, /^http:\/\/\[::1\]:\d+$/);
    assert((await new Browser(server.origin).get("/")).includes("Register First"));
  });
});

Deno.test("server: a wrong word is named with the usage and exit code 2; nothing starts", async () => {
  const env = { SESSION_TYPE: "memory", SECRET_KEY: KEY };
  for (const [args, word] of [[["--port=9"], "--port=9"], [["sessions", "show"], "show"]] as const) {
    const { code, stdout, stderr } = await Server.run(env, ...args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^Usage: /);
    assert(stderr.endsWith(`\n"${word}" is not understood\n`), stderr);
  }
});

Deno.test("server: help and --version go to standard output, whatever the settings", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const env = { PORT: "wrong" };
  assertEquals(await Server.run(env, "--version"), { code: 0, stdout: `session-server ${version}\n`, stderr: "" });
  const { code, stdout, stderr } = await Server.run(env, "sessions", "list", "-h");
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^Usage: .*sessions list .*sessions revoke .*sessions sweep.*SESSION_TYPE/s);
});

Deno.test({
  name: "server: with REUSE_PORT several processes share one port, and its visitors",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await withFolder(async (dir) => {
      const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const port = String(free.addr.port);
      free.close();
      const env = { SESSION_FILE_DIR: dir, PORT: port, REUSE_PORT: "true", LOG_LEVEL: "debug" };
      const servers = [await Server.start(env), await Server.start(env)];
      try {
        const browser = new Browser(servers[0]!.origin);
        await browser.post("/add", { username: "Ada" });
        // Each connection goes to one of them.
        for (let i = 0; i < 50; i++) {
          const headers = { cookie: browser.cookie, connection: "close" };
          assert((await (await fetch(browser.origin, { headers })).text()).includes("Hi, <bdi>Ada</bdi>!"));
        }
        for (const { stderr } of servers) assert(stderr.includes("Answered: GET /"), "both of them answered");
        const alone = await Server.spawn({ SESSION_FILE_DIR: dir, PORT: port });
        assertEquals(await alone.ended(), 1);
      } finally {
        for (const server of servers) await server.kill();
      }
    });
  },
});

Deno.test("server: /readyz is 503 while the folder is missing, which is not made again", async () => {
  await withFolder(async (dir) => {
    const data = `${dir}/data`;
    await withServer({ SESSION_FILE_DIR: data }, async (server) => {
      const ready = async () => {
        const response = await fetch(`${server.origin}/readyz`);
        await response.body?.cancel();
        return response.status;
      };
      // An answer is kept for a second.
      const becomes = async (status: number) => {
        for (let i = 0; i < 100 && await ready() !== status; i++) await new Promise((done) => setTimeout(done, 50));
        assertEquals(await ready(), status);
      };
      assertEquals(await ready(), 200);
      await Deno.rename(data, `${dir}/away`);
      await becomes(503);
      assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["away"]);
      await Deno.rename(`${dir}/away`, data);
      await becomes(200);
    });
  });
});
