/** Starts a server that speaks MongoDB's protocol, for tests. `TEST_MONGODB_SERVER` says how: a command that is given a port. */

const command = Deno.env.get("TEST_MONGODB_SERVER")?.trim().split(/\s+/);

/** Whether there is one to be started; without one, tests that need it are ignored. */
export const hasServer: boolean = command !== undefined;

/** A server on a free port of 127.0.0.1. */
export class MongoServer {
  #process: Deno.ChildProcess | undefined;

  private constructor(
    /** Where it listens. */
    readonly port: number,
  ) {}

  /** Starts one and waits until it answers. */
  static async start(): Promise<MongoServer> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const server = new MongoServer(port);
    await server.up();
    return server;
  }

  /** Its address, with a database's name. */
  url(database: string): string {
    return `mongodb://127.0.0.1:${this.port}/${database}`;
  }

  /** Starts it again, on the same port. */
  async up(): Promise<void> {
    const [program, ...args] = command!;
    this.#process = new Deno.Command(program!, { args: [...args, `${this.port}`], stdout: "null", stderr: "null" })
      .spawn();
    for (let i = 0; i < 300; i++) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await this.kill();
    throw new Error(`${program} does not start`);
  }

  /** Makes it stand still, with its connections open. */
  freeze(): void {
    this.#process!.kill("SIGSTOP");
  }

  /** Lets it go on. */
  thaw(): void {
    this.#process!.kill("SIGCONT");
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }
}
