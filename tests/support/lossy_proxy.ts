/** LossyProxy: a network between a client and a server of this machine that loses what a test wants lost. */

interface Connection {
  readonly near: Deno.TcpConn;
  readonly far: Deno.TcpConn;
  isSilent: boolean;
  losesAnswer: boolean;
}

/** Passes everything on, on a port of its own, but for what it is told to lose. */
export class LossyProxy {
  /** The port that new connections lead to. */
  target: number;
  /** How often it lost something. */
  lost = 0;
  #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #connections = new Set<Connection>();
  #wanted: { what: "request" | "answer"; text: string } | undefined;
  #running: Promise<void>;

  /** @param target The port of the server. */
  constructor(target: number) {
    this.target = target;
    this.#running = this.#accept();
  }

  /** The port to connect to. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /**
   * Loses the next request that contains some text, or its answer, and breaks that connection. With its answer lost,
   * the server has done what it was asked to.
   */
  loseNext(what: "request" | "answer", text: string): void {
    this.#wanted = { what, text };
  }

  /** Lets nothing pass any more on the connections there are, and tells neither end; new ones work. */
  silence(): void {
    for (const connection of this.#connections) connection.isSilent = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) this.#break(connection);
    await this.#running;
  }

  async #accept(): Promise<void> {
    const passing: Promise<void>[] = [];
    for await (const near of this.#listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: this.target }).catch(() => undefined);
      if (far === undefined) {
        near.close();
        continue;
      }
      near.setNoDelay();
      far.setNoDelay();
      const connection = { near, far, isSilent: false, losesAnswer: false };
      this.#connections.add(connection);
      passing.push(this.#requests(connection), this.#answers(connection));
    }
    await Promise.all(passing);
  }

  async #requests(connection: Connection): Promise<void> {
    try {
      for await (const bytes of connection.near.readable) {
        if (connection.isSilent) continue;
        const wanted = this.#wanted;
        if (wanted !== undefined && new TextDecoder("latin1").decode(bytes).includes(wanted.text)) {
          this.#wanted = undefined;
          this.lost++;
          if (wanted.what === "request") return this.#break(connection);
          connection.losesAnswer = true;
        }
        await connection.far.write(bytes);
      }
    } catch {
      // One of the ends is closed.
    }
    if (!connection.isSilent) this.#break(connection);
  }

  async #answers(connection: Connection): Promise<void> {
    try {
      for await (const bytes of connection.far.readable) {
        if (connection.losesAnswer) return this.#break(connection);
        if (!connection.isSilent) await connection.near.write(bytes);
      }
    } catch {
      // One of the ends is closed.
    }
    if (!connection.isSilent) this.#break(connection);
  }

  #break(connection: Connection): void {
    this.#connections.delete(connection);
    for (const end of [connection.near, connection.far]) {
      try {
        end.close();
      } catch {
        // It is closed.
      }
    }
  }
}
