/** The server with a certificate of its own: https over HTTP/1.1 and HTTP/2, as browsers use it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { generateKeyPairSync, sign } from "node:crypto";
import { connect } from "node:http2";
import { Browser, Server, withFolder } from "../support/server.ts";

/** One value in DER: its tag, its length and what is in it (ITU-T X.690). */
function der(tag: number, ...content: (number | Uint8Array)[]): Uint8Array {
  const body = content.flatMap((part) => typeof part === "number" ? [part] : [...part]);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Uint8Array.from([tag, ...size, ...body]);
}

/** Makes a certificate for localhost that signs itself (RFC 5280, section 4.1), and its key, both as PEM. */
function makeCertificate(): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const text = (tag: number, value: string) => der(tag, new TextEncoder().encode(value));
  const sequence = (...content: Uint8Array[]) => der(0x30, ...content);
  const object = (hex: string) => der(0x06, Uint8Array.fromHex(hex));
  const date = (time: number) => text(0x17, new Date(time).toISOString().slice(2).replace(/[-:T]|\.\d+/g, ""));

  const ecdsaWithSha256 = sequence(object("2a8648ce3d040302"));
  const name = sequence(der(0x31, sequence(object("550403"), text(0x0c, "localhost"))));
  const validity = sequence(date(Date.now() - 3_600_000), date(Date.now() + 3_600_000));
  const subjectAltName = sequence(object("551d11"), der(0x04, sequence(text(0x82, "localhost"))));
  const body = sequence(
    der(0xa0, der(0x02, 2)), // version 3
    der(0x02, 1), // serial number
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(subjectAltName)),
  );
  const certificate = sequence(body, ecdsaWithSha256, der(0x03, 0, sign("sha256", body, privateKey)));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toBase64()}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

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

Deno.test("https: a file that cannot be used is refused by its setting's name", () =>
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
