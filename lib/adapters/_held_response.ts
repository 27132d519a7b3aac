/** HeldResponse: keeps the answer of a node:http server back until something was done before it leaves. */
import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from "node:http";

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

/** How much is held back, in bytes, before whoever writes is told to wait. */
const MAX_HELD_BYTES = 64 * 1024;

/**
 * Holds an answer back from its first byte on, until `finish` is done. What is written meanwhile follows in its order.
 *
 * @param response The answer.
 * @param finish Is called when the answer is about to leave. It may still change status and headers, or return another
 * answer that takes its place.
 */
export function holdBack(response: ServerResponse, finish: () => Promise<Response | undefined>): void {
  const { writeHead, write, end, flushHeaders, on } = response;
  const calls: (() => void)[] = [];
  // Who waits until more can be written. A program in between, as for compression, may have other ways to tell them.
  const waiting: (() => void)[] = [];
  let heldBytes = 0;
  let isEnded = false;
  let isFull = false;

  const hold = (call: () => void) => {
    calls.push(call);
    if (calls.length > 1) return;
    // Frameworks that look whether somebody has answered find that it was done.
    Object.defineProperty(response, "headersSent", { get: () => true, configurable: true });
    void finish().then(release);
  };
  const release = (other: Response | undefined) => {
    delete (response as { headersSent?: boolean }).headersSent;
    Object.assign(response, { writeHead, write, end, flushHeaders, on });
    if (other !== undefined) return void replace(response, other);
    for (const call of calls) call();
    // Nobody else tells them if there is room.
    if (!isEnded && !isFull) {
      response.emit("drain");
      for (const listener of waiting) listener.call(response);
    }
    for (const listener of waiting) on.call(response, "drain", listener);
  };

  response.writeHead = (status: number, reason?: string | Headers, headers?: Headers) => {
    response.statusCode = status;
    if (typeof reason === "string") response.statusMessage = reason;
    setHeaders(response, typeof reason === "string" ? headers : reason);
    hold(() => response.writeHead(response.statusCode));
    return response;
  };
  response.write = (...args: unknown[]) => {
    hold(() => void (isFull = Reflect.apply(write, response, args) === false));
    heldBytes += (args[0] as string | Uint8Array).length;
    return heldBytes < MAX_HELD_BYTES;
  };
  response.end = (...args: unknown[]) => {
    isEnded = true;
    hold(() => void Reflect.apply(end, response, args));
    return response;
  };
  response.flushHeaders = () => hold(() => response.flushHeaders());
  response.on = ((event: string, listener: () => void) => {
    if (event !== "drain") return on.call(response, event, listener);
    waiting.push(listener);
    return response;
  }) as typeof on;
}

/** Sets the headers that were given to `writeHead`, which takes an object, or a list of names and values in turn. */
function setHeaders(response: ServerResponse, headers: Headers | undefined): void {
  if (Array.isArray(headers)) {
    const names = new Set<string>();
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const [name, value] = [String(headers[i]), headers[i + 1]!];
      if (names.has(name)) response.appendHeader(name, value as string | string[]);
      else response.setHeader(name, value);
      names.add(name);
    }
    return;
  }
  for (const [name, value] of Object.entries(headers ?? {})) if (value !== undefined) response.setHeader(name, value);
}

/** Sends another answer in the place of the one that was held back. */
async function replace(response: ServerResponse, other: Response): Promise<void> {
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.statusCode = other.status;
  response.statusMessage = "";
  for (const [name, value] of other.headers) response.setHeader(name, value);
  const text = await other.text();
  response.end(text);
  // Whoever still writes the answer that was held back does no harm.
  Object.assign(response, { write: () => false, end: () => response });
}
