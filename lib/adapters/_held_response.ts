/** Held response: holds the answer of a node:http server back until its session is stored. */
import { Buffer } from "node:buffer";
import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { type HeaderList, replaceHeaders } from "../_headers.ts";

type GivenHeaders = OutgoingHttpHeaders | OutgoingHttpHeader[] | [string, OutgoingHttpHeader][];
// deno-lint-ignore no-explicit-any -- methods of any signature
type Methods = Record<string, (...args: any[]) => any>;

/**
 * The change of a held answer before it is sent: a function that changes its headers, or an answer that replaces it.
 */
export type Outcome = ((headers: HeaderList) => void) | Response;

/** How many bytes are held back before `write` returns `false`, which tells the writer to wait. */
const MAX_HELD_BYTES = 64 * 1024;

/** The methods that change headers, each with the verb in the error that it throws after the head was sent. */
const HEADER_METHODS = { setHeader: "set", setHeaders: "set", appendHeader: "append", removeHeader: "remove" };

/**
 * Holds an answer back until `finish` has resolved. The first call that sends something is kept, and so are the calls
 * after it. They are made afterwards in the same order. For the program, the answer looks as if it were being sent: a
 * change of its head throws, and an argument that Node refuses throws at the call.
 *
 * The methods stay replaced afterwards, because a later middleware may have replaced them again and call these.
 *
 * @param response The answer.
 * @param finish Called with the status when the program begins to send the answer. It must not reject.
 */
export function holdBack(response: ServerResponse, finish: (status: number) => Promise<Outcome>): void {
  const methods = response as unknown as Methods;
  const prototype = Object.getPrototypeOf(response);
  const { writeHead, write, end, flushHeaders, destroy, on } = methods;
  let state: "open" | "held" | "released" | "replaced" = "open";
  const heldCalls: (() => void)[] = [];
  // The listeners for `drain`, until the answer is sent. A middleware before this one, such as compression, would keep
  // them in a list of its own, which `emitDrain` does not reach.
  const drainListeners: (() => void)[] = [];
  let heldBytes = 0;
  let isEnded = false;
  let isFull = false;
  let heldDestroy: (() => void) | undefined;

  // Whether one of the original methods is running. A middleware before this one may have replaced it, so that it calls
  // `write` or `end` again, as `end` does in Fastify's `inject`. Such a call is not held back.
  let isOriginalRunning = false;

  const callOriginal = (method: Methods[string] | undefined, ...args: unknown[]) => {
    const wasRunning = isOriginalRunning;
    isOriginalRunning = true;
    try {
      return Reflect.apply(method!, response, args);
    } finally {
      isOriginalRunning = wasRunning;
    }
  };

  /** Makes a call now, or keeps it until the answer is sent. The first call that is kept starts `finish`. */
  const callOrHold = (call: () => void) => {
    if (state === "released" || state === "replaced") return call();
    if (state === "open") begin();
    heldCalls.push(call);
  };

  const begin = () => {
    const { statusCode, statusMessage } = response;
    checkHead(statusCode, statusMessage);
    state = "held";
    // The connection is kept open, because a framework ends it if an error comes after the answer has begun.
    const allowToEnd = response instanceof ServerResponse && response.socket !== null
      ? keepOpen(response.socket)
      : undefined;
    void finish(statusCode).then(async (outcome) => {
      try {
        const content = outcome instanceof Response ? await contentOf(outcome) : undefined;
        Object.assign(response, { statusCode, statusMessage });
        if (outcome instanceof Response) replace(outcome, content);
        else release(outcome);
      } catch (error) {
        // The program's own call has already returned, so the error cannot be thrown there.
        console.error(error);
        callOriginal(destroy);
      }
      allowToEnd?.();
      // The answer is destroyed only after the written data have reached the socket.
      if (heldDestroy !== undefined) setImmediate(heldDestroy);
    });
  };

  const release = (change: (headers: HeaderList) => void) => {
    state = "released";
    change(headersOf(response));
    for (const call of heldCalls) call();
    if (!isEnded && !isFull) emitDrain();
    for (const listener of drainListeners) callOriginal(on, "drain", listener);
  };

  const replace = (answer: Response, content: Buffer | undefined) => {
    state = "replaced";
    setHead(response, answer);
    callOriginal(end, content);
    // Otherwise a stream that writes the withheld answer would wait forever, and keep its file open.
    emitDrain();
  };

  const emitDrain = () => {
    response.emit("drain");
    for (const listener of drainListeners) listener.call(response);
  };

  const replacements: Methods = {
    writeHead(status: number, reason?: string | GivenHeaders, headers?: GivenHeaders) {
      if (state === "held") throw headersSent("write");
      if (state !== "open") return callOriginal(writeHead, status, reason, headers);
      const message = typeof reason === "string" ? reason : response.statusMessage;
      checkHead(status, message);
      Object.assign(response, { statusCode: status, statusMessage: message });
      setHeaders(response, typeof reason === "string" ? headers : headers ?? reason);
      callOrHold(() => callOriginal(writeHead, status));
      return response;
    },
    write(...args: unknown[]) {
      if (isOriginalRunning) return callOriginal(write, ...args);
      checkChunk(args);
      // After the release, a write after `end` is allowed until Node has ended the answer. It can come from the `end`
      // of another manager, which holds the same answer longer.
      const isOver = isEnded && (state !== "released" || Reflect.get(prototype, "writableEnded", response));
      if (isOver || state === "replaced") return skipWrite(response, isEnded, args.find(isFunction));
      if (state === "released") return callOriginal(write, ...args);
      callOrHold(() => isFull = callOriginal(write, ...args) === false);
      heldBytes += (args[0] as string | Uint8Array).length;
      return heldBytes < MAX_HELD_BYTES;
    },
    end(...args: unknown[]) {
      if (isOriginalRunning) return callOriginal(end, ...args);
      if (args[0] && !isFunction(args[0])) checkChunk(args);
      // A second `end`, and the `end` of a replaced answer, sends nothing. It only calls its callback.
      const usedArgs = isEnded || state === "replaced" ? args.filter(isFunction) : args;
      callOrHold(() => callOriginal(end, ...usedArgs));
      isEnded = true;
      return response;
    },
    flushHeaders() {
      callOrHold(() => callOriginal(flushHeaders));
    },
    destroy(...args: unknown[]) {
      if (state !== "held") return callOriginal(destroy, ...args);
      heldDestroy ??= () => callOriginal(destroy, ...args);
      return response;
    },
    on(event: string, listener: () => void) {
      if (event !== "drain" || state === "released" || state === "replaced") return callOriginal(on, event, listener);
      drainListeners.push(listener);
      return response;
    },
  };
  for (const [name, verb] of Object.entries(HEADER_METHODS)) {
    const original = methods[name];
    replacements[name] = (...args) => {
      if (state === "held") throw headersSent(verb);
      return callOriginal(original, ...args);
    };
  }
  Object.assign(response, replacements);
  overrideGetter(response, "headersSent", () => state === "held" ? true : undefined);
  overrideGetter(response, "writableEnded", () => state === "held" ? isEnded : undefined);
}

/**
 * Sends a `Response`, and keeps some of the headers that were set before. Does nothing if the answer has begun by then.
 *
 * @param response The answer.
 * @param answer The `Response` to send.
 */
export async function send(response: ServerResponse, answer: Response): Promise<void> {
  try {
    const content = await contentOf(answer);
    if (response.headersSent) return;
    setHead(response, answer);
    response.end(content);
  } catch (error) {
    // Nothing awaits this function, so a rejection would end the process.
    console.error(error);
    response.destroy();
  }
}

/** The content of an answer, as a `Buffer`: an earlier middleware that replaced `end` may join it with a string. */
async function contentOf(answer: Response): Promise<Buffer> {
  return Buffer.from(await answer.arrayBuffer());
}

function setHead(response: ServerResponse, answer: Response): void {
  replaceHeaders(headersOf(response), answer.headers);
  Object.assign(response, { statusCode: answer.status, statusMessage: "" });
}

const isFunction = (value: unknown): value is () => void => typeof value === "function";

/** Skips a write after the end, or a write of an answer that another one replaced. */
function skipWrite(
  response: ServerResponse,
  isEnded: boolean,
  callback: ((error?: Error) => void) | undefined,
): boolean {
  if (!isEnded) {
    if (callback !== undefined) queueMicrotask(callback);
    return true;
  }
  const error = nodeError("write after end", "ERR_STREAM_WRITE_AFTER_END");
  setImmediate(() => {
    callback?.(error);
    // Node would emit the error even if nothing listens, and that would end the process.
    if (!response.destroyed && response.listenerCount("error") > 0) response.emit("error", error);
  });
  return false;
}

/** Throws what Node throws for a status or a message that cannot be sent. */
function checkHead(status: number, message: string | undefined): void {
  const isValid = Number.isInteger(status) && status >= 100 && status <= 999 &&
    !/[^\t\x20-\x7e\x80-\xff]/.test(message ?? "");
  if (!isValid) unsentResponse().writeHead(status, message);
}

/** Throws what Node throws for a chunk that cannot be written. */
function checkChunk([chunk, encoding]: unknown[]): void {
  if (typeof chunk !== "string" && !(chunk instanceof Uint8Array)) unsentResponse().write(chunk);
  if (typeof chunk === "string" && typeof encoding === "string") Buffer.from("", encoding as "utf8");
}

/** A new answer that is never sent. Its methods throw Node's own errors. */
function unsentResponse(): ServerResponse {
  return new ServerResponse({ method: "GET", httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage);
}

function headersSent(verb: string): Error {
  return nodeError(`Cannot ${verb} headers after they are sent to the client`, "ERR_HTTP_HEADERS_SENT");
}

/** An error with a code, as Node makes it. */
function nodeError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Overrides a property of an object. If `value` returns `undefined`, the property has its original value. */
function overrideGetter(target: object, name: string, value: () => unknown): void {
  // Another manager that holds the same answer may have defined the property before.
  const before = Object.getOwnPropertyDescriptor(target, name)?.get;
  const get = () => value() ?? (before ? before() : Reflect.get(Object.getPrototypeOf(target), name, target));
  Object.defineProperty(target, name, { get, configurable: true });
}

/** For each connection, the number of its held answers, and the calls to end it, which wait for these answers. */
const connections = new WeakMap<Socket, { held: number; calls: (() => void)[] }>();

/** Keeps a connection open for a held answer. Returns the function that allows it to end. */
function keepOpen(socket: Socket): () => void {
  let connection = connections.get(socket);
  if (connection === undefined) {
    connection = { held: 0, calls: [] };
    connections.set(socket, connection);
    for (const name of ["destroy", "destroySoon", "end"]) postpone(socket, name, connection);
  }
  const kept = connection;
  kept.held++;
  return () => {
    kept.held--;
    if (kept.held > 0 || kept.calls.length === 0) return;
    // The connection ends only after the written data have reached the socket.
    setImmediate(() => kept.calls.splice(0).forEach((call) => call()));
  };
}

/** Replaces a method of a connection, so that a call waits until the connection has no held answer. */
function postpone(socket: Socket, name: string, connection: { held: number; calls: (() => void)[] }): void {
  const methods = socket as unknown as Methods;
  const original = methods[name]!;
  methods[name] = (...args) => {
    const call = () => Reflect.apply(original, socket, args);
    if (connection.held === 0) return call();
    connection.calls.push(call);
    return socket;
  };
}

/** Sets the headers that `writeHead` was called with: an object, a list of pairs, or names and values in turn. */
function setHeaders(response: ServerResponse, headers: GivenHeaders | undefined): void {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value!);
    return;
  }
  const flat = (Array.isArray(headers[0]) ? headers.flat() : headers) as (string | string[])[];
  if (flat.length % 2 !== 0) unsentResponse().writeHead(200, flat as string[]);
  const names = new Set<string>();
  for (let i = 0; i < flat.length; i += 2) {
    const [name, value] = [String(flat[i]), flat[i + 1]!];
    if (names.has(name.toLowerCase())) response.appendHeader(name, value);
    else response.setHeader(name, value);
    names.add(name.toLowerCase());
  }
}

/** The headers of an answer. */
function headersOf(response: ServerResponse): HeaderList {
  return {
    get: (name) => {
      const value = response.getHeader(name);
      return value === undefined ? null : String(value);
    },
    set: (name, value) => void response.setHeader(name, value),
    append: (name, value) => void response.appendHeader(name, value),
    delete: (name) => response.removeHeader(name),
    keys: () => response.getHeaderNames(),
  };
}
