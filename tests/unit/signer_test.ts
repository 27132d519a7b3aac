/** Signer: which signatures it accepts, and that it never throws. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createHmac } from "node:crypto";
import { MIN_KEY_BYTES, Signer } from "../../lib/signer.ts";

const KEY = "the first key, of 32 bytes or more";
const OLD = "another key, of 32 bytes or more.";
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

Deno.test("signer: it accepts its own signatures, cached or not", () => {
  const signed = new Signer([KEY], "test").sign("value");
  assertEquals(signed, new Signer([KEY], "test").sign("value"));
  const signer = new Signer([KEY], "test");
  for (let round = 0; round < 3; round++) {
    assertEquals(signer.unsign(signed), { value: "value", signedByOlderKey: false });
  }
  for (const value of ["", ".", "a.b", "..", "=;, \0\n", "é👋", "x".repeat(10_000)]) {
    assertEquals(signer.unsign(signer.sign(value)), { value, signedByOlderKey: false });
  }
});

Deno.test("signer: a signature is HMAC-SHA-256 over purpose and value", () => {
  const expected = createHmac("sha256", KEY).update("4:test:value").digest("base64url");
  assertEquals(new Signer([KEY], "test").sign("value"), `value.${expected}`);
});

Deno.test("signer: only one last character of a signature is accepted", () => {
  const signer = new Signer([KEY], "test");
  const signed = signer.sign("value");
  for (const known of [false, true]) {
    if (known) assert(signer.unsign(signed));
    const taken = [...ALPHABET].filter((last) => signer.unsign(signed.slice(0, -1) + last));
    assertEquals(taken, [signed.at(-1)!]);
  }
});

Deno.test("signer: a string that was changed, cut, made longer or padded is refused", () => {
  const signer = new Signer([KEY], "test");
  const signed = signer.sign("0123456789abcdef");
  for (let at = 0; at < signed.length; at++) {
    for (const other of ["A", "-", "é", "\0", "👋", "."]) {
      if (signed[at] !== other) {
        signer.unsign(signed); // So that nothing is left over from it.
        assertEquals(signer.unsign(signed.slice(0, at) + other + signed.slice(at + 1)), undefined, `${other} at ${at}`);
      }
    }
    assertEquals(signer.unsign(signed.slice(0, at)), undefined);
    assertEquals(signer.unsign(signed.slice(at + 1)), undefined);
  }
  const [value, signature] = signed.split(".") as [string, string];
  for (const suffix of ["=", "==", "A", " ", "\0", "."]) assertEquals(signer.unsign(signed + suffix), undefined);
  const decoded = signature.replaceAll("-", "+").replaceAll("_", "/");
  if (decoded !== signature) assertEquals(signer.unsign(`${value}.${decoded}`), undefined);
  assertEquals(signer.unsign(`${value}.${signature.toUpperCase()}`), undefined);
  assertEquals(
    signer.unsign(`${value}.${Uint8Array.fromBase64(signature, { alphabet: "base64url" }).toHex()}`),
    undefined,
  );
});

Deno.test("signer: a string that was never signed is refused and never throws", () => {
  const signer = new Signer([KEY, OLD], "test");
  const dots = ".".repeat(44);
  for (const text of ["", ".", "a", "a.b", dots, `.${"A".repeat(43)}`, "é".repeat(44), `a.${"é".repeat(43)}`, "\0"]) {
    assertEquals(signer.unsign(text), undefined, text);
  }
  assertEquals(signer.unsign(`a.${"\ud800".repeat(43)}`), undefined, "half a character");
  assertEquals(signer.unsign("x".repeat(100_000)), undefined);
});

Deno.test("signer: a signature is valid for its own value, key and purpose only", () => {
  const signer = new Signer([KEY], "test");
  const signature = signer.sign("value").split(".")[1]!;
  assertEquals(signer.unsign(`other.${signature}`), undefined);
  assertEquals(new Signer([OLD], "test").unsign(`value.${signature}`), undefined);
  assertEquals(new Signer([KEY], "other").unsign(`value.${signature}`), undefined);
});

Deno.test("signer: no other split between purpose and value gives the same signature", () => {
  for (const between of ["\0", ":", "", "."]) {
    const one = new Signer([KEY], `a${between}b`).sign("c");
    const other = new Signer([KEY], "a").sign(`b${between}c`);
    assertNotEquals(one.slice(-43), other.slice(-43));
  }
});

Deno.test("signer: the first key signs, and signatures by older keys are accepted", () => {
  const signer = new Signer([KEY, OLD], "test");
  assertEquals(signer.sign("value"), new Signer([KEY], "test").sign("value"));
  const old = new Signer([OLD], "test").sign("value");
  for (let round = 0; round < 2; round++) assertEquals(signer.unsign(old), { value: "value", signedByOlderKey: true });
  assertEquals(signer.unsign(signer.sign("value")), { value: "value", signedByOlderKey: false });
});

Deno.test("signer: a key under 32 bytes, or none, is refused without being shown", () => {
  assertThrows(() => new Signer([], "test"), TypeError, "at least one key");
  const short = "k".repeat(MIN_KEY_BYTES - 1);
  const error = assertThrows(
    () => new Signer([KEY, short], "test"),
    RangeError,
    "key 2: needed at least 32 bytes",
  ) as Error;
  assert(!error.message.includes(short));
  new Signer(["é".repeat(16)], "test"); // 16 characters, 32 bytes
});

Deno.test("signer: it returns the string that was signed, to the last bit", () => {
  const signer = new Signer([KEY], "test");
  for (const value of ["\uFEFFadmin", "admin\uFEFF", "\uFEFF", "\uFFFE", "\0\uFEFF", "a\u0301", "\u00e1", "👋\uFEFF"]) {
    const signed = signer.sign(value);
    for (let round = 0; round < 2; round++) assertEquals(signer.unsign(signed)?.value, value);
    const signature = signed.slice(value.length);
    for (const other of [value.normalize("NFC"), value.normalize("NFD"), value.replaceAll("\uFEFF", "")]) {
      if (other !== value) assertEquals(signer.unsign(other + signature), undefined);
    }
  }
});

Deno.test("signer: a string with half a surrogate pair is refused, signed or not", () => {
  const signer = new Signer([KEY], "test");
  const signature = signer.sign("\uFFFD").slice(1);
  for (const half of ["\ud800", "\udfff", "a\ud83d", "\udc4b\ud83d"]) {
    assertThrows(() => signer.sign(half), TypeError, "well-formed");
    assertThrows(() => new Signer([KEY], half), TypeError, "the purpose");
    assertThrows(() => new Signer([`${KEY}${half}`], "test"), TypeError, "key 1");
    assertEquals(signer.unsign(half + signature), undefined);
  }
});
