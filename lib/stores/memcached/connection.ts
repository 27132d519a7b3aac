/** MemcachedConnection: one connection to memcached, over which commands follow each other without waiting. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

/** What is used of a client: this connection's methods, or those of the package `memcache-client`. */
export interface MemcachedClient {
  /** The command gets: what is stored, and the number that changes with it. */
  gets(key: string): Promise<unknown>;
  /** A command that stores: rejects with the answer, such as `EXISTS`, if nothing was stored. */
  store(
    command: "add" | "set" | "cas",
    key: string,
    value: string,
    options: { lifetime: number; casUniq?: number | string },
  ): Promise<unknown>;
  /** The command delete. */
  delete(key: string): Promise<unknown>;
}

/** Where memcached is. */
export type MemcachedTarget = { readonly host: string; readonly port: number } | { readonly path: string };

/** How long no answer may come before the connection counts as lost, in milliseconds. */
const SILENCE = 1000;

interface Reply {
  readonly line: string;
  readonly value?: string;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/**
 * Speaks memcached's text protocol. The connection is made when it is first used; when it breaks or stays silent, all
 * that wait fail, and the next command makes a new one.
 */
export class MemcachedConnection implements MemcachedClient {
  #target: MemcachedTarget;
  #socket: Promise<Socket> | undefined;
  #close: (() => void) | undefined;
  #isClosed = false;

  /** @param target Where memcached is. */
  constructor(target: MemcachedTarget) {
    this.#target = target;
  }

  async gets(key: string): Promise<{ value: string; casUniq: string } | undefined> {
    const { line, value } = await this.#send(`gets ${key}\r\n`);
    if (value === undefined) return line === "END" ? undefined : refused(line);
    return { value, casUniq: line.split(" ")[4]! };
  }

  async store(
    command: "add" | "set" | "cas",
    key: string,
    value: string,
    { lifetime, casUniq }: { lifetime: number; casUniq?: number | string },
  ): Promise<void> {
    const unique = casUniq === undefined ? "" : ` ${casUniq}`;
    const head = `${command} ${key} 0 ${lifetime} ${Buffer.byteLength(value)}${unique}\r\n`;
    const { line } = await this.#send(`${head}${value}\r\n`);
    if (line !== "STORED") refused(line);
  }

  async delete(key: string): Promise<void> {
    const { line } = await this.#send(`delete ${key}\r\n`);
    if (line !== "DELETED") refused(line);
  }

  /** Closes the connection; what waits fails. */
  close(): void {
    this.#isClosed = true;
    this.#close?.();
  }

  #waiting: Waiting[] = [];

  async #send(text: string): Promise<Reply> {
    if (this.#isClosed) throw new Error("the store was closed");
    const socket = await (this.#socket ??= this.#connect());
    return await new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error("the connection was closed"));
      this.#waiting.push({ resolve, reject });
      socket.write(text);
    });
  }

  #connect(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...this.#target, noDelay: true });
      const waiting: Waiting[] = this.#waiting = [];
      let received = Buffer.alloc(0);
      let failure: Error | undefined;
      this.#close = () => socket.destroy(new Error("the store was closed"));
      socket.setTimeout(SILENCE, () => {
        if (socket.connecting || waiting.length > 0) socket.destroy(new Error("no answer"));
      });
      socket.on("connect", () => resolve(socket));
      socket.on("data", (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]);
        for (let next = parse(received); next !== undefined; next = parse(received)) {
          received = received.subarray(next.length);
          waiting.shift()?.resolve(next.reply);
          // After a command that it did not understand, it may take data for commands.
          if (/^(ERROR|CLIENT_ERROR)/.test(next.reply.line)) socket.destroy(new Error(next.reply.line));
        }
      });
      socket.on("error", (error: Error) => failure = error);
      socket.on("close", () => {
        this.#socket = undefined;
        const reason = failure?.message || (failure as { code?: string } | undefined)?.code || "the connection broke";
        reject(new Error(reason));
        for (const { reject } of waiting.splice(0)) reject(new Error(reason));
      });
    });
  }
}

function refused(line: string): never {
  throw new Error(line);
}

/** The first answer in what was received, and how many bytes it took; `undefined` if it is not all there. */
function parse(received: Buffer): { reply: Reply; length: number } | undefined {
  const end = received.indexOf("\r\n");
  if (end < 0) return undefined;
  const line = received.toString("latin1", 0, end);
  const start = end + 2;
  if (!line.startsWith("VALUE ")) return { reply: { line }, length: start };
  const stop = start + Number(line.split(" ")[3]);
  const length = stop + "\r\nEND\r\n".length;
  if (received.length < length) return undefined;
  return { reply: { line, value: received.toString("utf8", start, stop) }, length };
}
