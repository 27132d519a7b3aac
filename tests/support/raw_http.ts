/** Sends requests as bytes, over HTTP/1.1 and HTTP/2, including requests that no library would send. */
import { bytes } from "./fuzz.ts";

/** The answer to a request. */
export interface RawAnswer {
  /** The status; 0 if the connection or the stream was closed without one, or the answer took too long. */
  readonly status: number;
  /** In HTTP/1.1 the whole answer, in HTTP/2 its body. Each character is a byte. */
  readonly text: string;
}

/** A header field, and how often it is sent. Each character is a byte. */
export type Field = readonly [name: string, value: string, times?: number];

/** The most bytes in a frame of HTTP/2. */
const FRAME = 16_384;

/** The longest wait for an answer, in milliseconds. */
const PATIENCE = 12_000;

/** A request in parts. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly fields: readonly Field[];
  readonly body?: string | undefined;
  /** The size of the body's chunks. Unless given, the body is sent in one piece, with its length in the header. */
  readonly piece?: number | undefined;
}

/** A request as the bytes of HTTP/1.1. The server closes the connection after its answer. */
export function http1Request(request: RawRequest, version = "HTTP/1.1", end = "\r\n"): string {
  const { method, target, host, fields, body, piece } = request;
  const lines = [`${method} ${target} ${version}`, `Host: ${host}`];
  for (const [name, value, times = 1] of fields) lines.push(...Array(times).fill(`${name}: ${value}`));
  lines.push("Connection: close");
  let sent = body ?? "";
  if (body !== undefined && piece !== undefined) {
    lines.push("Transfer-Encoding: chunked");
    sent = [...piecesOf(body, piece), ""].map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join("");
  } else if (body !== undefined) lines.push(`Content-Length: ${body.length}`);
  return lines.join(end) + end + end + sent;
}

/** Sends bytes on a new connection, and reads until the first answer is complete or the connection is closed. */
export async function sendHttp1(port: number, sent: string, patience = PATIENCE): Promise<RawAnswer> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const timer = setTimeout(() => close(connection), patience);
  let text = "";
  // The server may answer and close the connection before it has read everything.
  const sending = write(connection, bytes(sent)).catch(() => {});
  try {
    const buffer = new Uint8Array(65_536);
    for (let count; !isWhole(text) && (count = await connection.read(buffer)) !== null;) {
      // An answer such as 100 comes before the real one.
      text = (text + latin1(buffer.subarray(0, count))).replace(/^HTTP\/1\.1 1\d\d [^]*?\r\n\r\n/, "");
    }
  } catch {
    // The server reset the connection, or the wait was over.
  }
  clearTimeout(timer);
  close(connection);
  await sending;
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text };
}

function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text.slice(0, end + 2))?.[1];
  return end !== -1 && length !== undefined && text.length >= end + 4 + Number(length);
}

/** A connection of HTTP/2 without TLS (RFC 9113), on which one request is under way at a time. */
export class Http2 {
  #connection: Deno.Conn;
  #received = new Uint8Array();
  #stream = -1;
  #isOpen = true;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  static async open(port: number): Promise<Http2> {
    const http2 = new Http2(await Deno.connect({ hostname: "127.0.0.1", port }));
    // Its answers have no dynamic table (SETTINGS_HEADER_TABLE_SIZE is 0), so that each can be read alone.
    await write(http2.#connection, bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "\0\x01\0\0\0\0")));
    return http2;
  }

  /** Whether another request can be sent. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a request. A field that is sent several times takes one byte for each further time. */
  async send({ method, target, host, fields, body, piece = FRAME }: RawRequest): Promise<RawAnswer> {
    const id = this.#stream += 2;
    const pseudo: Field[] = [[":method", method], [":scheme", "http"], [":path", target], [":authority", host]];
    const block = [...pseudo, ...fields].map(([name, value, times = 1]) =>
      (times > 1 ? "\x40" : "\0") + string(name) + string(value) + "\xbe".repeat(times - 1)
    ).join("");
    const pieces = piecesOf(block, FRAME);
    let sent = "";
    for (const [index, piece] of pieces.entries()) {
      const isLast = index === pieces.length - 1 ? 4 : 0;
      sent += frame(index === 0 ? 1 : 9, isLast | (index === 0 && body === undefined ? 1 : 0), id, piece);
    }
    if (body !== undefined) {
      const parts = body === "" ? [""] : piecesOf(body, Math.min(piece, FRAME));
      for (const [index, part] of parts.entries()) sent += frame(0, index === parts.length - 1 ? 1 : 0, id, part);
    }
    const timer = setTimeout(() => this.close(), PATIENCE);
    try {
      const sending = write(this.#connection, bytes(sent)).catch(() => {});
      const answer = await this.#read(id);
      await sending;
      return answer;
    } catch {
      this.close();
      return { status: 0, text: "" };
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#isOpen = false;
    close(this.#connection);
  }

  async #read(id: number): Promise<RawAnswer> {
    let [status, text] = [0, ""];
    while (true) {
      const { type, flags, stream, payload } = await this.#frame();
      if (type === 4 && (flags & 1) === 0) await write(this.#connection, bytes(frame(4, 1, 0, "")));
      // GOAWAY: the connection ends.
      if (type === 7) throw new Error("The server ended the connection");
      if (stream !== id) continue;
      if (type === 3) return { status: 0, text };
      if (type === 1) status = statusOf(payload);
      if (type === 0) text += latin1(payload);
      if ((type === 0 || type === 1) && (flags & 1) !== 0) {
        // The windows are opened again (WINDOW_UPDATE of the connection).
        if (text.length > 0) await write(this.#connection, bytes(frame(8, 0, 0, number(text.length, 4))));
        return { status, text };
      }
    }
  }

  async #frame(): Promise<{ type: number; flags: number; stream: number; payload: Uint8Array }> {
    const [a = 0, b = 0, c = 0, type = 0, flags = 0, ...rest] = await this.#take(9);
    const payload = await this.#take(a << 16 | b << 8 | c);
    return { type, flags, stream: rest.reduce((sum, byte) => sum << 8 | byte, 0), payload };
  }

  async #take(count: number): Promise<Uint8Array> {
    while (this.#received.length < count) {
      const buffer = new Uint8Array(65_536);
      const read = await this.#connection.read(buffer);
      if (read === null) throw new Error("The server closed the connection");
      const all = new Uint8Array(this.#received.length + read);
      all.set(this.#received);
      all.set(buffer.subarray(0, read), this.#received.length);
      this.#received = all;
    }
    const taken = this.#received.slice(0, count);
    this.#received = this.#received.slice(count);
    return taken;
  }
}

function frame(type: number, flags: number, stream: number, payload: string): string {
  return number(payload.length, 3) + String.fromCharCode(type, flags) + number(stream, 4) + payload;
}

function number(value: number, size: number): string {
  return Array.from({ length: size }, (_, i) => String.fromCharCode((value >> 8 * (size - 1 - i)) & 255)).join("");
}

/** A string of HPACK (RFC 7541, section 5.2), not Huffman-coded: its length in groups of seven bits comes first. */
function string(text: string): string {
  if (text.length < 127) return String.fromCharCode(text.length) + text;
  let [length, rest] = ["\x7f", text.length - 127];
  for (; rest > 127; rest >>= 7) length += String.fromCharCode(rest & 127 | 128);
  return length + String.fromCharCode(rest) + text;
}

/** A string in pieces of a size. */
function piecesOf(text: string, size: number): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
}

/** The digits in HPACK's Huffman code (RFC 7541, appendix B). */
const DIGITS = ["00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101", "011110", "011111"];
/** The statuses of HPACK's static table, from index 8 on (appendix A). */
const INDEXED = [200, 204, 206, 304, 400, 404, 500];

/** The status, which comes first in a header block. */
function statusOf(block: Uint8Array): number {
  // A change of the table's size comes before it.
  const start = block.findIndex((byte) => byte >> 5 !== 1);
  const first = block[start]!;
  if (first & 128) return INDEXED[(first & 127) - 8] ?? 0;
  const length = block[start + 1]!;
  const value = block.subarray(start + 2, start + 2 + (length & 127));
  if ((length & 128) === 0) return Number(latin1(value));
  let bits = Array.from(value, (byte) => byte.toString(2).padStart(8, "0")).join("");
  let status = "";
  while (status.length < 3) {
    const digit = DIGITS.findIndex((code) => bits.startsWith(code));
    if (digit === -1) return 0;
    status += digit;
    bits = bits.slice(DIGITS[digit]!.length);
  }
  return Number(status);
}

function latin1(buffer: Uint8Array): string {
  let text = "";
  // A function takes a limited number of arguments, so the buffer is converted in pieces.
  for (let at = 0; at < buffer.length; at += 8192) text += String.fromCharCode(...buffer.subarray(at, at + 8192));
  return text;
}

async function write(connection: Deno.Conn, all: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let rest = all; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
