/** Form: reads a form from a request, within limits of size and time. */
import { clearImmediate, setImmediate } from "node:timers";
import { HttpError } from "./http_error.ts";

/** The longest form that is accepted, in bytes. */
export const MAX_FORM_BYTES = 16 * 1024;

// Upper and lower case mean the same (RFC 9110, section 8.3.1). The type has no parameters, so parameters are ignored.
// A comma is refused, because it means that the request had two such headers.
const URLENCODED = /^application\/x-www-form-urlencoded[ \t]*(?:;[^,]*)?$/i;

/** The longest `Content-Type` that is accepted, in characters. */
const MAX_TYPE_LENGTH = 256;

/**
 * The most pieces in which a form of undeclared length may arrive. Each takes about 20 µs to read, even a short one.
 */
const MAX_PIECES = 64;

const decoder = new TextDecoder();

/** How long a form may take to arrive, in milliseconds. */
const FORM_DEADLINE = 10_000;

/**
 * Reads a form from a request. It reads no more than the longest form that is accepted.
 *
 * @param request A request whose body was not read yet.
 * @param deadline How long the form may take to arrive, in milliseconds.
 * @throws {HttpError} with status 415 if the body is not a form, 413 if it is too long or in too many pieces, 408 if it
 * arrives too slowly, and 400 if it does not arrive completely.
 */
export async function readForm(request: Request, deadline: number = FORM_DEADLINE): Promise<URLSearchParams> {
  const type = request.headers.get("content-type") ?? "";
  if (type.length > MAX_TYPE_LENGTH || !URLENCODED.test(type)) {
    throw new HttpError(415, "This page accepts only forms of the type application/x-www-form-urlencoded.");
  }
  return new URLSearchParams(decoder.decode(await readBody(request, deadline)));
}

async function readBody(request: Request, deadline: number): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(request.headers.get("content-length") ?? NaN);
  if (declared > MAX_FORM_BYTES) throw tooLong();
  try {
    // Deno reads no more than the declared length, so the body can be read in one call, which is several times faster.
    const whole = declared >= 0 ? request.bytes() : undefined;
    const bytes = await ifArrived(whole) ?? await inTime(deadline, (late) => whole ?? readStream(request.body, late));
    if (bytes.length > MAX_FORM_BYTES) throw tooLong();
    return bytes;
  } catch (error) {
    if (error instanceof HttpError) throw error;
    throw new HttpError(400, "The form did not arrive completely.");
  }
}

/**
 * The body if it has already arrived, together with the head of its request, as most forms do. Such a body needs no
 * timer, which saves 4 µs.
 */
async function ifArrived<T>(whole: Promise<T> | undefined): Promise<T | undefined> {
  if (whole === undefined) return undefined;
  let immediate!: ReturnType<typeof setImmediate>;
  const nextTurn = new Promise<undefined>((resolve) => immediate = setImmediate(resolve, undefined));
  try {
    return await Promise.race([whole, nextTurn]);
  } finally {
    clearImmediate(immediate);
  }
}

/** The result of `read`. If it takes longer than the deadline, in milliseconds, `late` rejects with a 408. */
async function inTime<T>(deadline: number, read: (late: Promise<never>) => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new HttpError(408, "The form took too long to arrive. Please send it again."));
  }, deadline);
  try {
    return await Promise.race([read(late.promise), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Reads a stream until it ends, is too long, has too many pieces, or `late` rejects. */
async function readStream(
  stream: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  late: Promise<never>,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(MAX_FORM_BYTES);
  let length = 0;
  if (stream === null) return bytes.subarray(0, length);
  const reader = stream.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  late.catch(cancel);
  for (let pieces = 1;; pieces++) {
    const { value, done } = await reader.read();
    if (done) return bytes.subarray(0, length);
    if (pieces > MAX_PIECES) {
      // The body is cancelled after the answer, which closes the connection. Without this, Deno would read the rest.
      setTimeout(cancel);
      throw new HttpError(413, "The form arrived in too many pieces.", { connection: "close" });
    }
    if (length + value.length > MAX_FORM_BYTES) {
      cancel();
      throw tooLong();
    }
    bytes.set(value, length);
    length += value.length;
  }
}

function tooLong(): HttpError {
  return new HttpError(413, "You typed more than this form accepts. Please go back and shorten it.");
}
