/** The app: the route table, the order in which a request is checked, and the one place where errors become answers. */
import { type Answer, HOME, HttpError, PAGE } from "./form.ts";
import { type Log, silent } from "../log.ts";
import { add, addForm, type Handler, home, remove, type Visitor } from "./pages.ts";
import { hostsOf, isCrossSite, pathOf, securityHeaders } from "./protection.ts";
import type { Session } from "../session.ts";
import { SessionGoneError, type SessionManager, SessionStoreError } from "../session_manager.ts";
import { StoreFullError } from "../store.ts";
import { renderError, styleSheet } from "./views.ts";

/** What the app is made of. */
export interface AppOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** The site's public address, or `undefined` if it goes by whatever valid host a request names. */
  readonly origin?: string | undefined;
  /** Whether the site is served over https: as `origin` says unless given. */
  readonly https?: boolean | undefined;
  /** Told of what fails; says nothing unless given. */
  readonly log?: Log;
}

/** Seconds after which to ask again, when a session could not be stored. */
const RETRY_AFTER = "5";

/** The methods that some page takes. */
const ALL_METHODS = "GET, HEAD, POST, OPTIONS";

/**
 * Makes the app: a function from request to answer, for `Deno.serve`. It never throws.
 *
 * @param options What it is made of.
 */
export function createApp(options: AppOptions): (request: Request) => Promise<Response> {
  const { sessions, origin, log = silent } = options;
  const hosts = origin === undefined ? undefined : hostsOf(origin);
  const security = securityHeaders(options.https ?? origin?.startsWith("https:") ?? false);
  // What a `Headers` holds was checked when it was made; a list is checked whenever it is used.
  const prepared = new Map([PAGE, HOME].map((own) => [own, new Headers([...Object.entries(own), ...security])]));

  const routes: Record<string, Record<string, Handler>> = {
    "/": { GET: home(sessions) },
    "/add": { GET: addForm, POST: add },
    "/remove": { GET: remove(origin), POST: remove(origin) },
    "/style.css": { GET: serveStyleSheet },
    "/healthz": { GET: sayOk },
  };
  const table = new Map(
    Object.entries(routes).map(([path, handlers]) => {
      const allow = Object.keys(handlers).flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]);
      return [path, { handlers: new Map(Object.entries(handlers)), allow: [...allow, "OPTIONS"].join(", ") }] as const;
    }),
  );

  async function handle(request: Request): Promise<Response> {
    const { method } = request;
    // CONNECT names a host and no path.
    if (method === "CONNECT") throw new HttpError(405, "This is no proxy.", { allow: ALL_METHODS });
    const path = pathOf(request, hosts);
    if (path === undefined) {
      log("warn", "A request was refused: it named a host that this site does not go by");
      throw new HttpError(400, "The request names a host that this site does not go by.");
    }
    if (method === "OPTIONS" && path === "/*") return respond(optionsAnswer(ALL_METHODS));
    const route = table.get(path);
    if (route === undefined) throw new HttpError(404, "There is no such page.");
    if (method === "OPTIONS") return respond(optionsAnswer(route.allow));
    const handler = route.handlers.get(method === "HEAD" ? "GET" : method);
    if (handler === undefined) {
      throw new HttpError(405, "This page does not take such a request.", { allow: route.allow });
    }
    if (method === "POST" && isCrossSite(request, origin)) {
      log("warn", "A cross-site request was refused");
      throw new HttpError(403, "This request came from another site, so it was refused.");
    }
    let opened: Promise<Session<Visitor>> | undefined;
    const answer = await handler(request, () => opened ??= sessions.open(request));
    return respond(answer, opened && await sessions.save(await opened));
  }

  function respond({ status, body, headers }: Answer, cookie?: string): Response {
    const all = prepared.get(headers) ?? [...Object.entries(headers), ...security];
    const response = new Response(body, { status, headers: all });
    if (cookie !== undefined) response.headers.append("set-cookie", cookie);
    return response;
  }

  return async (request) => {
    let response: Response;
    try {
      response = await handle(request);
    } catch (error) {
      response = respond(errorPage(toHttpError(error, log)));
    }
    return request.method === "HEAD" ? await withoutBody(response) : response;
  };
}

function sayOk(): Answer {
  return {
    status: 200,
    body: "ok",
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
  };
}

function serveStyleSheet(): Answer {
  const headers = { "content-type": "text/css; charset=utf-8", "cache-control": "public, max-age=31536000, immutable" };
  return { status: 200, body: styleSheet, headers };
}

/** The answer to HEAD, with the length that GET's has. With the body left in, Deno breaks off an HTTP/2 stream. */
async function withoutBody(response: Response): Promise<Response> {
  const { byteLength } = await response.arrayBuffer();
  const bare = new Response(null, response);
  bare.headers.set("content-length", String(byteLength));
  return bare;
}

function optionsAnswer(allow: string): Answer {
  return { status: 204, body: null, headers: { allow } };
}

function toHttpError(error: unknown, log: Log): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof StoreFullError || error instanceof SessionStoreError) {
    const message = "Your session could not be stored just now. Nothing was changed. Please try again in a moment.";
    return new HttpError(503, message, { "retry-after": RETRY_AFTER });
  }
  if (error instanceof SessionGoneError) {
    return new HttpError(409, "You were logged out while this was under way. Nothing was stored.");
  }
  log("error", "A request failed", error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  return new HttpError(500, "Something went wrong here. It was not your fault.");
}

function errorPage({ status, message, headers }: HttpError): Answer {
  return { status, body: renderError({ status, message }), headers: { ...PAGE, ...headers } };
}
