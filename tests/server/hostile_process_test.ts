/** The log and the permissions of a process: no secrets of visitors, and no access that it does not need. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Browser, Server, startFlags } from "../support/server.ts";
import { filesIn, KEY, withServer } from "./hostile_place.ts";

Deno.test("hostile server: standard error names what failed, and no one's id, key or name", async () => {
  const fallback = "an older key of these tests that is 32 bytes or more";
  const secrets = new Set([KEY, fallback, "Zaphod", "Trillian"]);
  const env = { LOG_LEVEL: "debug", SECRET_KEY_FALLBACKS: fallback, SESSION_MAX: "4" };
  const { stderr } = await withServer(env, async ({ server, dir }) => {
    const register = async (username: string) => {
      const browser = new Browser(server.origin);
      await browser.post("/add", { username });
      const { cookie } = browser;
      for (const part of [cookie, ...cookie.split(/[=.]/)]) if (part.length > 10) secrets.add(part);
      const path = filesIn(dir).find((path) => Deno.readTextFileSync(path).includes(username))!;
      secrets.add(path.split("/").at(-1)!.replace(".json", ""));
      return { browser, cookie, path };
    };
    const first = await register("Zaphod");
    await first.browser.get("/", { cookie: first.cookie.slice(0, -1) });
    await first.browser.post("/remove");
    await first.browser.get("/", { cookie: first.cookie });
    await first.browser.post("/add", { username: "Zaphod" }, { origin: "https://evil.example" });

    const corrupt = await register("Trillian");
    await Deno.writeTextFile(corrupt.path, "{ corrupt Trillian");
    await corrupt.browser.get("/");
    for (const path of filesIn(dir)) if (path.endsWith(".corrupt")) await Deno.remove(path);

    const over = await register("Zaphod");
    // A link that leads to itself is in the place of its folder, so that the system's message has its path, and its id.
    const shard = over.path.slice(0, over.path.lastIndexOf("/"));
    await Deno.rename(shard, `${shard}.away`);
    await Deno.symlink(shard, shard);
    assertMatch(await over.browser.get("/"), /Error 503/);
    await Deno.remove(shard);
    await Deno.rename(`${shard}.away`, shard);

    const past = (await Deno.readTextFile(over.path)).replace(
      /"(created|expires|deadline)":\d+/g,
      '"$1":1000000000000',
    );
    await Deno.writeTextFile(over.path, past);
    await Deno.utime(over.path, 1_000_000_000, 1_000_000_000);
    for (let i = 0; i < 100 && !server.stderr.includes("swept"); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await over.browser.get("/");
    }
    for (let i = 0; i < 5; i++) await new Browser(server.origin).post("/add", { username: "Zaphod" });
  });

  const events = stderr.trim().split("\n").map((line) => {
    assertMatch(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info|debug) \S/);
    return line.slice(25).split(":")[0]!;
  });
  for (
    const event of [
      "warn A session cookie was refused",
      "info A session cookie was refused",
      "warn A cross-site request was refused",
      "warn A corrupt session record was put aside",
      "error The session store failed to read",
      "info Expired sessions were swept",
      "warn A new session was refused",
    ]
  ) assertEquals(events.filter((one) => one === event).length, 1, `${event}, once, in ${stderr}`);
  for (const secret of secrets) assert(!stderr.includes(secret), `"${secret}" in ${stderr}`);
  assert(!/[0-9a-f]{30}/.test(stderr), `an id, or a path that holds one, in ${stderr}`);
});

/** The flags of a production run, as in SECURITY.md, for a server on `address` with `dir` for its sessions. */
function productionFlags(address: string, dir: string): string[] {
  const env = startFlags().find((flag) => flag.startsWith("--allow-env="))!;
  return ["--no-prompt", `--allow-net=${address}`, `--allow-read=${dir}`, `--allow-write=${dir}`, env];
}

async function freePort(): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.resolve(listener.addr.port);
}

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

Deno.test("hostile server: deno task start asks for no more permissions than it needs", () => {
  const flags = startFlags().filter((flag) => flag.startsWith("--allow-"));
  assertEquals(flags.map((flag) => flag.split("=")[0]).sort(), [
    "--allow-env",
    "--allow-net",
    "--allow-read",
    "--allow-write",
  ]);
  assert(flags.some((flag) => flag.startsWith("--allow-env=HOST,")));
});

Deno.test("hostile server: it works with the permissions of a production run", async () => {
  const dir = await Deno.makeTempDir();
  const elsewhere = await Deno.makeTempFile();
  await Deno.writeTextFile(elsewhere, "what no one may read");
  const port = await freePort();
  const flags = productionFlags(`127.0.0.1:${port}`, `${dir}/sessions`);
  const command = [Deno.execPath(), "run", ...flags, MAIN];
  const env = { PORT: String(port), SESSION_FILE_DIR: `${dir}/sessions` };
  try {
    for (let start = 0; start < 2; start++) {
      const server = await Server.start(env, command);
      try {
        const browser = new Browser(server.origin);
        assertEquals(await browser.post("/add", { username: "Ada" }), 303);
        assertMatch(await browser.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
        assertEquals(await browser.post("/remove"), 303);
        assertMatch(await browser.get("/"), /Username Removed from Session Storage\./);
      } finally {
        assertEquals(await server.stop(), 0);
      }
      assert(!server.stderr.includes("error"), server.stderr);
    }
    const refused: Record<string, string>[] = [
      { TLS_CERT_FILE: elsewhere, TLS_KEY_FILE: elsewhere },
      { SESSION_FILE_DIR: `${dir}/other` },
      { PORT: "0" },
      { HOST: "0.0.0.0" },
    ];
    for (const settings of refused) {
      const server = await Server.spawn({ ...env, ...settings }, command);
      assertEquals(await server.ended(), 1);
      assertMatch(server.stderr, /^Cannot start: .*(Requires (read|net) access to |needed --allow-write).*\n$/);
      assert(!server.stderr.includes("no one may"));
    }
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["sessions"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
    await Deno.remove(elsewhere);
  }
});

Deno.test("hostile server: a file that is not a certificate is refused, and not shown", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "root:x:0:0:root:/root:/bin/bash\n");
  const server = await Server.spawn({
    SESSION_TYPE: "memory",
    SECRET_KEY: KEY,
    TLS_CERT_FILE: file,
    TLS_KEY_FILE: file,
  });
  assertEquals(await server.ended(), 1);
  assertMatch(server.stderr, /^Cannot start: .*"TLS_CERT_FILE".*\n$/);
  assert(!server.stderr.includes("root"), server.stderr);
  await Deno.remove(file);
});

Deno.test("hostile server: LOG_LEVEL=error logs no refused requests", async () => {
  const { stderr } = await withServer({ LOG_LEVEL: "error" }, async ({ server }) => {
    assertMatch(await new Browser(server.origin).get("/", { cookie: "session=forged" }), /Register First/);
    assertEquals(await new Browser(server.origin).post("/add", {}, { origin: "https://evil.example" }), 403);
  });
  assertEquals(stderr, "");
});

Deno.test({
  name: "hostile server: with standard error on a full disk, refusals are the same",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const command = [Deno.execPath(), "run", ...startFlags(), MAIN];
    const server = await Server.start({ SESSION_TYPE: "memory", SECRET_KEY: KEY }, [
      "sh",
      "-c",
      'exec "$@" 2> /dev/full',
      "sh",
      ...command,
    ]);
    try {
      assertMatch(await new Browser(server.origin).get("/", { cookie: "session=forged" }), /Register First/);
      assertEquals(await new Browser(server.origin).post("/add", {}, { origin: "https://evil.example" }), 403);
    } finally {
      assertEquals(await server.stop(), 0);
    }
  },
});
