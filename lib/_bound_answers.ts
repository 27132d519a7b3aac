/** The answers to a browser that binds a session to its device, or renews the second cookie of a bound session. */
import type { StoredSessions } from "./_stored_sessions.ts";
import { type DeviceBound, ProofError } from "./device_bound.ts";
import { SessionError } from "./errors.ts";
import type { Binding, SessionRecord } from "./record.ts";
import type { SessionCookie } from "./session_cookie.ts";
import type { RequestLike } from "./session_options.ts";

/** The parts of the manager that the answers need. */
interface Access {
  readonly loadDeviceBound: () => Promise<DeviceBound>;
  readonly stored: StoredSessions;
  readonly cookie: SessionCookie;
}

/** The record of a stored session, with its key. */
interface KeyedRecord {
  readonly key: string;
  readonly record: SessionRecord;
}

/**
 * Answers a request of a browser that binds a session, or renews its second cookie. The answer to a refused request
 * does not say why. An event tells the operator.
 *
 * @param access The manager's parts.
 * @param request The request.
 * @param address The last part of the request's address.
 * @returns The answer; 503 if the store fails, and the browser tries again.
 */
export async function answerBoundRequest(
  access: Access,
  request: RequestLike & { readonly method: string },
  address: "register" | "refresh",
): Promise<Response> {
  if (request.method !== "POST") return answer(null, { status: 405, headers: { allow: "POST" } });
  const bound = await access.loadDeviceBound();
  try {
    const found = await find(access, request);
    return address === "register"
      ? await register(access, bound, request, found)
      : await refresh(access, bound, request, found);
  } catch (error) {
    if (error instanceof ProofError) return answer(null, { status: 400 });
    if (error instanceof SessionError) return error.getResponse();
    throw error;
  }
}

async function register(
  { stored }: Access,
  bound: DeviceBound,
  { headers }: RequestLike,
  found: KeyedRecord | undefined,
): Promise<Response> {
  const { key, record } = found ?? {};
  if (key === undefined || record?.user === undefined || record.binding !== undefined) return refusal(stored, found);
  const binding = await verified(stored, found, () => bound.register(headers.get("secure-session-response"), record));
  const isStored = await stored.bind(
    key,
    binding,
    (current) => current.binding === undefined && current.user === record.user,
  );
  if (!isStored) return refusal(stored, found);
  stored.emit("bound", key, record.user);
  return secondCookieAnswer(bound, binding);
}

async function refresh(
  { stored }: Access,
  bound: DeviceBound,
  { headers }: RequestLike,
  found: KeyedRecord | undefined,
): Promise<Response> {
  // The header is a string as in RFC 9651.
  const [, id] = /^"?([0-9a-f]{40})"?(?:;|$)/.exec(headers.get("sec-secure-session-id") ?? "") ?? [];
  if (id === undefined) return refusal(stored, found);
  const { key, record } = found ?? {};
  const binding = record?.binding;
  // The session has ended. This answer makes the browser delete its key (section 8.6 of the draft).
  if (key === undefined || binding?.id !== id) return answer({ session_identifier: id, continue: false });
  const proof = headers.get("secure-session-response");
  const newChallenge = (from: Binding) =>
    answer(null, { status: 403, headers: { "secure-session-challenge": bound.challenge(from) } });
  if (proof === null) return newChallenge(binding);
  let renewed: Binding;
  try {
    renewed = await verified(stored, found, () => bound.renew(proof, binding));
  } catch (error) {
    if (error instanceof ProofError && error.fault === "challenge") return newChallenge(binding);
    throw error;
  }
  // A new challenge must be later than the last used one, even if a server with a faster clock made that one.
  let latest = renewed;
  const isStored = await stored.bind(key, renewed, ({ binding = renewed }) => {
    latest = binding;
    return binding.id === id && binding.used < renewed.used;
  });
  return isStored ? secondCookieAnswer(bound, renewed) : newChallenge(latest);
}

/** The session of the request's cookie, bound or not. Of several cookies, that of the only live session counts. */
async function find({ stored, cookie }: Access, { headers }: RequestLike): Promise<KeyedRecord | undefined> {
  const live: KeyedRecord[] = [];
  for (const { key } of cookie.read(headers.get("cookie")).ids) {
    const read = await stored.read(key);
    if (read !== undefined) live.push({ key, record: read.record });
  }
  return live.length === 1 ? live[0] : undefined;
}

/** Runs `work`, which verifies a proof. If the proof is invalid, reports a refusal, and throws the error again. */
async function verified(
  stored: StoredSessions,
  found: KeyedRecord | undefined,
  work: () => Promise<Binding>,
): Promise<Binding> {
  try {
    return await work();
  } catch (error) {
    // An old challenge is not reported: it often expires between two uses of a session.
    if (error instanceof ProofError && error.fault !== "challenge") reportRefusal(stored, found);
    throw error;
  }
}

/** Reports a refusal. Returns the answer to it. */
function refusal(stored: StoredSessions, found: KeyedRecord | undefined): Response {
  reportRefusal(stored, found);
  return answer(null, { status: 400 });
}

function reportRefusal(stored: StoredSessions, found: KeyedRecord | undefined): void {
  stored.reportRefusal("bad proof", found?.key, found?.record.user);
}

/** The answer that gives the browser a second cookie, and a challenge for the next renewal. */
function secondCookieAnswer(bound: DeviceBound, binding: Binding): Response {
  const response = answer(bound.instructions(binding));
  response.headers.append("set-cookie", bound.issue(binding));
  response.headers.set("secure-session-challenge", bound.challenge(binding));
  return response;
}

function answer(body: unknown, init: { status?: number; headers?: Record<string, string> } = {}): Response {
  const headers = new Headers({ "cache-control": "no-store", "x-content-type-options": "nosniff", ...init.headers });
  if (body === null) return new Response(null, { ...init, headers });
  headers.set("content-type", "application/json");
  return new Response(JSON.stringify(body), { ...init, headers });
}
