/** Serves: takes the port, answers requests, listens again after a failure, and ends in good order on a signal. */
import type { Config } from "./config.ts";
import type { Log } from "../log.ts";
import { securityHeaders } from "./protection.ts";
import { placeOf, reasonOf } from "../_reason.ts";

/** How long requests under way may take when the server stops, in milliseconds; then it stops without them. */
const STOP_DEADLINE = 4000;
/** A second signal this soon, in milliseconds, is the same Ctrl-C: terminals and task runners deliver it twice. */
const SAME_SIGNAL = 1000;
/** How long to wait before listening again after connections could not be accepted, in milliseconds. */
const LISTEN_AGAIN = 100;

/** The signals that end the server, and the exit code if a second one has to end it at once. */
const SIGNALS: readonly [Deno.Signal, number][] = Deno.build.os === "windows"
  ? [["SIGINT", 130]]
  : [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]];

type Options = Deno.ServeTcpOptions & Partial<Deno.TlsCertifiedKeyPem>;
type Handler = (request: Request) => Promise<Response>;

/** A server that listens. */
interface Listener {
  readonly addr: Deno.NetAddr;
  /** Rejects when connections cannot be accepted; what is open stays open. */
  readonly finished: Promise<void>;
  /** Answers what is under way and closes every connection. */
  stop(): Promise<void>;
}

/** A port that is taken: what comes to it waits until it is served. */
export class Port {
  readonly #options: Options;
  readonly #log: Log;
  readonly #handler = Promise.withResolvers<Handler>();
  readonly #draining = new Set<Promise<void>>();
  #answer: Handler = (request) => this.#handler.promise.then((handler) => handler(request));
  #listener: Listener;
  #isStopping = false;

  /**
   * Takes the port that the settings name.
   *
   * @param config The settings.
   * @param log Told when connections cannot be accepted.
   * @throws {Error} naming the setting, if it cannot be taken.
   */
  constructor(config: Config, log: Log) {
    const { hostname, port, reusePort } = config;
    if (reusePort && Deno.build.os !== "linux") throw new Error('"REUSE_PORT" must be false except on Linux');
    this.#options = { hostname, port, reusePort, ...readTls(config) };
    this.#log = log;
    this.#listener = this.#listen();
    // Every process takes the same one again, although it was free to choose.
    this.#options = { ...this.#options, port: this.#listener.addr.port };
  }

  /**
   * Answers requests until a signal ends the process.
   *
   * @param handler Answers a request; never throws.
   * @param close Called at the end, after the last answer.
   */
  serve(handler: Handler, close: () => Promise<void>): void {
    this.#handler.resolve(handler);
    this.#answer = handler;
    this.#watch();
    // The last net: what fails in the background must not end the process.
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.#log("error", "Something failed in the background", placeOf(event.reason));
    });
    let firstSignal = 0;
    for (const [signal, code] of SIGNALS) {
      Deno.addSignalListener(signal, () => {
        if (!this.#isStopping) {
          firstSignal = performance.now();
          void this.#stop(close);
        } else if (performance.now() - firstSignal >= SAME_SIGNAL) Deno.exit(code);
      });
    }
    // Said last, so that whoever waits for this line can be sure that a signal now stops the server in good order.
    const { hostname, port } = this.#listener.addr;
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    console.log(`Listening on ${this.#isTls ? "https" : "http"}://${host}:${port}/`);
  }

  get #isTls(): boolean {
    return this.#options.cert !== undefined;
  }

  async #stop(close: () => Promise<void>): Promise<void> {
    this.#isStopping = true;
    this.#answer = () => Promise.resolve(refusal(this.#isTls));
    setTimeout(() => Deno.exit(0), STOP_DEADLINE);
    await Promise.all([this.#listener.stop(), ...this.#draining]);
    await close().catch((error) => this.#log("error", "The session store did not close", reasonOf(error)));
    Deno.exit(0);
  }

  /** Listens again when connections could not be accepted for a while. */
  #watch(): void {
    const listener = this.#listener;
    void listener.finished.catch((error) => error).then((error) => {
      if (this.#isStopping) return;
      this.#log("error", "Connections cannot be accepted; trying again", reasonOf(error ?? "it ended"));
      // Requests under way there are answered; idle connections are let go, which frees their handles.
      const drained = listener.stop().finally(() => this.#draining.delete(drained));
      this.#draining.add(drained);
      setTimeout(() => this.#again(), LISTEN_AGAIN);
    });
  }

  #again(): void {
    if (this.#isStopping) return;
    try {
      this.#listener = this.#listen();
    } catch {
      setTimeout(() => this.#again(), LISTEN_AGAIN);
      return;
    }
    this.#watch();
  }

  #listen(): Listener {
    // Requests whose body may still be coming in. Deno 2.9 breaks those off as soon as the server shuts down
    // (denoland/deno#36809), so it is told to only when there are none.
    const arriving = new Set<Promise<Response>>();
    try {
      const server = Deno.serve({ ...this.#options, onListen: () => {} }, (request) => {
        const response = this.#answer(request);
        if (request.method !== "GET") {
          arriving.add(response);
          response.finally(() => arriving.delete(response));
        }
        return response;
      });
      const stop = async () => {
        while (arriving.size > 0) await Promise.allSettled(arriving);
        await server.shutdown().catch(() => {});
      };
      return { addr: server.addr, finished: server.finished, stop };
    } catch (error) {
      throw new Error(problemWith(this.#options, error));
    }
  }
}

/** What to say when a port cannot be taken. */
function problemWith({ hostname, port, cert, reusePort }: Options, error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    const shared = reusePort ? ' (with "REUSE_PORT", all that share it must set that, as the same user)' : "";
    return `"PORT" must be one that is free: port ${port} of ${hostname} is in use${shared}: ` +
      'stop what uses it, or set "PORT" to another';
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `"PORT" must be one that this user may listen on: received "${port}": ports below 1024 need a right of ` +
      "their own (CAP_NET_BIND_SERVICE), or a proxy in front";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `"HOST" and "PORT" must be what --allow-net allows: received "${hostname}" and "${port}": ${
      reasonOf(error)
    }`;
  }
  const isAddress = error instanceof Deno.errors.AddrNotAvailable || /lookup|address/i.test(reasonOf(error));
  if (cert !== undefined && !isAddress) {
    const reason = reasonOf(error);
    if (/keys found/i.test(reason)) return `"TLS_KEY_FILE" must be a key that is not encrypted: ${reason}`;
    if (/certificate/i.test(reason)) return `"TLS_CERT_FILE" must be a certificate: ${reason}`;
    return `"TLS_CERT_FILE" and "TLS_KEY_FILE" must be a certificate and its key: ${reason}`;
  }
  const reason = reasonOf(error);
  return `"HOST" must be an address of this machine: cannot listen on ${hostname}, port ${port}: ${reason}: check "HOST"`;
}

function readTls({ tls }: Config): Partial<Deno.TlsCertifiedKeyPem> {
  if (tls === undefined) return {};
  return {
    cert: readPem("TLS_CERT_FILE", tls.certFile, "certificate"),
    key: readPem("TLS_KEY_FILE", tls.keyFile, "private key"),
  };
}

function readPem(name: string, path: string, label: string): string {
  const needed = `"${name}" must be a file that can be read, with a PEM ${label} in it: received "${path}"`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new Error(`${needed}: ${reasonOf(error)}`);
  }
  if (!new RegExp(`^-----BEGIN [A-Z ]*${label}-----`, "im").test(text)) throw new Error(`${needed}: it has none`);
  return text;
}

/** What is answered to who still comes while the server waits for others' forms before it stops. */
function refusal(https: boolean): Response {
  return new Response("The server is stopping. Please try again in a moment.\n", {
    status: 503,
    headers: [
      ...securityHeaders(https),
      ["content-type", "text/plain; charset=utf-8"],
      ["cache-control", "no-store"],
      ["connection", "close"],
      ["retry-after", "1"],
    ],
  });
}
