/** Starts the server: settings, store, sessions, app, Deno.serve, and what the signals do. */
import { createApp } from "./lib/server/app.ts";
import { type Config, type Environment, readConfig, SETTINGS } from "./lib/server/config.ts";
import { createLog, type Log } from "./lib/log.ts";
import type { Visitor } from "./lib/server/pages.ts";
import { securityHeaders } from "./lib/server/protection.ts";
import { readSecretKey } from "./lib/server/secret_key.ts";
import { SessionManager } from "./lib/session_manager.ts";
import { MIN_KEY_BYTES } from "./lib/signer.ts";
import { openStore } from "./lib/server/open_store.ts";

/** How long requests under way may take when the server stops, in milliseconds; then it stops without them. */
const STOP_DEADLINE = 4000;
/** A second signal this soon, in milliseconds, is the same Ctrl-C: terminals and task runners deliver it twice. */
const SAME_SIGNAL = 1000;
/** How long to wait before listening again after connections could not be accepted, in milliseconds. */
const LISTEN_AGAIN = 100;

type Serve = Deno.ServeTcpOptions & Partial<Deno.TlsCertifiedKeyPem>;
type Handler = (request: Request) => Promise<Response>;

/** A server that listens. */
interface Listener {
  readonly addr: Deno.NetAddr;
  /** Rejects when connections cannot be accepted; what is open stays open. */
  readonly finished: Promise<void>;
  /** Answers what is under way and closes every connection. */
  stop(): Promise<void>;
}

async function start(): Promise<void> {
  const env: Environment = {};
  for (const name of SETTINGS) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  const config = readConfig(env);
  const log = createLog(config.logLevel);
  const tls = readTls(config);
  const store = await openStore(config, log).catch((error) => {
    throw new Error(`the session store does not work: ${error.message}`);
  });
  const sessions = new SessionManager<Visitor>({ ...config, store, keys: readKeys(config), log });
  const { origin, https } = config;
  const { hostname, port } = config;
  serve(
    { hostname, port, ...tls },
    createApp({ sessions, store, origin, https, log, logRequests: config.logLevel === "debug" }),
    sessions,
    log,
  );
}

function readKeys(config: Config): string[] {
  if (config.secretKey !== undefined) return [config.secretKey, ...config.fallbackKeys];
  try {
    Deno.mkdirSync(config.dir, { recursive: true, mode: 0o700 });
    const { key, path, isNew } = readSecretKey(config.dir);
    if (key.length < MIN_KEY_BYTES) {
      throw new Error(`"${path}" must hold at least ${MIN_KEY_BYTES} bytes, received ${key.length}: remove it`);
    }
    if (isNew) console.error(`"SECRET_KEY" is not set: made a key, kept in ${path}`);
    return [key, ...config.fallbackKeys];
  } catch (error) {
    throw new Error(`"SECRET_KEY" is not set, and no key can be kept in "SESSION_FILE_DIR": ${reason(error)}`);
  }
}

function readTls({ tls }: Config): Partial<Deno.TlsCertifiedKeyPem> {
  if (tls === undefined) return {};
  const read = (name: string, path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      throw new Error(`"${name}" must be a file that can be read: ${reason(error)}`);
    }
  };
  return { cert: read("TLS_CERT_FILE", tls.certFile), key: read("TLS_KEY_FILE", tls.keyFile) };
}

/** Serves until a signal ends it; serves again when connections could not be accepted for a while. */
function serve(options: Serve, handler: Handler, sessions: SessionManager<Visitor>, log: Log): void {
  let stopping = false;
  const answer: Handler = (request) =>
    stopping ? Promise.resolve(refusal(options.cert !== undefined)) : handler(request);
  let server = listen(options, answer);
  const { hostname, port } = server.addr;
  const again = { ...options, port };
  const draining = new Set<Promise<void>>();

  const watch = () =>
    void server.finished.catch((error) => error).then((error) => {
      if (stopping) return;
      log("error", "Connections cannot be accepted; trying again", reason(error));
      // Requests under way there are answered; idle connections are let go, which frees their handles.
      const drained = server.stop().finally(() => draining.delete(drained));
      draining.add(drained);
      const retry = () => {
        if (stopping) return;
        try {
          server = listen(again, answer);
          watch();
        } catch {
          setTimeout(retry, LISTEN_AGAIN);
        }
      };
      setTimeout(retry, LISTEN_AGAIN);
    });
  watch();

  // The last net: what fails in the background must not end the process.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log("error", "Something failed in the background", reason(event.reason));
  });

  let firstSignal = 0;
  const stop = (code: number) => async () => {
    if (stopping) {
      if (performance.now() - firstSignal >= SAME_SIGNAL) Deno.exit(code);
      return;
    }
    stopping = true;
    firstSignal = performance.now();
    setTimeout(() => Deno.exit(0), STOP_DEADLINE);
    await Promise.all([server.stop(), ...draining]);
    await sessions.close().catch((error) => log("error", "The session store did not close", reason(error)));
    Deno.exit(0);
  };
  Deno.addSignalListener("SIGINT", stop(130));
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", stop(143));

  // Said last, so that whoever waits for this line can be sure that a signal now stops the server in good order.
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  console.log(`Listening on ${options.cert === undefined ? "http" : "https"}://${host}:${port}/`);
}

function listen(options: Serve, handler: Handler): Listener {
  // Requests whose body may still be coming in. Deno 2.9 breaks those off as soon as the server shuts down
  // (denoland/deno#36809), so it is told to only when there are none.
  const arriving = new Set<Promise<Response>>();
  try {
    const server = Deno.serve({ ...options, onListen: () => {} }, (request) => {
      const response = handler(request);
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
    const { hostname, port } = options;
    if (error instanceof Deno.errors.AddrInUse) {
      throw new Error(`port ${port} of ${hostname} is in use: stop what uses it, or set "PORT" to another`);
    }
    const about = options.cert === undefined ? "" : ', or "TLS_CERT_FILE" and "TLS_KEY_FILE"';
    throw new Error(`cannot listen on ${hostname}, port ${port}: ${reason(error)}: check "HOST" and "PORT"${about}`);
  }
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

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error ?? "it ended");
}

try {
  await start();
} catch (error) {
  console.error(`Cannot start: ${reason(error).replace(/\s+/g, " ")}`);
  Deno.exit(1);
}
