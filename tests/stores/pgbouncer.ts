/** PgBouncer in front of a PostgreSQL server, for tests: with transaction pooling, and its defaults otherwise. */
import { type Engine, PASSWORD } from "./engines.ts";

/** A running pooler. */
export class PgBouncer {
  #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess, readonly port: number) {
    this.#process = process;
  }

  /** Starts a pooler on a free port of 127.0.0.1. */
  static async start(engine: Engine): Promise<PgBouncer> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const dir = `${engine.dir}/pgbouncer`;
    await Deno.mkdir(dir, { recursive: true });
    await Deno.writeTextFile(`${dir}/users`, `"tester" "${PASSWORD}"\n`);
    await Deno.writeTextFile(
      `${dir}/pgbouncer.ini`,
      `[databases]
      * = host=127.0.0.1 port=${engine.port}
      [pgbouncer]
      listen_addr = 127.0.0.1
      listen_port = ${port}
      unix_socket_dir =
      auth_type = scram-sha-256
      auth_file = ${dir}/users
      pool_mode = transaction
      `.replaceAll(/^ +/gm, ""),
    );
    const process = new Deno.Command("pgbouncer", {
      args: ["-q", `${dir}/pgbouncer.ini`],
      ...engine.user,
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let i = 0; i < 200; i++) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return new PgBouncer(process, port);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    }
    process.kill();
    throw new Error("pgbouncer does not start");
  }

  /** The address of a database behind the pooler. */
  get url(): string {
    return `postgres://tester:${PASSWORD}@127.0.0.1:${this.port}/postgres`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }
}
