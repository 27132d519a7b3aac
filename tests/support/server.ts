/** Tools of several tests: a temporary folder, a browser with cookies, and the program as a real process. */
import config from "../../deno.json" with { type: "json" };
import { flagsOf } from "../../lib/commands/permissions.ts";

/** Runs a test with its own folder, which is removed afterwards. */
export async function withFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Sends requests to a handler or a server as a browser would: keeps cookies, does not follow redirects. */
export class Browser {
  readonly cookies = new Map<string, string>();
  /** The last answer's Set-Cookie headers. */
  setCookies: string[] = [];

  constructor(
    readonly origin: string,
    readonly send: (request: Request) => Promise<Response> = (request) => fetch(request, { redirect: "manual" }),
  ) {}

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.cookies.size > 0 && !headers.has("cookie")) headers.set("cookie", this.cookie);
    const response = await this.send(new Request(this.origin + path, { redirect: "manual", ...init, headers }));
    this.setCookies = response.headers.getSetCookie();
    for (const line of this.setCookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === "" || /max-age=0(;|$)/i.test(line)) this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    return response;
  }

  /** GETs a page and returns its text. */
  async get(path: string, headers: HeadersInit = {}): Promise<string> {
    return await (await this.request(path, { headers })).text();
  }

  /** POSTs a form, drops the answer's body and returns its status. */
  async post(path: string, form: Record<string, string> = {}, headers: HeadersInit = {}): Promise<number> {
    const response = await this.request(path, { method: "POST", body: new URLSearchParams(form), headers });
    await response.body?.cancel();
    return response.status;
  }
}

const root = new URL("../..", import.meta.url).pathname;

/** The flags of `deno task start`. */
export function startFlags(): string[] {
  return ["--quiet", "--no-prompt", `--lock=${root}deno.lock`, "--frozen", ...flagsOf(config.permissions.default)];
}

/**
 * The command that runs the program: the executable that TEST_BINARY names, or else `main.ts` with the flags of
 * `deno task start`.
 */
function commandOf(): string[] {
  const binary = Deno.env.get("TEST_BINARY");
  if (binary !== undefined) return [Deno.realPathSync(binary)];
  return [Deno.execPath(), "run", ...startFlags(), `${root}main.ts`];
}

const LISTENING = /^Listening on (\S+?)\/?$/m;

/** The outcome of a run of the program. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The server as a separate process. */
export class Server {
  stdout = "";
  stderr = "";
  #reading: Promise<unknown>;
  #ended = false;

  private constructor(readonly process: Deno.ChildProcess) {
    const read = async (stream: ReadableStream<Uint8Array>, name: "stdout" | "stderr") => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this[name] += text;
    };
    this.#reading = Promise.all([read(process.stdout, "stdout"), read(process.stderr, "stderr")]);
    process.status.then(() => this.#ended = true);
  }

  /**
   * Starts a command, or the program, with only `env` in its environment, on a free port of 127.0.0.1.
   *
   * @param command The command. Unless given, it is the program.
   * @param args The arguments of the command.
   */
  static spawn(env: Record<string, string>, command?: string[], args: string[] = []): Server {
    const [program, ...first] = command ?? commandOf();
    const keep = ["HOME", "PATH", "DENO_DIR"].flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    });
    return new Server(
      new Deno.Command(program!, {
        args: [...first, ...args],
        clearEnv: true,
        env: { ...Object.fromEntries(keep), NO_COLOR: "1", PORT: "0", ...env },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
  }

  /** Starts the server and waits until it listens. */
  static async start(env: Record<string, string>, command?: string[]): Promise<Server> {
    const server = Server.spawn(env, command);
    for (let i = 0; i < 600 && !server.#listens; i++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      if (server.#ended) break;
    }
    if (!server.#listens) {
      await server.kill();
      throw new Error(`The server did not start: ${server.stderr}`);
    }
    return server;
  }

  // The server writes this line to standard output, and a program with only Deno.serve to standard error.
  get #listens(): boolean {
    return LISTENING.test(this.stdout) || LISTENING.test(this.stderr);
  }

  /** The address at which it listens, without a slash at the end. */
  get origin(): string {
    return LISTENING.exec(this.stdout + this.stderr)![1]!;
  }

  /** Waits until the server ends, and returns its exit code. */
  async ended(): Promise<number> {
    const { code } = await this.process.status;
    await this.#reading;
    return code;
  }

  /** Runs the program with arguments until it ends, and returns its exit code and its output. */
  static async run(env: Record<string, string>, ...args: string[]): Promise<Outcome> {
    const server = Server.spawn(env, undefined, args);
    // Otherwise a server that starts against expectation would run forever.
    const timer = setTimeout(() => server.kill(), 60_000);
    const code = await server.ended();
    clearTimeout(timer);
    return { code, stdout: server.stdout, stderr: server.stderr };
  }

  /** Sends a signal that stops the server, and returns its exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.process.kill(signal);
    return await this.ended();
  }

  /** Ends the server immediately. */
  async kill(): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.ended();
  }
}
