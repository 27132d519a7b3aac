/** Server: answers requests, and listens again after a failure. After a signal it finishes the requests under way. */
import type { Log } from "../log.ts";
import { type Endpoint, listen, type Listener } from "./listen.ts";
import { securityHeaders } from "./protection.ts";
import { placeOf, reasonOf } from "../_reason.ts";

/** How long the server waits for the requests under way when it stops, in milliseconds. */
const STOP_DEADLINE = 4000;
/**
 * A second signal within this time, in milliseconds, is the same Ctrl-C. Terminals and task runners deliver it twice.
 */
const SAME_SIGNAL = 1000;
/** How long to wait before listening again after connections could not be accepted, in milliseconds. */
const LISTEN_AGAIN = 100;

/** The signals that end the server, and the exit code if a second signal ends it immediately. */
const SIGNALS: readonly [Deno.Signal, number][] = Deno.build.os === "windows"
  ? [["SIGINT", 130]]
  : [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]];

type Handler = (request: Request) => Promise<Response>;

/** A server. It listens from the start, but requests wait until `serve` is called with their handler. */
export class Server {
  readonly #log: Log;
  readonly #isTls: boolean;
  readonly #handler = Promise.withResolvers<Handler>();
  readonly #draining = new Set<Promise<void>>();
  #answer: Handler = (request) => this.#handler.promise.then((handler) => handler(request));
  #listener: Listener;
  #isStopping = false;

  /**
   * Listens on a port or a socket.
   *
   * @param endpoint The port or the socket.
   * @param log Called with each failure.
   * @throws {Error} if the port or socket cannot be opened; the message names the setting.
   */
  constructor(endpoint: Endpoint, log: Log) {
    this.#log = log;
    this.#isTls = "cert" in endpoint;
    this.#listener = this.#listen(endpoint);
  }

  /**
   * Answers requests until a signal ends the process.
   *
   * @param handler The function that answers a request. It must not throw.
   * @param close Called at the end, after the last answer.
   */
  serve(handler: Handler, close: () => Promise<void>): void {
    this.#handler.resolve(handler);
    this.#answer = handler;
    this.#listenAgainAfterFailure();
    // A failure in the background must not end the process.
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.#log("error", "Something failed in the background", placeOf(event.reason));
    });
    let firstSignal: number | undefined;
    for (const [signal, code] of SIGNALS) {
      Deno.addSignalListener(signal, () => {
        if (firstSignal === undefined) {
          firstSignal = performance.now();
          void this.#stop(close);
        } else if (performance.now() - firstSignal >= SAME_SIGNAL) Deno.exit(code);
      });
    }
    // This line comes last, so that the server handles every signal that is sent after it.
    console.log(`Listening on ${this.#listener.address}`);
  }

  async #stop(close: () => Promise<void>): Promise<void> {
    this.#isStopping = true;
    this.#answer = () => Promise.resolve(refusal(this.#isTls));
    setTimeout(() => Deno.exit(0), STOP_DEADLINE);
    await Promise.all([this.#listener.stop(), ...this.#draining]);
    await close().catch((error) => this.#log("error", "The session store did not close", reasonOf(error)));
    Deno.exit(0);
  }

  /** Waits for a failure to accept connections, then listens again. */
  #listenAgainAfterFailure(): void {
    const listener = this.#listener;
    void listener.finished.catch((error) => error).then((error) => {
      if (this.#isStopping) return;
      this.#log("error", "Connections cannot be accepted; trying again", reasonOf(error ?? "the listener ended"));
      // The old listener answers its requests under way. It closes idle connections, which frees their file handles.
      const drained = listener.stop().finally(() => this.#draining.delete(drained));
      this.#draining.add(drained);
      setTimeout(() => this.#listenAgain(), LISTEN_AGAIN);
    });
  }

  #listenAgain(): void {
    if (this.#isStopping) return;
    try {
      // The port stays the same, even if `PORT` is 0.
      this.#listener = this.#listen(this.#listener.endpoint);
    } catch {
      setTimeout(() => this.#listenAgain(), LISTEN_AGAIN);
      return;
    }
    this.#listenAgainAfterFailure();
  }

  #listen(endpoint: Endpoint): Listener {
    return listen(endpoint, (request) => this.#answer(request));
  }
}

/** The response to requests that arrive while the server is stopping. */
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
