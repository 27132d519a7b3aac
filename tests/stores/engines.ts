/** Engines: real Redis, PostgreSQL and memcached servers for tests, each on a free port and in a folder of its own. */
import { freeze } from "../support/freeze.ts";

/** The engines there are, by the `SESSION_TYPE` that uses them. */
export type EngineType = "redis" | "postgres" | "memcached";

/** The password that has to be given to those that take one. */
export const PASSWORD = "not-to-be-logged";

/** A server that keeps sessions, and can be ended, stopped and brought back. */
export class Engine {
  #process: Deno.ChildProcess | undefined;

  private constructor(
    readonly type: EngineType,
    readonly dir: string,
    readonly port: number,
    /** Whom PostgreSQL runs as, because it refuses to run as root. */
    readonly user: { uid?: number; gid?: number },
    /** What its command says beside what all of its kind say. */
    readonly more: readonly string[],
  ) {}

  /** Starts one, on a free port of 127.0.0.1; its command may say more. */
  static async start(type: EngineType, more: readonly string[] = []): Promise<Engine> {
    const dir = await Deno.makeTempDir({ prefix: `sessions-${type}-` });
    const user = type === "postgres" && Deno.uid() === 0 ? await userOf("postgres") : {};
    const engine = new Engine(type, dir, freePort(), user, more);
    if (type === "postgres") await engine.#makeDatabase();
    await engine.up();
    return engine;
  }

  /** What `SESSION_URL` is for it. */
  get url(): string {
    const address = `127.0.0.1:${this.port}`;
    if (this.type === "redis") return `redis://:${PASSWORD}@${address}`;
    if (this.type === "postgres") return `postgres://tester:${PASSWORD}@${address}/postgres`;
    return `memcached://${address}`;
  }

  /** Brings it up, with what it kept, and waits until it answers. */
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

  /** Starts a hot standby of it, a PostgreSQL that follows and only reads. */
  async standby(): Promise<Engine> {
    const dir = await Deno.makeTempDir({ prefix: "sessions-standby-" });
    const engine = new Engine(this.type, dir, freePort(), this.user, this.more);
    await engine.follow(this);
    await engine.up();
    return engine;
  }

  /** Makes this PostgreSQL, which must not run, a hot standby of another one: a copy that follows. */
  async follow(primary: Engine): Promise<void> {
    const { uid, gid } = this.user;
    if (uid !== undefined) await Deno.chown(this.dir, uid, gid!);
    await Deno.remove(`${this.dir}/data`, { recursive: true }).catch(() => {});
    const source = `host=127.0.0.1 port=${primary.port} user=tester password=${PASSWORD}`;
    await this.#run("pg_basebackup", ["-D", `${this.dir}/data`, "-d", source, "-R", "-c", "fast", "-X", "stream"]);
  }

  /** Says something to this PostgreSQL, as an operator would. */
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
    // PostgreSQL is several processes: told to quit, they all end at once and clean up nothing.
    this.#signal(this.type === "postgres" ? "SIGQUIT" : "SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  /** Makes it stand still, with its connections open. */
  async freeze(): Promise<void> {
    for (const pid of await this.#pids()) await freeze(pid);
  }

  /** Lets it go on. */
  async thaw(): Promise<void> {
    for (const pid of await this.#pids()) Deno.kill(pid, "SIGCONT");
  }

  /** Ends it and removes what it kept. */
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
          // Without waiting for the disk it still outlives any end but that of the machine.
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

/** A port of 127.0.0.1 that is free now; the one 10,000 above it is a port, too, as a Redis Cluster needs it. */
export function freePort(): number {
  while (true) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    if (port < 55_000) return port;
  }
}

/** Where Debian has a program of PostgreSQL: in a folder for each version. */
async function binary(name: string): Promise<string> {
  try {
    for await (const version of Deno.readDir("/usr/lib/postgresql")) {
      return `/usr/lib/postgresql/${version.name}/bin/${name}`;
    }
  } catch {
    // Elsewhere it is found by name.
  }
  return name;
}

async function userOf(name: string): Promise<{ uid: number; gid: number }> {
  const users = (await Deno.readTextFile("/etc/passwd")).split("\n").map((line) => line.split(":"));
  const user = users.find(([user]) => user === name);
  if (user === undefined) throw new Error(`There is no user "${name}" to run the database as`);
  return { uid: Number(user[2]), gid: Number(user[3]) };
}
