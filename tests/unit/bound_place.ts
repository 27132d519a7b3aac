/** A device that binds its session to a key, as a browser does, and a manager for it. */
import { assertEquals } from "@std/assert";
import type { SessionEvent } from "../../lib/events.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import type { SessionOptions } from "../../lib/session_options.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { KEY } from "../support/site.ts";

const HOME = "https://example.com";
const SECURE = { secure: true, name: "__Host-session" };

/** The state of a browser: its cookies, its key, and the challenge for the next proof. */
export class Device {
  readonly cookies = new Map<string, string>();
  readonly #sessions: SessionManager<{ n: number }>;
  id = "";
  challenge = "";
  keys!: CryptoKeyPair;

  constructor(sessions: SessionManager<{ n: number }>) {
    this.#sessions = sessions;
  }

  /** A device with a copy of the cookies, such as a thief's. */
  copy(sessions = this.#sessions): Device {
    const device = new Device(sessions);
    for (const [name, value] of this.cookies) device.cookies.set(name, value);
    device.id = this.id;
    device.challenge = this.challenge;
    return device;
  }

  request(path: string, headers: Record<string, string> = {}, method = "GET"): Request {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    return new Request(HOME + path, { method, headers: { ...headers, ...(cookie && { cookie }) } });
  }

  take(response: Response): Response {
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (line.includes("Max-Age=0")) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const [, challenge] = /^"([^"]+)";id=/.exec(response.headers.get("secure-session-challenge") ?? "") ?? [];
    if (challenge !== undefined) this.challenge = challenge;
    return response;
  }

  /** Opens the device's session, and returns its user. */
  async user(): Promise<string | undefined> {
    return (await this.#sessions.open(this.request("/"))).user;
  }

  async logIn(user = "ada"): Promise<Response> {
    const session = await this.#sessions.open(this.request("/"));
    session.logIn(user);
    const response = this.take(await this.#sessions.commit(session, new Response()));
    this.challenge = /challenge="([^"]+)"/.exec(response.headers.get("secure-session-registration") ?? "")?.[1] ?? "";
    return response;
  }

  async post(path: string, headers: Record<string, string>): Promise<Response> {
    return this.take((await this.#sessions.answerBound(this.request(path, headers, "POST")))!);
  }

  async register(options: ProofOptions = {}): Promise<Response> {
    this.keys ??= await newKeys();
    const proof = await makeProof(this.keys, this.challenge, { withKey: true, ...options });
    const response = await this.post("/bound/register", { "secure-session-response": `"${proof}"` });
    if (response.status === 200) this.id = (await response.clone().json()).session_identifier;
    return response;
  }

  async refresh(options: ProofOptions & { keys?: CryptoKeyPair } = {}): Promise<Response> {
    const proof = await makeProof(options.keys ?? this.keys, this.challenge, options);
    return await this.post("/bound/refresh", {
      "sec-secure-session-id": `"${this.id}"`,
      "secure-session-response": `"${proof}"`,
    });
  }
}

/** The fault of a proof. */
export interface ProofOptions {
  readonly withKey?: boolean;
  readonly head?: Record<string, unknown>;
  readonly payload?: Record<string, unknown>;
  readonly alter?: (proof: string) => string;
}

/** A pair of keys, as a browser makes. */
export async function newKeys(kind: "EC" | "RSA" = "EC", bits = 2048): Promise<CryptoKeyPair> {
  const publicExponent = new Uint8Array([1, 0, 1]);
  const algorithm = kind === "EC"
    ? { name: "ECDSA", namedCurve: "P-256" }
    : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: bits, publicExponent };
  return await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
}

const base64url = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
/** A part of a JSON Web Token. */
export const part = (value: unknown) => base64url(new TextEncoder().encode(JSON.stringify(value)));

/** A proof that a device has its key. */
export async function makeProof(keys: CryptoKeyPair, challenge: string, options: ProofOptions = {}): Promise<string> {
  const isEc = keys.privateKey.algorithm.name === "ECDSA";
  const jwk = options.withKey ? { jwk: await crypto.subtle.exportKey("jwk", keys.publicKey) } : {};
  const head = { alg: isEc ? "ES256" : "RS256", typ: "dbsc+jwt", ...jwk, ...options.head };
  const signed = `${part(head)}.${part({ jti: challenge, ...options.payload })}`;
  const how = isEc ? { name: "ECDSA", hash: "SHA-256" } : "RSASSA-PKCS1-v1_5";
  const signature = await crypto.subtle.sign(how, keys.privateKey, new TextEncoder().encode(signed));
  const proof = `${signed}.${base64url(new Uint8Array(signature))}`;
  return options.alter?.(proof) ?? proof;
}

/** A manager that binds sessions, and a device. */
export function place(options: Partial<SessionOptions> = {}) {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  const events: SessionEvent[] = [];
  const make = () =>
    new SessionManager<{ n: number }>({
      store,
      keys: [KEY],
      cookie: SECURE,
      bound: { path: "/bound" },
      now: clock.now,
      on: (event) => events.push(event),
      log: () => {},
      ...options,
    });
  const sessions = make();
  const refusals = () => events.splice(0).filter(({ type }) => type === "refused").map(({ reason }) => reason);
  return { clock, store, sessions, make, events, refusals, device: new Device(sessions) };
}

/** A device whose session is bound, past the seconds of grace. */
export async function boundDevice(options: Partial<SessionOptions> = {}) {
  const one = place(options);
  await one.device.logIn();
  assertEquals((await one.device.register()).status, 200);
  one.clock.pass(11);
  one.events.length = 0;
  return one;
}
