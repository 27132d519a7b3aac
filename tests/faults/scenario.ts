/** The interface of a scenario, and helpers of several scenarios: files of a folder, workers, raw connections. */
import { keyOf } from "../../lib/id.ts";
import { pathOf, SECRET } from "../../lib/stores/file/names.ts";
import { Server } from "../support/server.ts";
import { wait } from "./tools.ts";

export * from "./tools.ts";

/** A fault that is played with real processes, and the check of its outcome. */
export interface Scenario {
  /** Its name on the command line. */
  readonly name: string;
  /** The number of rounds unless `--rounds` is given; 1 if it has no rounds. */
  readonly rounds: number;
  /** How many times longer a round takes than in other scenarios. `--rounds=N` plays N divided by this. */
  readonly slow?: number;
  /** Whether it mostly waits. Such a scenario is played at the same time as the others. */
  readonly waits?: boolean;
  /** Plays it. Returns its figures in one line. Throws if the outcome is not the expected one. */
  play(stage: Stage): Promise<string>;
}

/** The folder, the number of rounds and the random numbers of a scenario. */
export interface Stage {
  /** An empty folder, which is removed afterwards. */
  readonly dir: string;
  readonly rounds: number;
  /** Random numbers from 0 to below 1, the same for the same seed. */
  readonly random: () => number;
}

/** Waits until `isSo` returns `true`. Throws after `seconds`. */
export async function until(isSo: () => boolean, what: string, seconds = 20): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !isSo();) {
    if (Date.now() > end) throw new Error(`${what}: not after ${seconds} s`);
    await wait(2);
  }
}

/**
 * Repeats a request while it is answered 503, as on a busy machine. A request that was refused must have changed
 * nothing. Returns the first other status.
 *
 * @param request Sends the request, and returns the status of its answer.
 */
export async function accepted(request: () => Promise<number>, seconds = 20): Promise<number> {
  for (const end = Date.now() + seconds * 1000;;) {
    const status = await request();
    if (status !== 503) return status;
    if (Date.now() > end) throw new Error(`answered 503 for ${seconds} s`);
    await wait(50);
  }
}

/** The files below a folder, as relative paths, without the secrets and the files of the roster. */
export function filesIn(dir: string, below = ""): string[] {
  const paths: string[] = [];
  for (const { name, isDirectory } of entries(`${dir}/${below}`)) {
    if (name === ".processes") continue;
    if (isDirectory) paths.push(...filesIn(dir, `${below}${name}/`));
    else if (name !== "secret.key" && name !== SECRET) paths.push(below + name);
  }
  return paths;
}

/** The entries of a folder; none if a sweep has just removed it. */
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

/** The file of the session that a cookie names. */
export function fileOf(dir: string, cookie: string): string {
  return pathOf(dir, keyIn(cookie));
}

/** Starts a job of `worker.ts` as a separate process, and waits until it works. */
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

/** The lines that a worker has printed so far, each a JSON value. A line that its death cut short is left out. */
export function said<T>(worker: Server): T[] {
  return worker.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/** A connection on which a test sends the bytes. */
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

  /** Reads until `text` has come, or to the end. */
  async receive(text?: string): Promise<string> {
    const buffer = new Uint8Array(65_536);
    while (!this.#ended && (text === undefined || !this.#received.includes(text))) {
      const length = await this.conn.read(buffer).catch(() => null);
      if (length === null) this.#ended = true;
      else this.#received += new TextDecoder().decode(buffer.subarray(0, length));
    }
    return this.#received;
  }

  /** Reads the answer to the end, and closes. Returns its status (0 if there is none) and the session cookie. */
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
      // The other side has closed it.
    }
  }
}
