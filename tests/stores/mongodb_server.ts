/** Starts a server that speaks MongoDB's protocol, for tests. `TEST_MONGODB_SERVER` says how: a command, given ports. */
import { freeze } from "../support/freeze.ts";

const command = Deno.env.get("TEST_MONGODB_SERVER")?.trim().split(/\s+/);

/** Whether there is one to be started; without one, tests that need it are ignored. */
export const hasServer: boolean = command !== undefined;

/** A server on free ports of 127.0.0.1: one, or as many as a replica set has members. */
export class MongoServer {
  /** Where it listens. */
  readonly ports: readonly number[];
  #process: Deno.ChildProcess | undefined;

  private constructor(ports: readonly number[]) {
    this.ports = ports;
  }

  /** Starts one and waits until it answers. */
  static async start(members = 1): Promise<MongoServer> {
    const listeners = Array.from({ length: members }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
    const server = new MongoServer(listeners.map(({ addr }) => addr.port));
    for (const listener of listeners) listener.close();
    await server.up();
    return server;
  }

  /** Its address, with a database's name. */
  url(database: string): string {
    return `mongodb://${this.ports.map((port) => `127.0.0.1:${port}`).join()}/${database}`;
  }

  /** Starts it again, on the same ports. */
  async up(): Promise<void> {
    const [program, ...args] = command!;
    const options = {
      args: [...args, ...this.ports.map(String)],
      stdout: "null",
      stderr: "null",
    } satisfies Deno.CommandOptions;
    this.#process = new Deno.Command(program!, options).spawn();
    for (let i = 0; i < 300; i++) {
      try {
        for (const port of this.ports) (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await this.kill();
    throw new Error(`${program} does not start`);
  }

  /** Makes it stand still, with its connections open; on a busy machine that takes a while. */
  async freeze(): Promise<void> {
    await freeze(this.#process!.pid);
  }

  /** Lets it go on. */
  thaw(): void {
    this.#process!.kill("SIGCONT");
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    process?.kill("SIGKILL");
    await process?.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
