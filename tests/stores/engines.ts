/** Engines: real servers of Redis, PostgreSQL and memcached for tests, each with its own port and folder. */
import { freeze } from "../support/freeze.ts";

/** The engines, by the `SESSION_TYPE` that uses them. */
export type EngineType = "redis" | "postgres" | "memcached";

/** The password of the engines that have one. */
export const PASSWORD = "not-to-be-logged";

/** A server that stores sessions. A test can kill it, stop it, and start it again. */
export class Engine {
  #process: Deno.ChildProcess | undefined;

  private constructor(
    readonly type: EngineType,
    readonly dir: string,
    readonly port: number,
    /** The user of PostgreSQL's process, because it refuses to run as root. */
    readonly user: { uid?: number; gid?: number },
    /** More arguments for its command. */
    readonly more: readonly string[],
  ) {}

  /** Starts an engine on a free port of 127.0.0.1, with more arguments for its command if needed. */
  static async start(type: EngineType, more: readonly string[] = []): Promise<Engine> {
    const dir = await Deno.makeTempDir({ prefix: `sessions-${type}-` });
    const user = type === "postgres" && Deno.uid() === 0 ? await userOf("postgres") : {};
    const engine = new Engine(type, dir, freePort(), user, more);
    if (type === "postgres") await engine.#makeDatabase();
    await engine.up();
    return engine;
  }

  /** Its address, for `SESSION_URL`. */
  get url(): string {
    const address = `127.0.0.1:${this.port}`;
    if (this.type === "redis") return `redis://:${PASSWORD}@${address}`;
    if (this.type === "postgres") return `postgres://tester:${PASSWORD}@${address}/postgres`;
    return `memcached://${address}`;
  }

  /** Starts it again with its stored data, and waits until it answers. */
  async up(): Promise<void> {
    const [program, ...args] = await this.#command();
    this.#process = new Deno.Command(program!, { args, ...this.user, stdout: "null", stderr: "null" }).spawn();
    for (let i = 0; i < 200; i++) {
      if (await this.#answers()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await this.kill();
    throw new Error(`${program} does not start`);
  }

  /** Starts a hot standby of this PostgreSQL: a read-only copy that follows it. */
  async standby(): Promise<Engine> {
    const dir = await Deno.makeTempDir({ prefix: "sessions-standby-" });
    const engine = new Engine(this.type, dir, freePort(), this.user, this.more);
    await engine.follow(this);
    await engine.up();
    return engine;
  }

  /** Makes this PostgreSQL, which must not run, a hot standby of another one. */
  async follow(primary: Engine): Promise<void> {
    const { uid, gid } = this.user;
    if (uid !== undefined) await Deno.chown(this.dir, uid, gid!);
    await Deno.remove(`${this.dir}/data`, { recursive: true }).catch(() => {});
    const source = `host=127.0.0.1 port=${primary.port} user=tester password=${PASSWORD}`;
    await this.#run("pg_basebackup", ["-D", `${this.dir}/data`, "-d", source, "-R", "-c", "fast", "-X", "stream"]);
  }

  /** Sends a statement to this PostgreSQL, as an operator would. */
  async say(sql: string): Promise<void> {
    const url = `postgresql://tester:${PASSWORD}@127.0.0.1:${this.port}/postgres`;
    await this.#run("psql", [url, "-qX", "-v", "ON_ERROR_STOP=1", "-c", sql]);
  }

  /** Makes a hot standby a primary. */
  async promote(): Promise<void> {
    await this.#run("pg_ctl", ["promote", "-D", `${this.dir}/data`, "-w"]);
  }

  /** Ends it as a crash would, and waits until it has ended. */
  async kill(): Promise<void> {
    // PostgreSQL has several processes. SIGQUIT ends all of them immediately, without cleaning up.
    this.#signal(this.type === "postgres" ? "SIGQUIT" : "SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  /** Stops its processes, with its connections open. */
  async freeze(): Promise<void> {
    for (const pid of await this.#pids()) await freeze(pid);
  }

  /** Continues its processes. */
  async thaw(): Promise<void> {
    for (const pid of await this.#pids()) Deno.kill(pid, "SIGCONT");
  }

  /** Kills it, and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.dir, { recursive: true });
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#process?.kill(signal);
    } catch {
      // It has ended already.
    }
  }

  async #pids(): Promise<number[]> {
    const { pid } = this.#process!;
    const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
    return [pid, ...children.split(" ").filter(Boolean).map(Number)];
  }

  async #command(): Promise<string[]> {
    const { dir, port } = this;
    switch (this.type) {
      case "redis":
        return [
          ...["redis-server", "--bind", "127.0.0.1", "--port", `${port}`, "--dir", dir, "--requirepass", PASSWORD],
          ...["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"],
          ...this.more,
        ];
      case "postgres":
        return [
          ...[await binary("postgres"), "-D", `${dir}/data`, "-p", `${port}`, "-c", "listen_addresses=127.0.0.1"],
          // Without `fsync`, changes still survive every crash except one of the whole machine.
          ...["-c", `unix_socket_directories=${dir}`, "-c", "fsync=off"],
          ...this.more,
        ];
      case "memcached":
        return [
          "memcached",
          "-l",
          "127.0.0.1",
          "-p",
          `${port}`,
          ...(Deno.uid() === 0 ? ["-u", "nobody"] : []),
          ...this.more,
        ];
    }
  }

  async #makeDatabase(): Promise<void> {
    const { uid, gid } = this.user;
    if (uid !== undefined) await Deno.chown(this.dir, uid, gid!);
    await Deno.writeTextFile(`${this.dir}/password`, PASSWORD);
    await Deno.chmod(`${this.dir}/password`, 0o644);
    await this.#run("initdb", [
      ...["-D", `${this.dir}/data`, "-U", "tester", "-A", "scram-sha-256", "--pwfile", `${this.dir}/password`, "-N"],
      ...["-E", "UTF8", "--locale", "C"],
    ]);
  }

  /** Runs a program of PostgreSQL. */
  async #run(program: string, args: string[]): Promise<void> {
    const options = { args, cwd: this.dir, ...this.user };
    const { success, stderr } = await new Deno.Command(await binary(program), options).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }

  async #answers(): Promise<boolean> {
    if (this.type === "postgres") {
      const args = ["-h", "127.0.0.1", "-p", `${this.port}`];
      return (await new Deno.Command(await binary("pg_isready"), { args, stdout: "null" }).output()).success;
    }
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
      return true;
    } catch {
      return false;
    }
  }
}

/** A free port of 127.0.0.1. A Redis Cluster also needs the port 10,000 above it, so the port is below 55,000. */
export function freePort(): number {
  while (true) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    if (port < 55_000) return port;
  }
}

/** The path of a program of PostgreSQL. Debian has a folder for each version. */
async function binary(name: string): Promise<string> {
  try {
    for await (const version of Deno.readDir("/usr/lib/postgresql")) {
      return `/usr/lib/postgresql/${version.name}/bin/${name}`;
    }
  } catch {
    // On other systems, the program is found by its name.
  }
  return name;
}

async function userOf(name: string): Promise<{ uid: number; gid: number }> {
  const users = (await Deno.readTextFile("/etc/passwd")).split("\n").map((line) => line.split(":"));
  const user = users.find(([user]) => user === name);
  if (user === undefined) throw new Error(`There is no user "${name}" to run the database as`);
  return { uid: Number(user[2]), gid: Number(user[3]) };
}
