/** Redis engines for tests: commands to one server, a master with a replica behind a Sentinel, and a Cluster. */
import { Engine, freePort, PASSWORD } from "./engines.ts";

/** Sends a command to one Redis, as an operator would. Returns the answer as a string. */
export async function say(engine: Engine, ...command: string[]): Promise<string> {
  const args = ["-h", "127.0.0.1", "-p", `${engine.port}`, "--no-auth-warning", "-a", PASSWORD, ...command];
  const { stdout, stderr } = await new Deno.Command("redis-cli", { args }).output();
  const decoder = new TextDecoder();
  return `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim();
}

/** Waits until a check succeeds. */
export async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Waited in vain until ${what}`);
}

/** A master, its replica, and a Sentinel that watches them. */
export class Sentinel {
  #process: Deno.ChildProcess;

  private constructor(
    readonly port: number,
    readonly engines: readonly [Engine, Engine],
    readonly dir: string,
  ) {
    const args = [`${dir}/sentinel.conf`, "--sentinel"];
    this.#process = new Deno.Command("redis-server", { args, stdout: "null", stderr: "null" }).spawn();
  }

  /** Starts all three, and waits until the Sentinel knows the other two. */
  static async start(): Promise<Sentinel> {
    const auth = ["--masterauth", PASSWORD];
    const master = await Engine.start("redis", auth);
    const replica = await Engine.start("redis", [...auth, "--replicaof", "127.0.0.1", `${master.port}`]);
    const dir = await Deno.makeTempDir({ prefix: "sessions-sentinel-" });
    const port = freePort();
    await Deno.writeTextFile(
      `${dir}/sentinel.conf`,
      [
        `port ${port}`,
        "bind 127.0.0.1",
        `dir ${dir}`,
        `sentinel monitor sessions 127.0.0.1 ${master.port} 1`,
        `sentinel auth-pass sessions ${PASSWORD}`,
        "sentinel down-after-milliseconds sessions 1000",
        "sentinel failover-timeout sessions 5000",
      ].join("\n"),
    );
    const sentinel = new Sentinel(port, [master, replica], dir);
    await until("the Sentinel knows the replica", async () => {
      const state = await sentinel.say("SENTINEL", "REPLICAS", "sessions");
      return state.includes(`${replica.port}`) && /master-link-status\s+ok/.test(state);
    });
    return sentinel;
  }

  /** Its address, for `SESSION_URL`. */
  get url(): string {
    return `redis://:${PASSWORD}@127.0.0.1:${this.port}?sentinel=sessions`;
  }

  /** The engine that is the master now. */
  async master(): Promise<Engine> {
    const address = await this.say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sessions");
    return this.engines.find(({ port }) => address.includes(`${port}`))!;
  }

  /** Makes the replica the master, as an operator would, and waits until it is the master. */
  async failover(): Promise<void> {
    const old = await this.master();
    await this.say("SENTINEL", "FAILOVER", "sessions");
    await until("the other one is the master", async () => await this.master() !== old);
  }

  /** Sends a command to the Sentinel. */
  async say(...command: string[]): Promise<string> {
    const args = ["-h", "127.0.0.1", "-p", `${this.port}`, ...command];
    return new TextDecoder().decode((await new Deno.Command("redis-cli", { args }).output()).stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    for (const engine of this.engines) await engine[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** A Cluster: three masters that share the keys, and their replicas. */
export class Cluster {
  private constructor(readonly engines: readonly Engine[]) {}

  /**
   * Starts them, and waits until they know each other.
   *
   * @param replicas How many replicas each master has.
   */
  static async start(replicas = 0): Promise<Cluster> {
    const options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--masterauth", PASSWORD];
    const engines = await Promise.all(Array.from({ length: 3 + 3 * replicas }, () => Engine.start("redis", options)));
    const cluster = new Cluster(engines);
    const nodes = engines.map(({ port }) => `127.0.0.1:${port}`);
    const args = ["--cluster", "create", ...nodes, "--cluster-replicas", `${replicas}`, "--cluster-yes"];
    await new Deno.Command("redis-cli", {
      args: ["--no-auth-warning", "-a", PASSWORD, ...args],
      stdout: "null",
    }).output();
    await until("the Cluster is whole", async () => {
      const states = await Promise.all(engines.map((engine) => say(engine, "CLUSTER", "INFO")));
      return states.every((state) => state.includes("cluster_state:ok"));
    });
    await until("the replicas follow", async () => {
      const states = await Promise.all(engines.map((engine) => say(engine, "INFO", "replication")));
      return states.filter((state) => state.includes("master_link_status:up")).length === 3 * replicas;
    });
    return cluster;
  }

  /** Its address, for `SESSION_URL`. */
  get url(): string {
    const [first, second] = this.engines;
    return `redis://:${PASSWORD}@127.0.0.1:${first!.port}?cluster&node=127.0.0.1:${second!.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.engines) await engine[Symbol.asyncDispose]();
  }
}
