/** LossyProxy: passes bytes between a client and a server of this machine, and loses those that a test selects. */

interface Connection {
  readonly near: Deno.TcpConn;
  readonly far: Deno.TcpConn;
  isSilent: boolean;
  losesAnswer: boolean;
}

/** A proxy on its own port. It passes everything on except the requests and answers that a test loses. */
export class LossyProxy {
  /** The server's port, for new connections. */
  target: number;
  /** How many requests and answers were lost. */
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
   * Loses the next request that contains a string, or its answer, and breaks that connection. If the answer is lost,
   * the server has done the work.
   */
  loseNext(what: "request" | "answer", text: string): void {
    this.#wanted = { what, text };
  }

  /** Passes nothing on over the present connections, without closing them. New connections work. */
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
