/** Listens: opens the port or the socket that the settings name. Its errors say what is wrong. */
import { dirname } from "node:path";
import type { Config } from "./config.ts";
import { reasonOf } from "../_reason.ts";

/** A port or a socket, with what belongs to it. */
export type Place = (Deno.ServeTcpOptions & Partial<Deno.TlsCertifiedKeyPem>) | { readonly path: string };

/** A server that listens. */
export interface Listener {
  /** The place, with the port that was taken. */
  readonly place: Place;
  /** The address, as the operator knows it. */
  readonly address: string;
  /** Rejects when connections cannot be accepted; open ones stay open. */
  readonly finished: Promise<void>;
  /** Answers the requests under way and closes every connection. */
  stop(): Promise<void>;
}

/** The mode of a socket: a proxy of the same group may connect. */
const SOCKET_MODE = 0o660;

/**
 * The place that the settings name.
 *
 * @param config The settings.
 * @throws {Error} naming the setting, if a file of TLS cannot be read, or another process listens on the socket.
 */
export async function placeFor({ host, port, reusePort, tls }: Config): Promise<Place> {
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
 * Listens.
 *
 * @param place Where.
 * @param answer Answers a request; never throws.
 * @throws {Error} naming the setting, if the place cannot be taken.
 */
export function listen(place: Place, answer: (request: Request) => Promise<Response>): Listener {
  // Requests whose body may still be coming in. Deno 2.9 breaks those off as soon as the server shuts down
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
  const { server, remove, ...found } = "path" in place
    ? listenOnSocket(place.path, handler)
    : listenOnPort(place, handler);
  const stop = async () => {
    remove();
    while (arriving.size > 0) await Promise.allSettled(arriving);
    await server.shutdown().catch(() => {});
  };
  return { ...found, finished: server.finished, stop };
}

type Handler = (request: Request) => Promise<Response>;

function listenOnPort(place: Exclude<Place, { path: string }>, handler: Handler) {
  try {
    const server = Deno.serve({ ...place, onListen: () => {} }, handler);
    const { hostname, port } = server.addr;
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    const address = `${place.cert === undefined ? "http" : "https"}://${host}:${port}/`;
    return { server, place: { ...place, port }, address, remove: () => {} };
  } catch (error) {
    throw new Error(problemWith(place, error));
  }
}

/** Makes a socket beside the path and renames it, so that it replaces a stale one and has its mode from the start. */
function listenOnSocket(path: string, handler: Handler) {
  const beside = `${dirname(path)}/.${Deno.pid}.tmp`;
  try {
    const server = Deno.serve({ path: beside, onListen: () => {} }, handler);
    Deno.chmodSync(beside, SOCKET_MODE);
    Deno.renameSync(beside, path);
    return { server, place: { path }, address: `unix:${path}`, remove: remover(path) };
  } catch (error) {
    throw new Error(`"HOST" must be a socket that can be made: received "unix:${path}": ${reasonOf(error)}`);
  }
}

/** Removes a socket that was just made, unless it was replaced. */
function remover(path: string): () => void {
  const { ino } = Deno.lstatSync(path);
  return () => {
    try {
      if (Deno.lstatSync(path).ino === ino) Deno.removeSync(path);
    } catch {
      // The socket is gone already, or it stays and is stale.
    }
  };
}

/** Refuses a path where another process listens, or where there is a file that is no socket. */
async function checkSocket(path: string): Promise<void> {
  const must = '"HOST" must be a path that is free, or that of a socket on which no process listens';
  const stat = await Deno.lstat(path).catch(() => undefined);
  if (stat === undefined) return;
  if (!stat.isSocket) throw new Error(`${must}: "${path}" is no socket`);
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return;
    throw new Error(`${must}: "${path}" cannot be tried: ${reasonOf(error)}`);
  }
  throw new Error(`${must}: a process listens on "${path}": stop it, or set "HOST" to another path`);
}

/** What to say when a port cannot be taken. */
function problemWith({ hostname, port, cert, reusePort }: Exclude<Place, { path: string }>, error: unknown): string {
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
  if (!new RegExp(`^-----BEGIN [A-Z ]*${label}-----`, "im").test(text)) throw new Error(`${needed}: it has none`);
  return text;
}
