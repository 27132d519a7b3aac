/** Hostile requests to the server as a process, over raw sockets: those that no handler sees, or need a process. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "node:http2";
import { bytes, exchange, HEADER_CHARS, mutateCookie, NASTY, Random } from "../support/fuzz.ts";
import { newId } from "../../lib/id.ts";
import { Browser, type Server } from "../support/server.ts";
import { filesIn, withServer } from "./hostile_place.ts";

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const POST = `POST /add HTTP/1.1\r\nHost: localhost\r\n${FORM}`;

async function residentMegabytes({ process }: Server): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${process.pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

const header = (text: string, name: string) => new RegExp(`^${name}: (.*)\r$`, "im").exec(text)?.[1];

Deno.test("hostile server: bad Host values are answered 400, without a stack trace", async () => {
  await withServer({}, async ({ server, send }) => {
    const hosts = [
      "a b",
      "a\tb",
      "evil.com/@x",
      "",
      "a".repeat(300),
      "a\0b",
      "é.com",
      "\xff",
      "a@b",
      "user:pw@a",
      "a:b",
    ];
    hosts.push(
      "a:99999",
      "a:",
      "a?x",
      "a#x",
      "a\\b",
      "[::1",
      "[x]",
      "a,b",
      "%41",
      "..",
      "a..b",
      "-a",
      "<x>",
      "a;b",
      "*",
    );
    for (const host of hosts) {
      const { text, status } = await send(`GET /remove HTTP/1.1\r\nHost: ${host}`);
      assertEquals([status, header(text, "location")], [400, undefined], JSON.stringify(host));
    }
    assertEquals((await send("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost")).status, 400, "two of them");
    assertMatch(server.stderr, /^\S+ warn A request was refused: it named no valid host$/m);
  });
});

Deno.test("hostile server: with ORIGIN set, another host or none is answered 400", async () => {
  await withServer({ ORIGIN: "http://example.com" }, async ({ send }) => {
    assertEquals((await send("GET / HTTP/1.1\r\nHost: example.com")).status, 200);
    assertEquals((await send("GET / HTTP/1.1\r\nHost: EXAMPLE.com:80")).status, 200);
    assertEquals((await send("GET http://example.com/ HTTP/1.1\r\nHost: example.com")).status, 200);
    for (const host of ["Host: evil.com", "Host: example.com:8000", "Host: localhost", "X: y"]) {
      assertEquals((await send(`GET / HTTP/1.1\r\n${host}`)).status, 400, host);
    }
    assertEquals((await send("GET http://evil.com/ HTTP/1.1\r\nHost: example.com")).status, 400);
  });
});

Deno.test("hostile server: no unusual target is a page or changes a redirect", async () => {
  await withServer({}, async ({ send }) => {
    const targets: Record<string, number> = {
      "//evil.com/x": 404,
      "//evil.com/remove": 404,
      "///": 404,
      "/remove/../": 404,
      "/../remove": 404,
      "/%72emove": 404,
      "/%": 404,
      "/%zz": 404,
      "/%00": 404,
      "/%2e%2e/%2e%2e/etc/passwd": 404,
      "/\\evil.com": 404,
      "/{}|^`'\"<>": 404,
      "/#x": 404,
      "/?x#/../y": 200,
      "/\0": 400,
      "/\xff": 400,
      "/a b": 400,
      "*": 400,
      "": 400,
      "remove": 400,
      "localhost:80": 400,
      "http://evil.com/": 400,
      "http://evil@localhost/": 400,
      "http://localhost/": 200,
      "/remove?to=//evil.com": 303,
      "/remove?//evil.com": 303,
    };
    for (const [target, expected] of Object.entries(targets)) {
      const { text, status } = await send(`GET ${target} HTTP/1.1\r\nHost: localhost`);
      assertEquals([status, header(text, "location")], [expected, expected === 303 ? "/" : undefined], target);
    }
    assertEquals((await send(`GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: localhost`)).status, 400);
  });
});

Deno.test("hostile server: methods that no page accepts are refused; TRACE shows nothing", async () => {
  await withServer({}, async ({ send }) => {
    const host = "Host: localhost\r\nX-Secret: do-not-echo";
    for (const method of ["TRACE", "TRACK", "PUT", "DELETE", "PATCH", "PROPFIND", "get", "A".repeat(300)]) {
      const { text, status } = await send(`${method} / HTTP/1.1\r\n${host}`);
      assertEquals([status, header(text, "allow")], [405, "GET, HEAD, OPTIONS"], method);
      assert(!text.includes("do-not-echo"));
    }
    const connected = await send(`CONNECT localhost:80 HTTP/1.1\r\n${host}`);
    assertEquals([connected.status, header(connected.text, "allow")], [405, "GET, HEAD, POST, OPTIONS"]);
    const options = await send(`OPTIONS * HTTP/1.1\r\n${host}`);
    assertEquals([options.status, header(options.text, "allow")], [204, "GET, HEAD, POST, OPTIONS"]);
  });
});

/** Sends requests over HTTP/2. Each results in the status, the declared length and the received length. */
async function overHttp2(
  origin: string,
  fn: (
    send: (headers: Record<string, string>) => Promise<{ status: number; length: number; received: number }>,
  ) => Promise<
    void
  >,
): Promise<void> {
  const client = connect(origin);
  client.on("error", () => {}); // Each request reports the error, too.
  try {
    await fn((headers) =>
      new Promise((resolve, reject) => {
        const stream = client.request({ ":path": "/", ...headers });
        let [status, length, received] = [0, 0, 0];
        stream.on("response", (answer) => {
          status = Number(answer[":status"]);
          length = Number(answer["content-length"]);
        });
        stream.on("data", (chunk: Uint8Array) => received += chunk.length);
        stream.on("end", () => resolve({ status, length, received }));
        stream.on("error", reject);
        stream.end();
      })
    );
  } finally {
    await new Promise<void>((resolve) => client.close(() => resolve()));
  }
}

Deno.test("hostile server: HEAD has the length of GET and no body, in HTTP/1.1 and HTTP/2", async () => {
  await withServer({}, async ({ server, send }) => {
    await overHttp2(server.origin, async (sendHttp2) => {
      for (const path of ["/", "/add", "/style.css", "/healthz", "/nowhere", "/remove"]) {
        const get = await send(`GET ${path} HTTP/1.1\r\nHost: localhost`);
        const head = await send(`HEAD ${path} HTTP/1.1\r\nHost: localhost`);
        const [, body] = get.text.split("\r\n\r\n") as [string, string];
        assertEquals([head.status, header(head.text, "content-length")], [get.status, String(body.length)], path);
        assertEquals(head.text.split("\r\n\r\n")[1], "", path);
        const { status, length, received } = await sendHttp2({ ":method": "HEAD", ":path": path });
        assertEquals([status, length, received], [get.status, body.length, 0], path);
      }
    });
  });
});

Deno.test("hostile server: over HTTP/2 a Host that differs from the authority is refused", async () => {
  await withServer({ ORIGIN: "http://example.com" }, async ({ server }) => {
    await overHttp2(server.origin, async (send) => {
      const status = async (headers: Record<string, string>) => (await send(headers)).status;
      assertEquals(await status({ ":authority": "example.com" }), 200);
      assertEquals(await status({ ":authority": "example.com", host: "example.com" }), 200);
      assertEquals(await status({ ":authority": "example.com", ":path": "*", ":method": "OPTIONS" }), 204);
      assertEquals(await status({ ":authority": "evil.com" }), 400);
      assertEquals(await status({ ":authority": "example.com", host: "evil.com" }), 400);
      assertEquals(await status({ ":authority": "evil.com", host: "example.com" }), 400);
      assertEquals(await status({ ":authority": "user@example.com" }), 400);
      assertEquals(await status({ ":authority": "example.com", ":path": "http://evil.com/" }), 404);
    });
  });
});

Deno.test("hostile server: a request whose end can be read in two ways is refused", async () => {
  await withServer({}, async ({ port, dir }) => {
    const inner = `${POST}Content-Length: 12\r\n\r\nusername=Eve`;
    const heads = [
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
      "Content-Length: 0\r\nContent-Length: 5\r\n",
      "Content-Length: 5, 5\r\n",
      "Content-Length: -1\r\n",
      "Content-Length: +5\r\n",
      "Content-Length: 0x5\r\n",
      "Content-Length: 99999999999999999999\r\n",
      "Transfer-Encoding: xchunked\r\n",
      "Transfer-Encoding : chunked\r\n",
      "Transfer-Encoding: chunked, identity\r\n",
      "X: y\r\n Transfer-Encoding: chunked\r\n",
      "X: a\rb\r\n",
      "X: a\0b\r\n",
      "no colon\r\n",
    ];
    for (const head of heads) {
      const { text, closed } = await exchange(
        port,
        `POST /add HTTP/1.1\r\nHost: localhost\r\n${head}\r\n0\r\n\r\n${inner}`,
      );
      assertEquals([text.match(/HTTP\/1\.1 \d{3}/g), closed], [["HTTP/1.1 400"], true], head);
    }
    const old = `POST /add HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`;
    assertEquals((await exchange(port, old)).text.match(/HTTP\/1\.1 \d{3}/g), ["HTTP/1.1 400"]);
    assertEquals(filesIn(dir), [], "no one is registered");
    // The same request alone is answered.
    assertEquals((await exchange(port, inner.replace("\r\n", "\r\nConnection: close\r\n"))).status, 303);
    assertEquals(filesIn(dir).length, 1);
  });
});

Deno.test("hostile server: cookies that only a raw socket can send open no session", async () => {
  await withServer({}, async ({ port, dir, send }) => {
    const cookies: Record<string, number> = {
      [`session=${"x".repeat(300)}`]: 200,
      [`session=${"\xff\xfe\xe9".repeat(50)}`]: 200,
      [`session=../../../../etc/passwd.${"A".repeat(43)}`]: 200,
      "=x; ;; =; session": 200,
      ["session=;".repeat(1000)]: 200,
      "session=a\0b": 400,
      [`session=${"x".repeat(100_000)}`]: 400,
    };
    for (const [cookie, expected] of Object.entries(cookies)) {
      const { text, status } = await send(`GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}`);
      assertEquals([status, header(text, "set-cookie")], [expected, undefined], cookie.slice(0, 50));
    }
    const many = Array.from({ length: 60 }, () => `Cookie: session=${newId()}.${"A".repeat(43)}\r\n`).join("");
    assertEquals((await send(`GET / HTTP/1.1\r\nHost: localhost\r\n${many}X: y`)).status, 200);
    const headers = Array.from({ length: 200 }, (_, i) => `X-${i}: y\r\n`).join("");
    assertEquals((await send(`GET / HTTP/1.1\r\nHost: localhost\r\n${headers}X: y`)).status, 400);

    // A few hundred mutations, one after the other on one connection.
    const [right, other] = [0, 1].map(() => `session=${newId()}.${"b".repeat(43)}`) as [string, string];
    const random = new Random(6);
    let requests = "";
    const count = 500;
    for (let i = 0; i < count; i++) {
      requests += `GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ${mutateCookie(random, right, other)}\r\n`;
      requests += i === count - 1 ? "Connection: close\r\n\r\n" : "\r\n";
    }
    const { text } = await exchange(port, requests, 20_000);
    assertEquals(text.match(/^HTTP\/1\.1 200 OK\r$/gm)?.length, count);
    assertEquals(text.match(/You Need to Register First!/g)?.length, count);
    // If there are too many cookies of the name, all are deleted.
    assertEquals(/^set-cookie: (?!session=;)/im.test(text), false);
    assertEquals(filesIn(dir), []);
  });
});

Deno.test("hostile server: bytes that are not HTTP are refused, and the server goes on", async () => {
  await withServer({}, async ({ port }) => {
    const random = new Random(7);
    const starts = [
      "",
      "GET ",
      "GET / HTTP/1.1\r\n",
      "POST /add HTTP/1.1\r\nHost: localhost\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    starts.push("\x16\x03\x01\x02\x00\x01\x00", "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n");
    const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("");
    let refused = 0;
    for (let i = 0; i < 300; i++) {
      const noise = random.pick([
        () => random.text(500, all),
        () => random.text(200, HEADER_CHARS),
        () => random.pick(NASTY),
      ]);
      const { status, text, closed } = await exchange(port, `${random.pick(starts)}${noise()}\r\n\r\n`, 5000, true);
      assert(status < 500 && closed, text);
      if (status === 400) refused++;
    }
    assert(refused > 100, `${refused} were refused`);
  });
});

Deno.test("hostile server: a form in many chunks is answered 413, and its connection ends", async () => {
  await withServer({}, async ({ port }) => {
    const { text, status, closed } = await exchange(
      port,
      `${POST}Transfer-Encoding: chunked\r\n\r\n${"1\r\na\r\n".repeat(5000)}`,
    );
    assertEquals([status, header(text, "connection"), closed], [413, "close", true]);
  });
});

Deno.test({
  name: "hostile server: a body of 100 MB is answered 413, and takes under 20 MB",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withServer({}, async ({ server, port, send }) => {
      assertEquals((await send("GET / HTTP/1.1\r\nHost: localhost")).status, 200);
      const megabyte = new Uint8Array(1 << 20).fill(97);
      const chunk = Uint8Array.from([...bytes("100000\r\n"), ...megabyte, 13, 10]);
      for (
        const [headers, piece] of [["Transfer-Encoding: chunked", chunk], [
          `Content-Length: ${100 << 20}`,
          megabyte,
        ]] as const
      ) {
        const before = await residentMegabytes(server);
        let peak = before;
        const connection = await Deno.connect({ hostname: "127.0.0.1", port });
        const reader = connection.readable.getReader();
        const answer = reader.read(); // It comes while the body is still being sent.
        const write = async (all: Uint8Array<ArrayBuffer>) => {
          for (let rest = all; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
        };
        await write(bytes(`${POST}${headers}\r\n\r\n`));
        for (let sent = 1; sent <= 100; sent++) {
          await write(piece);
          if (sent % 10 === 0) peak = Math.max(peak, await residentMegabytes(server));
        }
        assertEquals(new TextDecoder().decode((await answer).value).slice(0, 12), "HTTP/1.1 413");
        reader.releaseLock();
        connection.close();
        assert(peak - before < 20, `${headers}: it grew by ${peak - before} MB`);
      }
    });
  },
});

Deno.test("hostile server: a body of one byte a second is answered 408, others are served", async () => {
  await withServer({}, async ({ server, port, dir }) => {
    const slow = async (headers: string, next: string) => {
      const started = performance.now();
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(bytes(`${POST}${headers}\r\n\r\n`));
      const trickle = setInterval(() => void connection.write(bytes(next)).catch(() => {}), 1000);
      const answer = new Uint8Array(12);
      await connection.read(answer);
      clearInterval(trickle);
      connection.close();
      assertEquals(new TextDecoder().decode(answer), "HTTP/1.1 408");
      assert(performance.now() - started >= 10_000, "it had its 10 seconds");
    };
    let done = false;
    const slowOnes = Promise.all(
      Array.from(
        { length: 20 },
        (_, i) => i % 2 === 0 ? slow("Content-Length: 15", "a") : slow("Transfer-Encoding: chunked", "1\r\na\r\n"),
      ),
    ).finally(() => done = true);

    // In between: visitors, and clients that go away in the middle of a form.
    let served = 0;
    while (!done) {
      const browser = new Browser(server.origin);
      assertEquals(await browser.post("/add", { username: "Ada" }), 303);
      assertMatch(await browser.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
      served++;
      const gone = await Deno.connect({ hostname: "127.0.0.1", port });
      await gone.write(bytes(`${POST}Content-Length: 1000\r\n\r\nusername=`));
      await new Promise((resolve) => setTimeout(resolve, 100));
      gone.close();
    }
    await slowOnes;
    assert(served > 10, `${served} visitors were served in between`);
    assertEquals(filesIn(dir).length, served, "those who sent a whole form, and no one else");
  });
});
