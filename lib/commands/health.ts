/** `health`: queries the server that the settings describe, to find out whether it is ready. */
import { get as getHttp, type IncomingMessage } from "node:http";
import { get as getHttps } from "node:https";
import { type Config, loadConfig } from "../server/config.ts";

/** How long the answer may take, in milliseconds. The server gives its store 3 seconds. */
const DEADLINE = 5000;

/**
 * Queries `/readyz` of the server.
 *
 * @throws {Error} if the server does not answer, or is not ready.
 */
export async function checkHealth(): Promise<void> {
  const { config } = loadConfig();
  const status = await statusOf(config);
  if (status !== 200) throw new Error(`the server answered ${status} to ${config.basePath}/readyz`);
}

function statusOf({ host, port, tls, basePath }: Config): Promise<number | undefined> {
  if ("hostname" in host && port === 0) throw new Error('"PORT" must be the port of a server: received "0"');
  const place = "path" in host ? { socketPath: host.path } : { host: reachable(host.hostname), port };
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const answered = (response: IncomingMessage) => {
    response.resume();
    resolve(response.statusCode);
  };
  const options = { ...place, path: `${basePath}/readyz`, agent: false, timeout: DEADLINE };
  // The certificate is for the name that visitors use, so it is not verified. The request sends no secret.
  const request = tls === undefined
    ? getHttp(options, answered)
    : getHttps({ ...options, rejectUnauthorized: false }, answered);
  const where = "path" in host ? `unix:${host.path}` : `${reachable(host.hostname)}, port ${port}`;
  request.on("error", ({ message }) => reject(new Error(`no server answers on ${where}: ${message}`)));
  request.on("timeout", () => request.destroy(new Error(`no answer came within ${DEADLINE / 1000} seconds`)));
  return promise.finally(() => request.destroy());
}

/** The address to connect to. For a server that listens on all addresses, it is the loopback address. */
function reachable(hostname: string): string {
  if (hostname === "0.0.0.0") return "127.0.0.1";
  return hostname === "::" ? "::1" : hostname;
}
