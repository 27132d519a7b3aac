/** What a fault scenario is, and what several of them use: files of a folder, seeded choices, raw connections. */
import { keyOf } from "../../lib/id.ts";
import { pathOf, SECRET } from "../../lib/stores/file/names.ts";
import { Server } from "../support/server.ts";
import { wait } from "./tools.ts";

export * from "./tools.ts";

/** Something that goes wrong, played with real processes, and what must hold nevertheless. */
export interface Scenario {
  /** What it is called on the command line. */
  readonly name: string;
  /** How often it is played unless told otherwise; 1 for a story that is told once. */
  readonly rounds: number;
  /** How much longer a round takes than others' do: `--rounds=N` asks for so many times fewer. */
  readonly slow?: number;
  /** Whether it mostly waits, so that it is played beside the others. */
  readonly waits?: boolean;
  /** Plays it. Returns its figures in one line; throws if the outcome is not exact. */
  play(stage: Stage): Promise<string>;
}

/** What a scenario is played on. */
export interface Stage {
  /** An empty folder, removed afterwards. */
  readonly dir: string;
  readonly rounds: number;
  /** From 0 up to 1; the same numbers for the same seed. */
  readonly random: () => number;
}

/** Waits until `isSo`, looking every few milliseconds; throws after `seconds`. */
export async function until(isSo: () => boolean, what: string, seconds = 20): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !isSo();) {
    if (Date.now() > end) throw new Error(`${what}: not after ${seconds} s`);
    await wait(2);
  }
}

/**
 * Repeats a request while it is answered 503, as a server under load answers: a refused request was not acknowledged,
 * so nothing is expected of it. Returns the first other status.
 *
 * @param request Sends the request, and returns the status of its answer.
 */
export async function accepted(request: () => Promise<number>, seconds = 20): Promise<number> {
  for (const end = Date.now() + seconds * 1000;;) {
    const status = await request();
    if (status !== 503) return status;
    if (Date.now() > end) throw new Error(`refused for ${seconds} s`);
    await wait(50);
  }
}

/** Every file below a folder, as paths relative to it; not the secrets, nor those of the processes that have it open. */
export function filesIn(dir: string, below = ""): string[] {
  const paths: string[] = [];
  for (const { name, isDirectory } of entries(`${dir}/${below}`)) {
    if (name === ".processes") continue;
    if (isDirectory) paths.push(...filesIn(dir, `${below}${name}/`));
    else if (name !== "secret.key" && name !== SECRET) paths.push(below + name);
  }
  return paths;
}

/** What a folder holds: nothing if a sweep has just removed it. */
function entries(dir: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The key of the session that a cookie names. */
export function keyIn(cookie: string): string {
  return keyOf(cookie.slice(0, cookie.indexOf(".")));
}

/** The file that keeps the session a cookie names. */
export function fileOf(dir: string, cookie: string): string {
  return pathOf(dir, keyIn(cookie));
}

/** Starts a job of `worker.ts` as a process of its own, and waits until it is at work. */
export async function startWorker(job: string, ...args: string[]): Promise<Server> {
  const program = new URL("worker.ts", import.meta.url).pathname;
  const worker = await Server.spawn({}, [
    Deno.execPath(),
    "run",
    "--allow-read",
    "--allow-write",
    program,
    job,
    ...args,
  ]);
  await until(() => worker.stdout.includes("\n"), "a worker's start").catch(async (error) => {
    await worker.kill();
    throw new Error(`${error.message}: ${worker.stderr}`);
  });
  return worker;
}

/** What a worker said so far, one JSON value a line; a line cut short by its death is left out. */
export function said<T>(worker: Server): T[] {
  return worker.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/** A connection on which the bytes are sent by hand. */
export class Connection {
  #received = "";
  #ended = false;

  private constructor(readonly conn: Deno.TcpConn) {}

  static async open(origin: string): Promise<Connection> {
    const { hostname, port } = new URL(origin);
    return new Connection(await Deno.connect({ hostname, port: Number(port) }));
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length;) done += await this.conn.write(bytes.subarray(done));
  }

  /** Sends the head of a form's POST. */
  async post(path: string, length: number, headers: Record<string, string> = {}): Promise<void> {
    const all = {
      host: `127.0.0.1:${(this.conn.remoteAddr as Deno.NetAddr).port}`,
      "content-type": "application/x-www-form-urlencoded",
      "content-length": length,
      connection: "close",
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    await this.send(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  }

  /** Reads until `text` came, or to the end. */
  async receive(text?: string): Promise<string> {
    const buffer = new Uint8Array(65_536);
    while (!this.#ended && (text === undefined || !this.#received.includes(text))) {
      const length = await this.conn.read(buffer).catch(() => null);
      if (length === null) this.#ended = true;
      else this.#received += new TextDecoder().decode(buffer.subarray(0, length));
    }
    return this.#received;
  }

  /** Reads the answer to the end and closes. Returns its status, 0 for none, and the session cookie it set. */
  async answer(): Promise<{ status: number; cookie: string | undefined }> {
    const text = (await this.receive()).replace(/^HTTP\/1\.1 100 [^]*?\r\n\r\n/, "");
    this.close();
    return {
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0),
      cookie: /^set-cookie: session=([^;]+)/im.exec(text)?.[1],
    };
  }

  close(): void {
    try {
      this.conn.close();
    } catch {
      // The other side was first.
    }
  }
}
