/**
 * Signer: HMAC-SHA-256 signatures over a ring of keys, each bound to its purpose.
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

/** What a signed text held. */
export interface Unsigned {
  /** The text that was signed. */
  readonly value: string;
  /** Whether an older key signed it, so that it should be signed anew. */
  readonly stale: boolean;
}

interface Known extends Unsigned {
  readonly signature: string;
}

/**
 * Signs short texts and tells whether a signature is its own. The first key signs; all of them verify.
 *
 * The purpose is part of what is signed, so that a text signed for one purpose is refused for another.
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
 * assertEquals(signer.unsign(signer.sign("ten")), { value: "ten", stale: false });
 * assertEquals(signer.unsign(old.sign("ten")), { value: "ten", stale: true });
 * assertEquals(signer.unsign("ten.forged"), undefined);
 * ```
 */
export class Signer {
  #keys: Uint8Array[];
  #purpose: string;
  // Signatures already found right. Only right ones enter, so nobody can push them out by forging.
  #known = new Cache<Known>(8 * 1024 * 1024);
  #given = new Uint8Array(SIGNATURE_LENGTH);
  #right = new Uint8Array(SIGNATURE_LENGTH);

  /**
   * Makes a signer for one purpose.
   *
   * @param keys The key ring, each key a text of at least 32 bytes in UTF-8: the one that signs first, older ones after.
   * @param purpose What the signatures are for, such as the name of the cookie they travel in.
   * @throws {TypeError} if there is no key.
   * @throws {RangeError} if a key is under 32 bytes.
   */
  constructor(keys: readonly string[], purpose: string) {
    if (keys.length === 0) throw new TypeError("Cannot sign: needed at least one key, received none");
    this.#keys = keys.map((key, index) => {
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
   * Signs a text with the first key.
   *
   * @param value The text.
   * @returns The text, a dot, and the signature in base64url.
   */
  sign(value: string): string {
    return `${value}.${this.#signature(value, 0)}`;
  }

  /**
   * Checks a signed text. Never throws, whatever the text.
   *
   * @param signed What `sign` returned, or what somebody made up.
   * @returns What was signed, or `undefined` if none of the keys made this signature.
   */
  unsign(signed: string): Unsigned | undefined {
    const dot = signed.length - SIGNATURE_LENGTH - 1;
    if (dot < 0 || signed[dot] !== ".") return undefined;
    const slice = signed.slice(0, dot);
    // Texts are compared, not decoded bytes: base64url has several spellings of the same bytes. Anything but ASCII
    // does not fit the 43 bytes, or leaves some of them over, and is refused.
    const { read, written } = encoder.encodeInto(signed.slice(dot + 1), this.#given);
    if (read !== SIGNATURE_LENGTH || written !== SIGNATURE_LENGTH) return undefined;

    const known = this.#known.get(slice);
    if (known !== undefined && this.#isGiven(known.signature)) return { value: known.value, stale: known.stale };
    for (let index = 0; index < this.#keys.length; index++) {
      const signature = this.#signature(slice, index);
      if (this.#isGiven(signature)) {
        const stale = index > 0;
        // A copy: what is cut out of a text keeps the whole of it, such as a long header, in memory.
        const value = decoder.decode(encoder.encode(slice));
        // In memory, the two texts and the objects around them.
        this.#known.set(value, { value, signature, stale }, 2 * value.length + 250);
        return { value, stale };
      }
    }
    return undefined;
  }

  #isGiven(signature: string): boolean {
    encoder.encodeInto(signature, this.#right);
    return timingSafeEqual(this.#right, this.#given);
  }

  #signature(value: string, index: number): string {
    // The purpose's length comes first, so that no other purpose and value make up the same text.
    const text = `${this.#purpose.length}:${this.#purpose}:${value}`;
    return createHmac("sha256", this.#keys[index]!).update(text).digest("base64url");
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
