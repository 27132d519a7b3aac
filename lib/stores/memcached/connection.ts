/** MemcachedConnection: one connection to memcached. A command does not wait for the answers to earlier ones. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

/** The methods of a client that the store uses. This connection and the package `memcache-client` have them. */
export interface MemcachedClient {
  /** The command gets. Resolves to the value, and to a number that changes with every write. */
  gets(key: string): Promise<unknown>;
  /** A command that stores a value. Rejects with the answer, such as `EXISTS`, if the value was not stored. */
  store(
    command: "add" | "cas",
    key: string,
    value: string,
    options: { lifetime: number; casUniq?: number | string },
  ): Promise<unknown>;
  /** The command delete. */
  delete(key: string): Promise<unknown>;
}

/** The address of memcached: a host and a port, or the path of a socket. */
export type MemcachedTarget = { readonly host: string; readonly port: number } | { readonly path: string };

interface Reply {
  readonly line: string;
  readonly value?: string;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/**
 * Speaks memcached's text protocol. It connects at its first use. If the connection breaks, all waiting commands fail,
 * and the next command connects again.
 */
export class MemcachedConnection implements MemcachedClient {
  #target: MemcachedTarget;
  #socket: Promise<Socket> | undefined;
  #break: ((reason: string) => void) | undefined;
  #isClosed = false;

  /** @param target The address of memcached. */
  constructor(target: MemcachedTarget) {
    this.#target = target;
  }

  async gets(key: string): Promise<{ value: string; casUniq: string } | undefined> {
    const { line, value } = await this.#send(`gets ${key}\r\n`);
    if (value === undefined) return line === "END" ? undefined : refused(line);
    return { value, casUniq: line.split(" ")[4]! };
  }

  async store(
    command: "add" | "cas",
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

  /** Drops the connection, because no answer came. Waiting commands fail. */
  reconnect(): void {
    this.#socket = undefined;
    this.#break?.("no answer");
  }

  /** Closes the connection. Waiting commands fail. */
  close(): void {
    this.#isClosed = true;
    this.#break?.("the store was closed");
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
      const breakThis = this.#break = (reason) => socket.destroy(new Error(reason));
      socket.on("connect", () => resolve(socket));
      socket.on("data", (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]);
        for (let next = parse(received); next !== undefined; next = parse(received)) {
          received = received.subarray(next.length);
          waiting.shift()?.resolve(next.reply);
          // If memcached did not understand a command, it may read the data of this command as further commands.
          if (/^(ERROR|CLIENT_ERROR)/.test(next.reply.line)) socket.destroy(new Error(next.reply.line));
        }
      });
      socket.on("error", (error: Error) => failure = error);
      socket.on("close", () => {
        if (this.#break === breakThis) this.#socket = undefined;
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

/** The first answer in the received bytes, and its length in bytes; `undefined` if the answer is incomplete. */
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
