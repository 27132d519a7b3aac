/** A certificate for tests of https. */
import { generateKeyPairSync, sign } from "node:crypto";

/** One value in DER: its tag, its length and what is in it (ITU-T X.690). */
function der(tag: number, ...content: (number | Uint8Array)[]): Uint8Array {
  const body = content.flatMap((part) => typeof part === "number" ? [part] : [...part]);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Uint8Array.from([tag, ...size, ...body]);
}

/** Makes a certificate for localhost that signs itself (RFC 5280, section 4.1), and its key, both as PEM. */
export function makeCertificate(): { cert: string; key: string } {
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
