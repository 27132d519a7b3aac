/** The server with a certificate of its own: https over HTTP/1.1 and HTTP/2, as browsers use it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "node:http2";
import { makeCertificate } from "../support/certificate.ts";
import { Browser, Server, withFolder } from "../support/server.ts";

async function withServer(fn: (origin: string, cert: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  const { cert, key } = makeCertificate();
  await Deno.writeTextFile(`${dir}/cert.pem`, cert);
  await Deno.writeTextFile(`${dir}/key.pem`, key);
  const server = await Server.start({
    TLS_CERT_FILE: `${dir}/cert.pem`,
    TLS_KEY_FILE: `${dir}/key.pem`,
    SESSION_FILE_DIR: `${dir}/sessions`,
  });
  try {
    assertMatch(server.origin, /^https:\/\/127\.0\.0\.1:\d+$/);
    await fn(server.origin.replace("127.0.0.1", "localhost"), cert);
    assertEquals(await server.stop(), 0);
  } finally {
    await server.kill();
    await Deno.remove(dir, { recursive: true });
  }
}

for (const [version, http2] of [["HTTP/1.1", false], ["HTTP/2", true]] as const) {
  Deno.test(`https: over ${version} a visitor has the whole site, with a __Host- cookie`, async () => {
    await withServer(async (origin, cert) => {
      using client = Deno.createHttpClient({ caCerts: [cert], http1: !http2, http2 });
      const browser = new Browser(origin, (request) => fetch(request, { client, redirect: "manual" }));
      assertEquals(await browser.post("/add", { username: "Ada" }, { origin }), 303);
      assertMatch(
        browser.setCookies[0]!,
        /^__Host-session=\S+; (?=.*Secure)(?=.*HttpOnly)(?=.*SameSite=Lax)(?=.*Path=\/)/,
      );
      const page = await browser.request("/");
      assertMatch(await page.text(), /Hi, <bdi>Ada<\/bdi>!/);
      assertEquals(page.headers.get("strict-transport-security"), "max-age=31536000");
      assertEquals(await browser.post("/remove", {}, { origin: "https://evil.example" }), 403);
      assertEquals(await browser.post("/remove", {}, { origin }), 303);
      assertMatch(await browser.get("/"), /Username Removed from Session Storage\./);
    });
  });
}

Deno.test("https: a Cookie header that comes in pieces, as HTTP/2 allows, is read as one", async () => {
  await withServer(async (origin, cert) => {
    using http = Deno.createHttpClient({ caCerts: [cert] });
    const browser = new Browser(origin, (request) => fetch(request, { client: http, redirect: "manual" }));
    await browser.post("/add", { username: "Ada" });
    const client = connect(origin, { ca: cert });
    const page = await new Promise<string>((resolve, reject) => {
      const stream = client.request({ ":path": "/", "cookie": ["theme=dark", browser.cookie, "a=b"] });
      let text = "";
      stream.setEncoding("utf8");
      stream.on("data", (chunk: string) => text += chunk);
      stream.on("end", () => resolve(text));
      stream.on("error", reject);
      stream.end();
    });
    await new Promise<void>((resolve) => client.close(() => resolve()));
    assert(page.includes("Hi, <bdi>Ada</bdi>!"), page);
  });
});

Deno.test("https: the error for a file that cannot be used names its setting", () =>
  withFolder(async (dir) => {
    const [one, other] = [makeCertificate(), makeCertificate()];
    const files: Record<string, string> = { cert: one.cert, key: one.key, other: other.key, none: "" };
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${dir}/${name}`, text);
    const cases: [cert: string, key: string, message: RegExp][] = [
      ["none", "key", /^Cannot start: "TLS_CERT_FILE" must be a file that can be read, with a PEM certificate in it: /],
      ["nowhere", "key", /^Cannot start: "TLS_CERT_FILE" must be a file that can be read, .*nowhere"/],
      ["key", "key", /^Cannot start: "TLS_CERT_FILE" must be /],
      ["cert", "cert", /^Cannot start: "TLS_KEY_FILE" must be a file that can be read, with a PEM private key in it: /],
      ["cert", "other", /^Cannot start: "TLS_CERT_FILE" and "TLS_KEY_FILE" must be a certificate and its key: /],
    ];
    for (const [cert, key, message] of cases) {
      const settings = { TLS_CERT_FILE: `${dir}/${cert}`, TLS_KEY_FILE: `${dir}/${key}` };
      const { code, stdout, stderr } = await Server.run({ SESSION_TYPE: "memory", SESSION_FILE_DIR: dir, ...settings });
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, message);
    }
  }));
