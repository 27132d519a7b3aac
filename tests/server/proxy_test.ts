/** The server behind nginx, with tests/server/nginx.conf: the whole job, and the limits that nginx adds. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { bytes, exchange } from "../support/fuzz.ts";
import { Browser, Server } from "../support/server.ts";

const NGINX = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx", "/opt/homebrew/bin/nginx"]
  .find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
const ORIGIN = "https://example.com";
const HOST = "Host: example.com\r\n";

/** Starts the server behind nginx. The time limits of the configuration are shortened to a second. */
async function behindNginx(
  fn: (context: { server: Server; port: number; browser: Browser }) => Promise<void>,
  originAt: (port: number) => string = () => ORIGIN,
  configure: (site: string) => string = (site) => site,
  placeIn: (dir: string) => Record<string, string> = () => ({}),
) {
  const dir = await Deno.makeTempDir();
  await Deno.chmod(dir, 0o755); // If nginx is started as root, its workers are another user.
  const port = freePort();
  const origin = originAt(port);
  const server = await Server.start({ ORIGIN: origin, SESSION_FILE_DIR: `${dir}/sessions`, ...placeIn(dir) });
  const socket = /^unix:(.*)/.exec(server.origin)?.[1];
  // In the tests, nginx's workers are not in the group of the socket.
  if (socket !== undefined) await Deno.chmod(socket, 0o666);
  const site = (await Deno.readTextFile(new URL("nginx.conf", import.meta.url)))
    .replace("server 127.0.0.1:8000;", `server ${socket === undefined ? new URL(server.origin).host : server.origin};`)
    // A header of the test sets the client's address.
    .replace("listen 80;", `listen 127.0.0.1:${port}; set_real_ip_from 127.0.0.1; real_ip_header X-Test-Client;`)
    .replace(/(client_header_timeout|client_body_timeout) 10s;/g, "$1 1s;")
    .replace("keepalive_timeout 30s;", "keepalive_timeout 1s;")
    .replace("rate=5r/s", "rate=1r/s"); // Even a busy machine sends faster than this.
  await Deno.writeTextFile(`${dir}/site.conf`, configure(site));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
    `${name}_temp_path ${dir}/${name};`
  );
  await Deno.writeTextFile(
    `${dir}/nginx.conf`,
    `daemon off; pid ${dir}/nginx.pid; error_log ${dir}/error.log; worker_processes 1;
    events { worker_connections 512; }
    http { access_log off; ${temporary.join(" ")} include ${dir}/site.conf; }`,
  );
  const nginx = new Deno.Command(NGINX!, {
    args: ["-p", dir, "-e", `${dir}/error.log`, "-c", `${dir}/nginx.conf`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  const status = nginx.status.then(() => ended = true);
  try {
    for (let i = 0; i < 100 && (await exchange(port, "", 1).catch(() => undefined)) === undefined; i++) {
      if (ended) throw new Error(`nginx did not start: ${await Deno.readTextFile(`${dir}/error.log`)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await fn({ server, port, browser: new Browser(new URL(origin).origin, (request) => send(port, request)) });
    assertEquals(await server.stop(), 0);
  } finally {
    if (!ended) nginx.kill("SIGTERM");
    await status;
    await server.kill();
    await Deno.remove(dir, { recursive: true });
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Sends a request to nginx, with the host that its address names. */
async function send(port: number, request: Request): Promise<Response> {
  const body = await request.text();
  const { host, pathname, search } = new URL(request.url);
  const lines = [`${request.method} ${pathname}${search} HTTP/1.1`, `host: ${host}`, "connection: close"];
  for (const [name, value] of request.headers) lines.push(`${name}: ${value}`);
  if (request.method === "POST") lines.push(`content-length: ${body.length}`);
  const { text, status } = await exchange(port, `${lines.join("\r\n")}\r\n\r\n${body}`);
  const [head, ...rest] = text.split("\r\n\r\n");
  const headers = head!.split("\r\n").slice(1).map((line) => line.split(/: (.*)/).slice(0, 2) as [string, string]);
  return new Response(rest.join("\r\n\r\n"), { status, headers });
}

/** Sends bytes, some immediately and some at intervals, until the connection ends. Returns the answer and the time. */
async function trickle(port: number, first: string, next: string): Promise<{ text: string; seconds: number }> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const started = performance.now();
  await connection.write(bytes(first));
  const timer = setInterval(() => void connection.write(bytes(next)).catch(() => {}), 200);
  const patience = setTimeout(() => connection.close(), 8000);
  let text = "";
  try {
    for await (const chunk of connection.readable) text += new TextDecoder().decode(chunk);
  } catch {
    // The connection was reset.
  }
  clearInterval(timer);
  clearTimeout(patience);
  try {
    connection.close();
  } catch {
    // The connection is already closed.
  }
  return { text, seconds: (performance.now() - started) / 1000 };
}

const test = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name: `behind nginx: ${name}`, ignore: NGINX === undefined, fn });

test("a visitor has the whole site, with a cookie that is secure", async () => {
  await behindNginx(async ({ browser }) => {
    const own = { origin: ORIGIN, "x-forwarded-proto": "http", "x-forwarded-host": "evil.example" };
    assertEquals(await browser.post("/add", { username: "Ada" }, own), 303);
    assertMatch(
      browser.setCookies[0]!,
      /^__Host-session=\S+; (?=.*Secure)(?=.*HttpOnly)(?=.*SameSite=Lax)(?=.*Path=\/)/,
    );
    const page = await browser.request("/");
    assertMatch(await page.text(), /Hi, <bdi>Ada<\/bdi>!/);
    assertMatch(page.headers.get("strict-transport-security")!, /max-age=31536000/);
    assertEquals((await browser.request("/style.css")).status, 200);
    assertEquals(await browser.post("/remove", {}, { origin: "https://evil.example" }), 403);
    assertEquals(await browser.post("/remove", {}, own), 303);
    assertMatch(await browser.get("/"), /Username Removed from Session Storage\./);
  });
});

test("other hosts, other methods and forms that are too long are refused", async () => {
  await behindNginx(async ({ port, browser }) => {
    const status = async (request: string) => (await exchange(port, `${request}\r\nConnection: close\r\n\r\n`)).status;
    assertEquals(await status("GET / HTTP/1.1\r\nHost: example.com"), 200);
    assertEquals(await status("GET / HTTP/1.1\r\nHost: evil.example"), 400);
    assertEquals(await status("GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: example.com"), 400);
    assertEquals(await status("GET / HTTP/1.1\r\nHost: a b"), 400);
    assertEquals(await status("GET / HTTP/1.1\r\nX: y"), 400);
    assertEquals(await status("TRACE / HTTP/1.1\r\nHost: example.com"), 405);
    assertEquals(await status("DELETE / HTTP/1.1\r\nHost: example.com"), 405);
    assertEquals(await status("GET //evil.example/ HTTP/1.1\r\nHost: example.com"), 404);
    assertEquals(await browser.post("/add", { username: "x".repeat(17_000) }), 413);
  });
});

test("slow headers, slow forms and idle connections are closed", async () => {
  await behindNginx(async ({ port }) => {
    const [headers, form, idle] = await Promise.all([
      trickle(port, `GET / HTTP/1.1\r\n${HOST}`, "X: y\r\n"),
      trickle(port, `POST /add HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nusername=`, ""),
      trickle(port, `GET /healthz HTTP/1.1\r\n${HOST}\r\n`, ""),
    ]);
    for (const { seconds } of [headers, form, idle]) assert(seconds >= 0.9 && seconds < 7, `${seconds} s`);
    assert(!headers.text.includes(" 200 "), headers.text);
    assert(!form.text.includes(" 200 ") && !form.text.includes(" 303 "), form.text);
    assertMatch(idle.text, /^HTTP\/1\.1 200 OK/);
  });
});

test("a client that posts too often gets 429, and still gets pages", async () => {
  await behindNginx(async ({ browser }) => {
    const statuses = await Promise.all(Array.from({ length: 60 }, () => browser.post("/remove")));
    assert(statuses.filter((status) => status === 303).length >= 20);
    assert(statuses.filter((status) => status === 429).length > 0, `${statuses}`);
    assertEquals((await browser.request("/")).status, 200);
  });
});

test("an IPv6 network of 64 bits is one client, and an IPv4 address is one", async () => {
  await behindNginx(async ({ browser }) => {
    const post = async (clientOf: (n: number) => string) => {
      const clients = Array.from({ length: 40 }, (_, n) => clientOf(n));
      const statuses = await Promise.all(
        clients.map((client) => browser.post("/remove", {}, { "x-test-client": client })),
      );
      return statuses.filter((status) => status === 429).length;
    };
    assert(await post((n) => `2001:db8:0:1:${n}::1`) > 0, "one network");
    assertEquals(await post((n) => `2001:db8:1:${n}::1`), 0, "many networks");
    assertEquals(await post((n) => `192.0.2.${n}`), 0, "many addresses");
    assertEquals(await post((n) => `::ffff:198.51.100.${n}`), 0, "many addresses, written as IPv6");
    assert(await post(() => "::ffff:203.0.113.1") > 0, "one address");
  });
});

test("/readyz answers only the addresses that are listed", async () => {
  await behindNginx(async ({ browser }) => {
    const status = async (path: string, client: string) =>
      (await browser.request(path, { headers: { "x-test-client": client } })).status;
    assertEquals(await status("/readyz", "127.0.0.1"), 200);
    for (const path of ["/readyz", "//readyz", "/%72eadyz"]) assertEquals(await status(path, "192.0.2.1"), 403, path);
    assertEquals(await status("/healthz", "192.0.2.1"), 200);
  });
});

for (const [what, upstream] of [["keeps", "http://session_server"], ["removes", "http://session_server/"]] as const) {
  test(`below a path that nginx ${what}, a visitor has the whole site`, async () => {
    const below = (site: string) =>
      site.replace("location / {", "location /app/ {").replace("location = /readyz {", "location = /app/readyz {")
        .replace("http://session_server;", `${upstream};`);
    await behindNginx(
      async ({ browser }) => {
        assertEquals(await browser.post("/app/add", { username: "Ada" }, { origin: ORIGIN }), 303);
        assertMatch(browser.setCookies[0]!, /^__Secure-session=\S+; (?=.*Secure)(?=.*Path=\/app(;|$))/);
        const home = await browser.request("/app/");
        assertMatch(home.headers.get("refresh")!, /^61; url=\/app\/\?ended$/);
        const html = await home.text();
        assertMatch(html, /Hi, <bdi>Ada<\/bdi>!/);
        for (const [, address] of html.matchAll(/(?:href|action)="([^"]*)"/g)) {
          assert(address!.startsWith("/app/"), address);
          const { status } = await browser.request(address!, address === "/app/remove" ? { method: "POST" } : {});
          assertEquals(status, address === "/app/remove" ? 303 : 200, address);
        }
        assertMatch(await browser.get("/app/"), /Username Removed from Session Storage\./);
        assertMatch(
          (await browser.request("/app")).headers.get("location")!,
          /^(http:\/\/example\.com(:\d+)?)?\/app\/$/,
        );
        for (const path of ["/app/healthz", "/app/readyz"]) assertEquals(await browser.get(path), "ok", path);
        const client = { headers: { "x-test-client": "192.0.2.1" } };
        assertEquals((await browser.request("/app/readyz", client)).status, 403);
        assertEquals((await browser.request("/add")).status, 404);
      },
      () => `${ORIGIN}/app`,
      below,
    );
  });
}

test("the site also works on another port", async () => {
  await behindNginx(async ({ browser }) => {
    assertEquals(await browser.post("/add", { username: "Ada" }, { origin: browser.origin }), 303);
    assertMatch(await browser.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
  }, (port) => `http://example.com:${port}`);
});

test("the site also works over a Unix socket", async () => {
  await behindNginx(
    async ({ browser }) => {
      assertEquals(await browser.post("/add", { username: "Ada" }, { origin: ORIGIN }), 303);
      assertMatch(browser.setCookies[0]!, /^__Host-session=\S+; (?=.*Secure)/);
      assertMatch(await browser.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
    },
    undefined,
    undefined,
    (dir) => ({ HOST: `unix:${dir}/server.sock` }),
  );
});
