/**
 * Device-bound sessions: the protocol between the library and a browser that holds a key which cannot leave its device
 * (Device Bound Session Credentials, W3C draft). The sections in the comments are those of the draft.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { newId } from "./id.ts";
import { type Binding, CLOCK_SKEW, isObject, type PublicKey, type SessionRecord } from "./record.ts";
import { cookieValues } from "./session_cookie.ts";
import { Signer } from "./signer.ts";

/** Why a proof was refused. */
type ProofFault = "form" | "challenge" | "signature";

/** Thrown if a proof is invalid. */
export class ProofError extends Error {
  override name = "ProofError";
  /** The part that is invalid. */
  readonly fault: ProofFault;

  constructor(fault: ProofFault) {
    super(`A proof of a device was refused: ${fault}`);
    this.fault = fault;
  }
}

/** Milliseconds after its binding in which a session needs no second cookie: requests may be under way without it. */
const GRACE = 10_000;
/** Milliseconds for which the challenge of a registration is valid. */
const REGISTRATION_AGE = 60_000;
/** The longest proof that is parsed, in characters. A proof with a key of RSA 4096 has about 1,800. */
const MAX_PROOF = 4096;
/** The most second cookies of one request that are verified. */
const MAX_VERIFIED = 4;

const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** The settings of a {@linkcode DeviceBound}. */
interface DeviceBoundOptions {
  /** The path of the two addresses, which end with `/register` and `/refresh`. */
  readonly path: string;
  /** How long the second cookie lives, in seconds. */
  readonly lifetime: number;
  /** The keys that sign challenges and the second cookie. */
  readonly keys: readonly string[];
  /** The name of the session's cookie. */
  readonly cookieName: string;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
}

/** The protocol for one manager. */
export class DeviceBound {
  readonly #path: string;
  readonly #lifetime: number;
  readonly #now: () => number;
  readonly #name: string;
  readonly #cookies: Signer;
  readonly #challenges: Signer;

  constructor({ path, lifetime, keys, cookieName, now }: DeviceBoundOptions) {
    this.#path = path.replace(/\/$/, "");
    this.#lifetime = lifetime;
    this.#now = now;
    this.#name = `__Host-${cookieName.replace(/^__(host|secure)-/i, "")}-bound`;
    this.#cookies = new Signer(keys, `device-bound cookie\0${this.#name}`);
    this.#challenges = new Signer(keys, `device-bound challenge\0${this.#name}`);
  }

  /** The `Secure-Session-Registration` header that asks a browser to make a key (section 8.1). */
  registration(record: SessionRecord): string {
    return `(ES256 RS256);path="${this.#path}/register";challenge="${this.#challenge(subjectOf(record), this.#now())}"`;
  }

  /** The `Secure-Session-Challenge` header for the next renewal (section 8.2). */
  challenge({ id, used }: Binding): string {
    // The challenge's time is later than that of the last challenge used, even if the clock was set back.
    return `"${this.#challenge(id, Math.max(this.#now(), used + 1))}";id="${id}"`;
  }

  /** The `Set-Cookie` value of the second cookie. */
  issue({ id }: Binding): string {
    const value = this.#cookies.sign(`${id}-${this.#now() + this.#lifetime * 1000}`);
    return `${this.#name}=${value}; ${ATTRIBUTES}; Max-Age=${this.#lifetime}`;
  }

  /** The `Set-Cookie` value that deletes the second cookie. */
  clear(): string {
    return `${this.#name}=; ${ATTRIBUTES}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT`;
  }

  /** Whether a request may use a bound session: its second cookie is valid, or the session was bound a moment ago. */
  allows(header: string | null, { id, since }: Binding): boolean {
    const now = this.#now();
    if (now < since + GRACE && since <= now + CLOCK_SKEW) return true;
    const values = cookieValues(header, `${this.#name}=`).slice(0, MAX_VERIFIED);
    return values.some((value) => {
      const [bound, expires] = this.#cookies.unsign(value)?.value.split("-") ?? [];
      return bound === id && now < Number(expires) + CLOCK_SKEW;
    });
  }

  /**
   * Verifies the proof of a browser that registers a key.
   *
   * @param header The `Secure-Session-Response` header.
   * @param record The record of the session, which has no binding yet.
   * @returns The binding to store.
   * @throws {ProofError} if the proof is invalid.
   */
  async register(header: string | null, record: SessionRecord): Promise<Binding> {
    const proof = parseProof(header);
    const used = this.#checkChallenge(proof.challenge, subjectOf(record), REGISTRATION_AGE);
    const key = keyOfProof(proof.jwk);
    await verify(proof, key);
    return { id: newId(), key, since: this.#now(), used };
  }

  /**
   * Verifies the proof of a browser that renews its second cookie.
   *
   * @param header The `Secure-Session-Response` header.
   * @param binding The binding that was read.
   * @returns The binding with the time of this challenge. The caller stores it only if the stored binding has not used
   * this challenge or a later one.
   * @throws {ProofError} if the proof is invalid.
   */
  async renew(header: string | null, binding: Binding): Promise<Binding> {
    const proof = parseProof(header);
    const used = this.#checkChallenge(proof.challenge, binding.id, 2 * this.#lifetime * 1000);
    await verify(proof, binding.key);
    return { ...binding, used };
  }

  /** The instructions that tell the browser when and where to renew (section 8.6). */
  instructions({ id }: Binding): unknown {
    return {
      session_identifier: id,
      refresh_url: `${this.#path}/refresh`,
      scope: { include_site: false, scope_specification: [{ type: "exclude", domain: "*", path: this.#path }] },
      credentials: [{ type: "cookie", name: this.#name, attributes: ATTRIBUTES }],
    };
  }

  /** Makes a challenge for a subject. It is signed and contains its time, so that no server needs to remember it. */
  #challenge(subject: string, time: number): string {
    return this.#challenges.sign(`${subject}-${time}-${newId().slice(8, 24)}`);
  }

  /** Checks that a challenge is ours, for this subject, and not too old. Returns its time. */
  #checkChallenge(challenge: string, subject: string, age: number): number {
    const [challenged, time] = this.#challenges.unsign(challenge)?.value.split("-") ?? [];
    const at = Number(time);
    const now = this.#now();
    if (challenged !== subject || !(at > now - age && at <= now + CLOCK_SKEW)) throw new ProofError("challenge");
    return at;
  }
}

const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";

/** The subject of a registration challenge: this log-in of this user. It does not change with the id of the session. */
function subjectOf({ user = "", created }: SessionRecord): string {
  return hash("sha256", `${created}\0${user}`, "hex").slice(0, 32);
}

/** The parts of a proof (section 8.8). Its signature is not verified yet. */
interface Proof {
  readonly alg: string;
  readonly jwk: Record<string, unknown> | undefined;
  readonly challenge: string;
  readonly signed: Uint8Array<ArrayBuffer>;
  readonly signature: Uint8Array<ArrayBuffer>;
}

function parseProof(header: string | null): Proof {
  if (header === null || header.length > MAX_PROOF) throw new ProofError("form");
  // The header is a string as in RFC 9651. The characters of a proof need no escapes there.
  const [, head, payload, signature] = /^"?([\w-]+)\.([\w-]+)\.([\w-]+)"?(?:;|$)/.exec(header) ?? [];
  if (head === undefined || payload === undefined || signature === undefined) throw new ProofError("form");
  const { typ, alg, jwk, crit } = parsePart(head);
  const { jti } = parsePart(payload);
  if (typ !== "dbsc+jwt" || typeof alg !== "string" || typeof jti !== "string" || crit !== undefined) {
    throw new ProofError("form");
  }
  return {
    alg,
    jwk: isObject(jwk) ? jwk : undefined,
    challenge: jti,
    signed: new TextEncoder().encode(`${head}.${payload}`),
    signature: new Uint8Array(Buffer.from(signature, "base64url")),
  };
}

function parsePart(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    if (isObject(value)) return value;
  } catch {
    // The error is thrown below.
  }
  throw new ProofError("form");
}

/** The key of a registration, reduced to its public parts. */
function keyOfProof(jwk: Record<string, unknown> | undefined): PublicKey {
  const { kty, crv, x, y, n, e } = jwk ?? {};
  if (kty === "EC" && crv === "P-256" && isPart(x, 43, 43) && isPart(y, 43, 43)) return { kty, crv, x, y };
  // An RSA key has 2,048 to 4,096 bits (RFC 7518, section 3.3) and the usual exponent 65,537.
  if (kty === "RSA" && isPart(n, 342, 683) && e === "AQAB") return { kty, n, e };
  throw new ProofError("form");
}

function isPart(value: unknown, least: number, most: number): value is string {
  return typeof value === "string" && BASE64URL.test(value) && value.length >= least && value.length <= most;
}

/** Verifies the signature. The key determines the algorithm, so that a proof cannot choose another. */
async function verify({ alg, signed, signature }: Proof, key: PublicKey): Promise<void> {
  const isEc = key.kty === "EC";
  if (alg !== (isEc ? "ES256" : "RS256")) throw new ProofError("form");
  const keyAlgorithm = isEc ? { name: "ECDSA", namedCurve: "P-256" } : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  try {
    const imported = await crypto.subtle.importKey("jwk", { ...key }, keyAlgorithm, false, ["verify"]);
    const algorithm = isEc ? { name: "ECDSA", hash: "SHA-256" } : keyAlgorithm.name;
    if (await crypto.subtle.verify(algorithm, imported, signature, signed)) return;
  } catch {
    // The key is a point that is not on the curve, or the signature has a wrong length.
  }
  throw new ProofError("signature");
}
