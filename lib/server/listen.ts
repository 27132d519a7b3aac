/** Listening: opens the port or the socket that the settings name. Each error names the setting to change. */
import { dirname } from "node:path";
import type { Config } from "./config.ts";
import { reasonOf } from "../_reason.ts";

/** A port with its options, or the path of a Unix socket. */
export type Endpoint = (Deno.ServeTcpOptions & Partial<Deno.TlsCertifiedKeyPem>) | { readonly path: string };

/** A server that listens. */
export interface Listener {
  /** The port or socket. If the port was 0, this is the port that the system chose. */
  readonly endpoint: Endpoint;
  /** The address that is printed for the operator. */
  readonly address: string;
  /** Rejects when connections can no longer be accepted. Open connections stay open. */
  readonly finished: Promise<void>;
  /** Answers the requests under way, then closes every connection. */
  stop(): Promise<void>;
}

/** The mode of a socket: a proxy of the same group may connect. */
const SOCKET_MODE = 0o660;

/**
 * The port or socket that the settings name.
 *
 * @param config The settings.
 * @throws {Error} if a TLS file or the path of the socket cannot be used, or this system cannot share a port; the
 * message names the setting.
 */
export async function endpointOf({ host, port, reusePort, tls }: Config): Promise<Endpoint> {
  if ("path" in host) {
    await checkSocket(host.path);
    return host;
  }
  if (reusePort && Deno.build.os !== "linux") throw new Error('"REUSE_PORT" must be false except on Linux');
  const { hostname } = host;
  if (tls === undefined) return { hostname, port, reusePort };
  const cert = readPem("TLS_CERT_FILE", tls.certFile, "certificate");
  return { hostname, port, reusePort, cert, key: readPem("TLS_KEY_FILE", tls.keyFile, "private key") };
}

/**
 * Listens on a port or a socket.
 *
 * @param endpoint The port or the socket.
 * @param answer The function that answers a request. It must not throw.
 * @throws {Error} if the port or socket cannot be opened; the message names the setting.
 */
export function listen(endpoint: Endpoint, answer: (request: Request) => Promise<Response>): Listener {
  // Requests whose body may still be arriving. Deno 2.9 ends such requests as soon as the server shuts down
  // (denoland/deno#36809), so the shutdown waits for them.
  const arriving = new Set<Promise<Response>>();
  const handler = (request: Request) => {
    const response = answer(request);
    if (request.method !== "GET") {
      arriving.add(response);
      response.finally(() => arriving.delete(response));
    }
    return response;
  };
  const { server, removeSocket, ...opened } = "path" in endpoint
    ? listenOnSocket(endpoint.path, handler)
    : listenOnPort(endpoint, handler);
  const stop = async () => {
    removeSocket();
    while (arriving.size > 0) await Promise.allSettled(arriving);
    await server.shutdown().catch(() => {});
  };
  return { ...opened, finished: server.finished, stop };
}

type Handler = (request: Request) => Promise<Response>;

function listenOnPort(endpoint: Exclude<Endpoint, { path: string }>, handler: Handler) {
  try {
    const server = Deno.serve({ ...endpoint, onListen: () => {} }, handler);
    const { hostname, port } = server.addr;
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    const address = `${endpoint.cert === undefined ? "http" : "https"}://${host}:${port}/`;
    return { server, endpoint: { ...endpoint, port }, address, removeSocket: () => {} };
  } catch (error) {
    throw new Error(problemWith(endpoint, error));
  }
}

/** Makes a socket under another name and renames it. So it replaces a stale socket, and has its mode from the start. */
function listenOnSocket(path: string, handler: Handler) {
  const temporary = `${dirname(path)}/.${Deno.pid}.tmp`;
  try {
    const server = Deno.serve({ path: temporary, onListen: () => {} }, handler);
    Deno.chmodSync(temporary, SOCKET_MODE);
    Deno.renameSync(temporary, path);
    return { server, endpoint: { path }, address: `unix:${path}`, removeSocket: socketRemover(path) };
  } catch (error) {
    throw new Error(`"HOST" must be a socket that can be made: received "unix:${path}": ${reasonOf(error)}`);
  }
}

/** Makes the function that removes a new socket, unless another process has replaced the socket. */
function socketRemover(path: string): () => void {
  const { ino } = Deno.lstatSync(path);
  return () => {
    try {
      if (Deno.lstatSync(path).ino === ino) Deno.removeSync(path);
    } catch {
      // The socket was already removed, or it cannot be removed. In that case the next start replaces it.
    }
  };
}

/** Refuses the path of a socket on which another process listens, or of a file that is not a socket. */
async function checkSocket(path: string): Promise<void> {
  const must = '"HOST" must be an unused path, or the path of a socket on which no process listens';
  const stat = await Deno.lstat(path).catch(() => undefined);
  if (stat === undefined) return;
  if (!stat.isSocket) throw new Error(`${must}: "${path}" is not a socket`);
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return;
    throw new Error(`${must}: "${path}" cannot be checked: ${reasonOf(error)}`);
  }
  throw new Error(`${must}: a process listens on "${path}": stop it, or set "HOST" to another path`);
}

/** The error message for a port that cannot be opened. */
function problemWith({ hostname, port, cert, reusePort }: Exclude<Endpoint, { path: string }>, error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    const shared = reusePort ? ' (all processes that share a port must set "REUSE_PORT" and have the same user)' : "";
    return `"PORT" must be a free port: port ${port} of ${hostname} is in use${shared}: ` +
      'stop the program that uses it, or set "PORT" to another port';
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `"PORT" must be a port that this user may listen on: received "${port}": ports below 1024 need a special ` +
      "right (CAP_NET_BIND_SERVICE): set a higher port, and put a proxy before it if necessary";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `"HOST" and "PORT" must be an address that --allow-net allows: received "${hostname}" and "${port}": ${
      reasonOf(error)
    }`;
  }
  const reason = reasonOf(error);
  const isAddress = error instanceof Deno.errors.AddrNotAvailable || /lookup|address/i.test(reason);
  if (cert !== undefined && !isAddress) {
    if (/keys found/i.test(reason)) return `"TLS_KEY_FILE" must be a key that is not encrypted: ${reason}`;
    if (/certificate/i.test(reason)) return `"TLS_CERT_FILE" must be a certificate: ${reason}`;
    return `"TLS_CERT_FILE" and "TLS_KEY_FILE" must be a certificate and its key: ${reason}`;
  }
  return `"HOST" must be an address of this machine: cannot listen on ${hostname}, port ${port}: ${reason}: check "HOST"`;
}

function readPem(name: string, path: string, label: string): string {
  const needed = `"${name}" must be a file that can be read, with a PEM ${label} in it: received "${path}"`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new Error(`${needed}: ${reasonOf(error)}`);
  }
  if (!new RegExp(`^-----BEGIN [A-Z ]*${label}-----`, "im").test(text)) {
    throw new Error(`${needed}: it has no ${label}`);
  }
  return text;
}
