/** Starts a server with MongoDB's protocol for tests. `TEST_MONGODB_SERVER` is its command, which gets ports. */
import { freeze } from "../support/freeze.ts";

const command = Deno.env.get("TEST_MONGODB_SERVER")?.trim().split(/\s+/);

/** Whether there is a command for a server. Without one, the tests that need a server are ignored. */
export const hasServer: boolean = command !== undefined;

/** A server on free ports of 127.0.0.1: on one port, or on a port for each member of a replica set. */
export class MongoServer {
  /** The ports that it listens on. */
  readonly ports: readonly number[];
  #process: Deno.ChildProcess | undefined;

  private constructor(ports: readonly number[]) {
    this.ports = ports;
  }

  /** Starts a server, and waits until it answers. */
  static async start(members = 1): Promise<MongoServer> {
    const listeners = Array.from({ length: members }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
    const server = new MongoServer(listeners.map(({ addr }) => addr.port));
    for (const listener of listeners) listener.close();
    await server.up();
    return server;
  }

  /** Its address, with the name of a database. */
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

  /** Stops its process, with its connections open. On a busy machine this takes a while. */
  async freeze(): Promise<void> {
    await freeze(this.#process!.pid);
  }

  /** Continues its process. */
  thaw(): void {
    this.#process!.kill("SIGCONT");
  }

  /** Kills it. */
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
