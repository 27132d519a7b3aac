/** A PostgreSQL and its hot standby, for tests of a failover and back. */
import { Engine, PASSWORD } from "./engines.ts";

/** A primary and a standby that confirms every change. */
export class Pair {
  #primary: Engine;
  #standby: Engine;
  /** Their address. The first host is the standby. */
  readonly url: string;

  private constructor(primary: Engine, standby: Engine) {
    this.#primary = primary;
    this.#standby = standby;
    const hosts = [standby, primary].map(({ port }) => `127.0.0.1:${port}`).join();
    this.url = `postgres://tester:${PASSWORD}@${hosts}/postgres`;
  }

  /** Starts both. */
  static async start(): Promise<Pair> {
    const primary = await Engine.start("postgres");
    const pair = new Pair(primary, await primary.standby());
    await pair.#confirm(primary);
    return pair;
  }

  /** Ends the primary as a crash would, makes the standby the primary, and the old primary its standby. */
  async failover(): Promise<void> {
    const [old, next] = [this.#primary, this.#standby];
    await old.kill();
    await next.say("alter system reset synchronous_standby_names");
    await next.promote();
    [this.#primary, this.#standby] = [next, old];
    await old.follow(next);
    await old.up();
    await this.#confirm(next);
  }

  /** Makes a primary acknowledge a change only when its standby has it, too. */
  async #confirm(primary: Engine): Promise<void> {
    await primary.say("alter system set synchronous_standby_names = '*'");
    await primary.say("select pg_reload_conf()");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#primary[Symbol.asyncDispose]();
    await this.#standby[Symbol.asyncDispose]();
  }
}
