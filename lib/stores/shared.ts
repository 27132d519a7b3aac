/** What the stores have in common: changes and their errors, a deadline for every verb, addresses, prefixes. */
import { createHash } from "node:crypto";
import type { Log } from "../log.ts";
import { RecordTooLargeError } from "../errors.ts";
import type { SessionRecord } from "../record.ts";
import { type Change, StoreFullError } from "../store.ts";

/** How long any verb may take, in milliseconds. */
export const DEADLINE = 2500;

/** Thrown when a verb took longer than it may; whether the server did what it was asked to, is not known. */
export class DeadlineError extends Error {
  override name = "DeadlineError";
}

/** Carries what a `change` threw past the code that rewords the failures of an engine or a file. */
export class ChangeError extends Error {
  override name = "ChangeError";
}

/** Calls `change`; what it throws comes out of {@linkcode within} as it was. */
export function applyChange(change: Change, record: SessionRecord): SessionRecord {
  try {
    return change(record);
  } catch (cause) {
    throw new ChangeError("The change of a session failed", { cause });
  }
}

/**
 * Does some work on a server, within the deadline. A failure names the server, and nothing that a client library may
 * have put into its error: their messages are kept, their other properties can hold ids and data. What `change` threw,
 * and the errors of the stores' contract, come out as they are.
 *
 * @param server What to call the server; never with a password in it.
 */
export async function within<T>(server: string, work: Promise<T>, deadline: number = DEADLINE): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`no answer in ${deadline / 1000} seconds`)), deadline);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof ChangeError) throw error.cause;
    if (error instanceof StoreFullError || error instanceof RecordTooLargeError) throw error;
    const failure = error instanceof DeadlineError ? DeadlineError : Error;
    throw new failure(`${server}: ${reasonOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** Why something failed, in one line. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.message || (error as { code?: string }).code || error.name;
}

/**
 * Reads, changes and writes until nobody else wrote in between.
 *
 * @param attempt Does it once; `"again"` if somebody wrote in between.
 */
export async function compareAndSet<T>(attempt: () => Promise<T | "again">): Promise<T> {
  const start = performance.now();
  for (let attempts = 1;; attempts++) {
    const outcome = await attempt();
    if (outcome !== "again") return outcome;
    // Given up before `within` does, so that nothing is written after the failure was reported.
    if (performance.now() - start > DEADLINE - 500) throw new Error("too many changes of one session at once");
    await pause(Math.random() * Math.min(attempts, 10));
  }
}

/**
 * Takes a server's address apart. No message repeats the address, which may hold a password.
 *
 * @param address The address.
 * @param example What it must look like, for the messages.
 * @param schemes The schemes that are allowed, as in `"rediss:"`.
 * @throws {TypeError} if it is no address, or has another scheme or a fragment.
 */
export function parseAddress(address: string, example: string, schemes: readonly string[]): URL {
  const must = `the address must be like ${example}`;
  let url: URL;
  try {
    url = new URL(address);
    decodeURIComponent(url.username + url.password);
  } catch {
    throw new TypeError(`${must}: characters such as % / @ : # in a name or password must be percent-encoded`);
  }
  if (!schemes.includes(url.protocol)) throw new TypeError(`${must}: received the scheme "${url.protocol}"`);
  if (url.hash !== "") throw new TypeError(`${must}: a "#" in it must be written as %23`);
  return url;
}

/**
 * Refuses parameters of an address that nobody would use, because whoever wrote them relies on them.
 *
 * @param url The address.
 * @param known The parameters that are used, or known to make no difference.
 * @throws {TypeError} if there is another one, or one comes twice that is not in `repeatable`.
 */
export function checkParameters(url: URL, known: readonly string[], repeatable: readonly string[] = []): void {
  for (const name of url.searchParams.keys()) {
    if (![...known, ...repeatable].includes(name)) {
      const usable = [...known, ...repeatable].map((name) => `"${name}"`).join(", ") || "none";
      throw new TypeError(`the address has a parameter that cannot be used: "${name}" (usable: ${usable})`);
    }
    if (!repeatable.includes(name) && url.searchParams.getAll(name).length > 1) {
      throw new TypeError(`the address has the parameter "${name}" more than once`);
    }
  }
}

/**
 * Checks what keys begin with: characters that mean nothing to any engine, so that they need no escape.
 *
 * @throws {TypeError} if the prefix is empty, longer than 100 characters, or has other characters.
 */
export function checkPrefix(prefix: string): string {
  if (/^[\w.:/-]{1,100}$/.test(prefix)) return prefix;
  const received = JSON.stringify(prefix);
  throw new TypeError(`"prefix" must be 1 to 100 letters, digits or characters of _ . : / -: received ${received}`);
}

/**
 * What stands for a user in the index of a store: names can be longer than a key or an index may be.
 *
 * @returns 64 lower-case hex digits.
 */
export function hashOf(user: string): string {
  return createHash("sha256").update(user).digest("hex");
}

/** Logs that a record was unreadable; it is left where it is, for somebody to look at, until it expires. */
export function logCorrupt(log: Log, server: string): void {
  log("warn", "A corrupt session record counts as no session", server);
}

/** Waits, so that others have their turn. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
