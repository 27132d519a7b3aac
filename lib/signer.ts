/**
 * Signer: HMAC-SHA-256 signatures with a ring of keys. Each signature is valid for one purpose only.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import { timingSafeEqual as stdTimingSafeEqual } from "@std/crypto/timing-safe-equal";
import { Cache } from "./_cache.ts";

const timingSafeEqual: (a: Uint8Array, b: Uint8Array) => boolean = stdTimingSafeEqual;

/** The shortest key that may sign, in bytes: as long as the hash's output (RFC 2104, section 3). */
export const MIN_KEY_BYTES = 32;

/** Base64url of 32 bytes, unpadded. */
const SIGNATURE_LENGTH = 43;

/** A string whose signature is valid. */
export interface Unsigned {
  /** The string that was signed. */
  readonly value: string;
  /** Whether an older key signed it, not the first one. Then it should be signed again. */
  readonly signedByOlderKey: boolean;
}

/** A signed string that was verified, with its signature. */
interface Verified extends Unsigned {
  readonly signature: string;
}

/**
 * Signs short strings, and verifies the signatures. The first key signs; all keys verify.
 *
 * The purpose is signed together with the string, so a string that was signed for one purpose is refused for another.
 * Strings with half a surrogate pair are refused, because different such strings have the same bytes in UTF-8.
 *
 * @example
 * ```ts
 * import { Signer } from "sessions";
 * import { assertEquals } from "@std/assert";
 *
 * const old = new Signer(["an old key of at least 32 bytes, as it must be"], "coupon");
 * const ring = ["a new key of at least 32 bytes, as it must be", "an old key of at least 32 bytes, as it must be"];
 * const signer = new Signer(ring, "coupon");
 *
 * assertEquals(signer.unsign(signer.sign("ten")), { value: "ten", signedByOlderKey: false });
 * assertEquals(signer.unsign(old.sign("ten")), { value: "ten", signedByOlderKey: true });
 * assertEquals(signer.unsign("ten.forged"), undefined);
 * ```
 */
export class Signer {
  #keys: Uint8Array[];
  #purpose: string;
  // Signatures that were verified. Only valid ones are cached, so forged ones cannot displace them.
  #verified = new Cache<Verified>(8 * 1024 * 1024);
  #given = new Uint8Array(SIGNATURE_LENGTH);
  #expected = new Uint8Array(SIGNATURE_LENGTH);

  /**
   * Makes a signer for one purpose.
   *
   * @param keys The key ring: first the key that signs, then older ones. Each is a string of at least 32 bytes in
   * UTF-8.
   * @param purpose What the signatures are for, such as the name of the cookie that carries them.
   * @throws {TypeError} if there is no key, or if a key or the purpose is not a well-formed string.
   * @throws {RangeError} if a key is under 32 bytes.
   */
  constructor(keys: readonly string[], purpose: string) {
    if (!Array.isArray(keys)) throw new TypeError(`Cannot sign: needed a list of keys, received ${typeof keys}`);
    if (keys.length === 0) throw new TypeError("Cannot sign: needed at least one key, received none");
    checkString("the purpose", purpose);
    this.#keys = keys.map((key, index) => {
      checkString(`key ${index + 1}`, key);
      const bytes = encoder.encode(key);
      if (bytes.length < MIN_KEY_BYTES) {
        throw new RangeError(
          `Cannot sign with key ${index + 1}: needed at least ${MIN_KEY_BYTES} bytes, received ${bytes.length}`,
        );
      }
      return bytes;
    });
    this.#purpose = purpose;
  }

  /**
   * Signs a string with the first key.
   *
   * @param value The string.
   * @returns The string, a dot, and the signature in base64url.
   * @throws {TypeError} if the string is not well-formed.
   */
  sign(value: string): string {
    checkString("the value", value);
    return `${value}.${this.#signature(value, 0)}`;
  }

  /**
   * Verifies a signed string. It never throws, whatever the string.
   *
   * @param signed A string that `sign` returned, or that an attacker sent.
   * @returns The string that was signed, and whether it should be signed again. `undefined` if none of the keys made
   * this signature.
   */
  unsign(signed: string): Unsigned | undefined {
    if (typeof signed !== "string") return undefined;
    const dot = signed.length - SIGNATURE_LENGTH - 1;
    if (dot < 0 || signed[dot] !== ".") return undefined;
    const slice = signed.slice(0, dot);
    if (!slice.isWellFormed()) return undefined;
    // Signatures are compared as strings, not as decoded bytes, because several base64url strings decode to the same
    // bytes. A signature is 43 ASCII characters, which fill exactly 43 bytes. Other characters take more, and are
    // refused.
    const { read, written } = encoder.encodeInto(signed.slice(dot + 1), this.#given);
    if (read !== SIGNATURE_LENGTH || written !== SIGNATURE_LENGTH) return undefined;

    const verified = this.#verified.get(slice);
    if (verified !== undefined && this.#isGiven(verified.signature)) {
      return { value: verified.value, signedByOlderKey: verified.signedByOlderKey };
    }
    for (let index = 0; index < this.#keys.length; index++) {
      const signature = this.#signature(slice, index);
      if (this.#isGiven(signature)) {
        const signedByOlderKey = index > 0;
        // This is a copy: a slice would keep the whole string in memory, such as a long header.
        const value = decoder.decode(encoder.encode(slice));
        // The last argument is about how many bytes the two strings take, with the objects around them.
        this.#verified.set(value, { value, signature, signedByOlderKey }, 2 * value.length + 250);
        return { value, signedByOlderKey };
      }
    }
    return undefined;
  }

  /** Compares a signature with the given one, in constant time. */
  #isGiven(signature: string): boolean {
    encoder.encodeInto(signature, this.#expected);
    return timingSafeEqual(this.#expected, this.#given);
  }

  #signature(value: string, index: number): string {
    // The purpose's length comes first, so that no other purpose and value make the same string.
    const text = `${this.#purpose.length}:${this.#purpose}:${value}`;
    return createHmac("sha256", this.#keys[index]!).update(text).digest("base64url");
  }
}

function checkString(what: string, value: string): void {
  if (typeof value === "string" && value.isWellFormed()) return;
  const received = typeof value === "string" ? "one with half a surrogate pair" : typeof value;
  throw new TypeError(`Cannot sign: ${what} must be a well-formed string: received ${received}`);
}

const encoder = new TextEncoder();
// A byte order mark at the start is part of the string, so the decoder must keep it.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
