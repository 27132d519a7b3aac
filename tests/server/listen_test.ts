/** Listening on a Unix socket, and the command `health` for a server on a port, over https, and on a socket. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { listen } from "../../lib/server/listen.ts";
import { makeCertificate } from "../support/certificate.ts";
import { Server, withFolder } from "../support/server.ts";

const ENV = { SESSION_TYPE: "memory", SECRET_KEY: "K3ys for tests: of some 32 different bytes" };
const ignore = Deno.build.os === "windows";

/** Starts a server on a socket, and stops it afterwards. */
async function withSocket(path: string, test: (server: Server) => Promise<void>, env = {}): Promise<void> {
  const server = await Server.start({ ...ENV, HOST: `unix:${path}`, ...env });
  try {
    await test(server);
  } finally {
    await server.kill();
  }
}

/** Sends a request over a socket as it stands; returns the answer. */
async function ask(path: string, request: string): Promise<string> {
  const connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable).text();
}

const get = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
const HOME = get("example.com");

Deno.test("listen: a Unix socket serves its group, and is removed when the server stops", { ignore }, async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/server.sock`;
    await withSocket(path, async (server) => {
      assertEquals(server.stdout, `Listening on unix:${path}\n`);
      assertEquals(Deno.statSync(path).mode! & 0o777, 0o660);
      assertMatch(await ask(path, HOME), /^HTTP\/1\.1 200 .*You Need to Register First!/s);
      assertEquals(await server.stop(), 0);
      assertEquals([...Deno.readDirSync(dir)], []);
    });
  });
});

Deno.test("listen: over a socket the origin is http and the request's Host", { ignore }, async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/server.sock`;
    const post = (host: string, origin: string) =>
      "POST /add HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n" +
      `Host: ${host}\r\nOrigin: ${origin}\r\nConnection: close\r\n\r\nusername=Ada`;
    const send = (text: string) => ask(path, text);
    await withSocket(path, async () => {
      assertMatch(await send(post("example.com", "http://example.com")), /^HTTP\/1\.1 303 .*session=(?!.*Secure)/s);
      assertMatch(await send(post("example.com", "http://evil.example")), /^HTTP\/1\.1 403 /);
      assertMatch(await ask(path, get("a b")), /^HTTP\/1\.1 400 /);
    });
    await withSocket(path, async () => {
      assertMatch(await send(post("example.com", "https://example.com")), /^HTTP\/1\.1 303 .*__Host-session=.*Secure/s);
      assertMatch(await ask(path, get("other.example")), /^HTTP\/1\.1 400 /);
    }, { ORIGIN: "https://example.com" });
  });
});

Deno.test("listen: a stale socket is replaced, a live one and a file are not", { ignore }, async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/server.sock`;
    await withSocket(path, async (first) => {
      const second = await Server.run({ ...ENV, HOST: `unix:${path}` });
      assertEquals(second.code, 1);
      assertMatch(second.stderr, /^Cannot start: "HOST" must be .*a process listens on "[^\n]+\n$/);
      assertMatch(await ask(path, HOME), / 200 /);
      await first.kill();
    });
    assert(Deno.statSync(path).isSocket, "a killed server leaves its socket");
    await withSocket(path, async () => assertMatch(await ask(path, HOME), / 200 /));

    Deno.removeSync(path);
    Deno.writeTextFileSync(path, "mine");
    const other = await Server.run({ ...ENV, HOST: `unix:${path}` });
    assertEquals(other.code, 1);
    assertMatch(other.stderr, /^Cannot start: "HOST" must be .*is not a socket\n$/);
    assertEquals(Deno.readTextFileSync(path), "mine");
    const nowhere = await Server.run({ ...ENV, HOST: `unix:${dir}/no/server.sock` });
    assertEquals(nowhere.code, 1);
    assertMatch(nowhere.stderr, /^Cannot start: "HOST" must be a socket that can be made: [^\n]+\n$/);
  });
});

Deno.test("health: exit code 0 while the server is ready, over https and sockets too", async () => {
  await withFolder(async (dir) => {
    const { cert, key } = makeCertificate();
    Deno.writeTextFileSync(`${dir}/cert.pem`, cert);
    Deno.writeTextFileSync(`${dir}/key.pem`, key);
    const settings: Record<string, string>[] = [
      {},
      { ORIGIN: "https://shop.example.com" },
      { TLS_CERT_FILE: `${dir}/cert.pem`, TLS_KEY_FILE: `${dir}/key.pem` },
      { HOST: "::" },
      ...(ignore ? [] : [{ HOST: `unix:${dir}/server.sock` }]),
    ];
    for (const more of settings) {
      const server = await Server.start({ ...ENV, ...more });
      const [, port = "0"] = /:(\d+)$/.exec(server.origin) ?? [];
      const env = { ...ENV, ...more, PORT: port };
      try {
        assertEquals(await Server.run(env, "health"), { code: 0, stdout: "", stderr: "" });
      } finally {
        await server.stop();
      }
      const { code, stdout, stderr } = await Server.run(env, "health");
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /^Not ready: no server answers on [^\n]+\n$/);
    }
  });
});

Deno.test("health: exit code 1 and one line when the store is away or settings are wrong", async () => {
  await withFolder(async (dir) => {
    const env = { SESSION_FILE_DIR: `${dir}/data`, PORT: "0" };
    const server = await Server.start(env);
    try {
      const asked = { ...env, PORT: new URL(server.origin).port };
      Deno.renameSync(`${dir}/data`, `${dir}/away`);
      assertEquals(await Server.run(asked, "health"), {
        code: 1,
        stdout: "",
        stderr: "Not ready: the server answered 503 to /readyz\n",
      });
      const { code, stderr } = await Server.run(env, "health");
      assertEquals(code, 1);
      assertMatch(stderr, /^Not ready: "PORT" must be [^\n]+\n$/);
    } finally {
      await server.kill();
    }
  });
});

Deno.test("listen: a form that is arriving when the server stops is answered", { ignore }, async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/server`;
    const arrived = Promise.withResolvers<void>();
    const { stop } = listen({ path }, async (request) => {
      arrived.resolve();
      return new Response((await request.text()).toUpperCase());
    });
    const connection = await Deno.connect({ transport: "unix", path });
    const send = (text: string) => connection.write(new TextEncoder().encode(text));
    await send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nla");
    await arrived.promise;
    const stopped = stop();
    await send("te");
    assertMatch(await new Response(connection.readable).text(), /LATE$/);
    await stopped;
  });
});
