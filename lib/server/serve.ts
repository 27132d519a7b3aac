/** Serves: answers requests, listens again after a failure, and ends in good order on a signal. */
import type { Log } from "../log.ts";
import { listen, type Listener, type Place } from "./listen.ts";
import { securityHeaders } from "./protection.ts";
import { placeOf, reasonOf } from "../_reason.ts";

/** How long requests under way may take when the server stops, in milliseconds; then it stops without them. */
const STOP_DEADLINE = 4000;
/** A second signal this soon, in milliseconds, is the same Ctrl-C: terminals and task runners deliver it twice. */
const SAME_SIGNAL = 1000;
/** How long to wait before listening again after connections could not be accepted, in milliseconds. */
const LISTEN_AGAIN = 100;

/** The signals that end the server, and the exit code if a second one has to end it immediately. */
const SIGNALS: readonly [Deno.Signal, number][] = Deno.build.os === "windows"
  ? [["SIGINT", 130]]
  : [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]];

type Handler = (request: Request) => Promise<Response>;

/** A place that is taken. Requests that come before it is served wait. */
export class Server {
  readonly #log: Log;
  readonly #isTls: boolean;
  readonly #handler = Promise.withResolvers<Handler>();
  readonly #draining = new Set<Promise<void>>();
  #answer: Handler = (request) => this.#handler.promise.then((handler) => handler(request));
  #listener: Listener;
  #isStopping = false;

  /**
   * Takes a port or a socket.
   *
   * @param place Where.
   * @param log Called when connections cannot be accepted.
   * @throws {Error} naming the setting, if the place cannot be taken.
   */
  constructor(place: Place, log: Log) {
    this.#log = log;
    this.#isTls = "cert" in place;
    this.#listener = this.#listen(place);
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
    // A failure in the background must not end the process.
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
    // This line comes last: from here on, a signal stops the server in good order.
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

  /** Listens again when connections could not be accepted for a while. */
  #watch(): void {
    const listener = this.#listener;
    void listener.finished.catch((error) => error).then((error) => {
      if (this.#isStopping) return;
      this.#log("error", "Connections cannot be accepted; trying again", reasonOf(error ?? "it ended"));
      // Requests under way there are answered. Idle connections are closed, which frees their handles.
      const drained = listener.stop().finally(() => this.#draining.delete(drained));
      this.#draining.add(drained);
      setTimeout(() => this.#again(), LISTEN_AGAIN);
    });
  }

  #again(): void {
    if (this.#isStopping) return;
    try {
      // The process takes the same port again, even if `PORT` is 0.
      this.#listener = this.#listen(this.#listener.place);
    } catch {
      setTimeout(() => this.#again(), LISTEN_AGAIN);
      return;
    }
    this.#watch();
  }

  #listen(place: Place): Listener {
    return listen(place, (request) => this.#answer(request));
  }
}

/** The response to requests that arrive while the server waits for the forms under way before it stops. */
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
