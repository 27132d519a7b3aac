/** Handlers over node:http that do something wrong, or something rare. */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Opens the session and changes it. In the program without the library, it does nothing. */
export type Touch = () => Promise<void>;
export type Row = (response: ServerResponse, request: IncomingMessage, touch: Touch) => unknown;

const BIG = 10 * 1024 * 1024;
const big = () => Buffer.alloc(BIG, "x");
const later = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));

async function* chunks(size: number, failsAt = Infinity) {
  for (let sent = 0; sent < BIG; sent += size) {
    if (sent >= failsAt) throw new Error("source");
    await Promise.resolve();
    yield Buffer.alloc(size, "x");
  }
}

/** Handlers that open their session before they answer. */
export const ROWS: Record<string, Row> = {
  "ends": (r) => r.end("a"),
  "ends twice": (r) => {
    r.end("a");
    r.end("b");
  },
  "ends twice, the second time later": async (r) => {
    r.end("a");
    await later();
    r.end("b");
  },
  "ends again with nothing": (r) => {
    r.end("a");
    r.end();
  },
  "ends twice with callbacks": (r) => {
    r.end("a", () => {});
    r.end(() => {});
  },
  "ends again when it is finished": (r) => {
    r.on("finish", () => r.end());
    r.end("a");
  },
  "writes after the end": (r) => {
    r.end("a");
    r.write("b");
  },
  "writes after the end, later": async (r) => {
    r.end("a");
    await later(30);
    r.write("b");
  },
  "ends with a number": (r) => r.end(123),
  "ends with an object": (r) => r.end({}),
  "ends with null": (r) => r.end(null),
  "writes a number": (r) => r.write(123),
  "writes null": (r) => r.write(null),
  "writes undefined": (r) => r.write(undefined),
  "writes a number, then ends": (r) => {
    try {
      r.write(123);
    } catch {
      r.end("caught");
    }
  },
  "writes in an unknown encoding": (r) => {
    try {
      r.end("x", "nope" as "utf8");
    } catch {
      r.destroy();
    }
  },
  "sends its head twice": (r) => {
    r.writeHead(201);
    r.writeHead(202);
  },
  "sends its head twice and catches": (r) => {
    r.writeHead(201, { "x-a": "1" });
    try {
      r.writeHead(202);
    } catch (error) {
      r.end((error as Error).message);
    }
  },
  "sends its head again later and catches": async (r) => {
    r.writeHead(201);
    r.write("a");
    await later(200);
    try {
      r.writeHead(202);
    } catch (error) {
      r.end(`${(error as Error).message}: ${r.statusCode}`);
    }
  },
  "sends its head as a list": (r) => r.writeHead(201, "Made", ["x-a", "1", "x-a", "2"]).end("a"),
  "sends its head as pairs": (r) => r.writeHead(201, [["x-a", "1"], ["x-b", "2"]] as unknown as string[]).end("a"),
  "sends its head as an odd list": (r) => r.writeHead(201, ["x-a"]).end("a"),
  "sends a status of 42": (r) => r.writeHead(42).end("a"),
  "sets a status of 42": (r) => {
    r.statusCode = 42;
    r.end("a");
  },
  "sets a status of 42 and catches": (r) => {
    r.statusCode = 42;
    try {
      r.end("a");
    } catch (error) {
      r.statusCode = 500;
      r.end((error as Error).name);
    }
  },
  "sets a message of two lines": (r) => {
    r.statusMessage = "a\nb";
    r.end("a");
  },
  "sends a header with a bad name": (r) => r.writeHead(200, { "a b": "1" }).end("a"),
  "sends a header with a bad value": (r) => r.writeHead(200, { "x-a": "1\n2" }).end("a"),
  "sends an undefined header": (r) => r.writeHead(200, { "x-a": undefined }).end("a"),
  "sets a header after the end": (r) => {
    r.end("a");
    r.setHeader("x-a", "1");
  },
  "sets a header after the end and catches": (r) => {
    r.write("a");
    try {
      r.setHeader("x-a", "1");
    } catch (error) {
      r.end((error as Error).message);
    }
  },
  "appends a header after its head": (r) => {
    r.flushHeaders();
    r.appendHeader("x-a", "1");
  },
  "removes a header after a write": (r) => {
    r.write("a");
    r.removeHeader("x-a");
  },
  "sets the status after the end": (r) => {
    r.end("a");
    r.statusCode = 500;
  },
  "looks at what was sent": (r) => {
    r.write("a");
    r.end(`${r.headersSent} ${r.writableEnded}`);
  },
  "throws": () => {
    throw new Error("mine");
  },
  "throws after its head": (r) => {
    r.writeHead(201);
    throw new Error("mine");
  },
  "throws after a write": (r) => {
    r.write("a");
    throw new Error("mine");
  },
  "throws after the end": (r) => {
    r.end("a");
    throw new Error("mine");
  },
  "throws nothing at all": () => {
    throw undefined;
  },
  "throws in a timer": async (r) => {
    setTimeout(() => {
      throw new Error("mine");
    });
    await later();
    r.end("a");
  },
  "leaves a rejection": (r) => {
    Promise.reject(new Error("mine"));
    r.end("a");
  },
  "emits an error": (r) => {
    r.emit("error", new Error("mine"));
    r.end("a");
  },
  "destroys, then ends": (r) => {
    r.destroy();
    r.end("a");
  },
  "destroys with an error": (r) => {
    r.destroy(new Error("mine"));
  },
  "ends, then destroys": (r) => {
    r.end("a");
    r.destroy();
  },
  "writes, then destroys": async (r) => {
    r.write("a");
    await later();
    r.destroy();
  },
  "destroys the socket, then ends": (r, q) => {
    q.socket.destroy();
    r.end("a");
  },
  "ends, then destroys the socket": (r, q) => {
    r.end("a");
    q.socket.destroy();
  },
  "ends, then destroys the socket in the next turn": (r, q) => {
    r.end("a");
    setTimeout(() => q.socket.destroy());
  },
  "ends, then ends the socket": (r, q) => {
    r.end("a");
    q.socket.end();
  },
  "ends the socket, then ends": (r, q) => {
    q.socket.end();
    r.end("a");
  },
  "takes the socket": (_r, q) => q.socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"),
  "takes the socket, then ends": (r, q) => {
    q.socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
    r.end("a");
  },
  "detaches the socket": (r, q) => {
    r.detachSocket(q.socket);
    q.socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
  },
  "destroys the request": (r, q) => {
    q.destroy();
    r.end("a");
  },
  "ends 10 MB": (r) => r.end(big()),
  "writes 10 MB and waits": (r) => r.write(big(), () => r.end("end")),
  "writes 10 MB and does not wait": (r) => {
    for (let i = 0; i < 160; i++) r.write(Buffer.alloc(BIG / 160, "x"));
    r.end();
  },
  "writes 10 MB and waits for drain": async (r) => {
    for (let i = 0; i < 160; i++) {
      if (!r.write(Buffer.alloc(BIG / 160, "x"))) {
        await new Promise((resolve) => r.once("drain", resolve as () => void));
      }
    }
    r.end();
  },
  "pipes 10 MB": (r) => void Readable.from(chunks(65_536)).pipe(r),
  "pipes 10 MB in a pipeline": (r) => pipeline(chunks(1_000_000), r),
  "pipes two big chunks in a pipeline": (r) => pipeline(Readable.from([Buffer.alloc(3_000_000), Buffer.alloc(1)]), r),
  "pipes from a source that fails": (r) => {
    Readable.from(chunks(65_536, 300_000)).on("error", () => r.destroy()).pipe(r);
  },
  "pipes from a source that fails, in a pipeline": (r) => pipeline(chunks(65_536, 300_000), r).catch(() => {}),
  "answers 204 with a body": (r) => r.writeHead(204).end("a"),
  "answers 304 with a body": (r) => r.writeHead(304, { etag: '"1"' }).end("a"),
  "promises more than it sends": (r) => r.writeHead(200, { "content-length": "9", connection: "close" }).end("a"),
  "promises less than it sends": (r) => r.writeHead(200, { "content-length": "1", connection: "close" }).end("abc"),
  "sends trailers": (r) => {
    r.writeHead(200, { trailer: "x-a" });
    r.write("a");
    r.addTrailers({ "x-a": "1" });
    r.end("b");
  },
  "sends early hints": (r) => {
    r.writeEarlyHints({ link: "</a.css>; rel=preload" });
    r.writeProcessing();
    r.end("a");
  },
  "corks for ever": (r) => {
    r.cork();
    r.write("a");
    r.end("b");
  },
  "has a timeout": (r) => {
    r.setTimeout(10_000);
    r.end("a");
  },
};

/** Handlers that open their session too late. */
export const LATE_ROWS: Record<string, Row> = {
  "opens after it sent its head": async (r, _q, touch) => {
    r.flushHeaders();
    await touch();
    r.end("a");
  },
  "opens after writeHead": async (r, _q, touch) => {
    r.writeHead(201);
    await touch();
    r.end("a");
  },
  "opens after a write": async (r, _q, touch) => {
    r.write("a");
    await touch();
    r.end("b");
  },
  "opens after the end": async (r, _q, touch) => {
    r.end("a");
    await touch();
  },
  "opens long after the end": async (r, _q, touch) => {
    r.end("a");
    await later(30);
    await touch();
  },
  "opens after it destroyed the answer": async (r, _q, touch) => {
    r.destroy();
    await touch();
    r.end("a");
  },
};
