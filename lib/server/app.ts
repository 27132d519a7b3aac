/** The app: checks requests, finds their handlers, answers probes, and turns errors into responses. */
import { Answers } from "./answers.ts";
import { SessionError } from "../errors.ts";
import { HttpError } from "./http_error.ts";
import { type Log, silent } from "../log.ts";
import { type Handler, KEEPS_NOTHING, pageRoutes, type Routes, type Visitor } from "./pages.ts";
import { isCrossSite } from "../cross_site.ts";
import { hostsOf, isForHost, pathOf } from "./protection.ts";
import { placeOf } from "../_reason.ts";
import type { SessionManager } from "../session_manager.ts";
import type { SessionStore } from "../store.ts";
import { NullStore } from "../stores/null.ts";
import { Views } from "./views.ts";

/** The options of an app. */
export interface AppOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** The store of the sessions, which `/readyz` queries. */
  readonly store: SessionStore;
  /** The site's public address, or `undefined` to accept requests for any valid host. */
  readonly origin?: string | undefined;
  /** The path that the site is below, such as `/app`. The default is the empty string. */
  readonly basePath?: string | undefined;
  /** Whether `sessions` binds sessions to devices, with addresses below `BOUND_PATH`. The default is `false`. */
  readonly bound?: boolean | undefined;
  /** Whether the site is served over https. By default, the scheme of `origin` decides. */
  readonly https?: boolean | undefined;
  /** Called with each failure. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** Whether `log` is also called with each request. The default is `false`. */
  readonly logRequests?: boolean | undefined;
}

/** How long a client of `/readyz` should wait before the next query, in seconds. */
const RETRY_AFTER = "5";
/** How long the store may take to become ready, in milliseconds. */
const READY_DEADLINE = 3000;
/**
 * How long the store's answer is reused, in milliseconds. Every visitor can request `/readyz`, so it must cost little.
 */
const READY_KEPT = 1000;
/** Every method that at least one page accepts. */
const ALL_METHODS = "GET, HEAD, POST, OPTIONS";

/** The handlers of one path. */
interface Route {
  readonly handlers: ReadonlyMap<string, Handler>;
  /** The methods, as an `Allow` header. */
  readonly allow: string;
  /** A probe is for programs that monitor the server, so it answers requests for any host. */
  readonly kind: "page" | "probe";
}

/**
 * Makes the app: a function from request to response, for `Deno.serve`. It never throws.
 *
 * @param options The store, the sessions, and the options that differ from their defaults.
 */
export function createApp(options: AppOptions): (request: Request) => Promise<Response> {
  const { sessions, store, origin, basePath = "", bound = false, log = silent } = options;
  const hosts = origin === undefined ? undefined : hostsOf(origin);
  const answers = new Answers(options.https ?? origin?.startsWith("https:") ?? false, basePath);
  const views = new Views(basePath);
  const keepsNames = !(store instanceof NullStore);
  const pages = pageRoutes({ sessions, origin, basePath, answers, views, bound, keepsNames, explain });
  const probes: Routes = {
    "/healthz": { GET: () => answers.text("ok") },
    "/readyz": { GET: readiness(store, answers, () => sessions.now()) },
  };
  const routes = new Map([...routesOf("page", pages), ...routesOf("probe", probes)]);

  /** Finds the handler of a request. Throws an `HttpError` if the request has no handler, or must be refused. */
  function handlerOf(request: Request): Handler {
    const { method, url } = request;
    // CONNECT names a host and no path.
    if (method === "CONNECT") throw new HttpError(405, "This server is not a proxy.", { allow: ALL_METHODS });
    const fullPath = pathOf(url);
    const path = withoutBase(fullPath, basePath);
    const route = path === undefined ? undefined : routes.get(path);
    if (route?.kind !== "probe" && !isForHost(request, hosts)) {
      if (origin === undefined) log("warn", "A request was refused: it named no valid host");
      else log("warn", 'A request was refused: it did not name the host of "ORIGIN"', origin);
      throw new HttpError(400, "The request names a host that is not this site's.");
    }
    if (fullPath === basePath) return answers.toBase;
    if (method === "OPTIONS" && path === "/*") return () => optionsAnswer(ALL_METHODS);
    if (route === undefined) throw new HttpError(404, "This page does not exist.");
    if (method === "OPTIONS") return () => optionsAnswer(route.allow);
    const handler = route.handlers.get(method === "HEAD" ? "GET" : method);
    if (handler === undefined) {
      throw new HttpError(405, "This page does not accept this kind of request.", { allow: route.allow });
    }
    if (method === "POST" && isCrossSite(request, origin)) {
      log("warn", "A cross-site request was refused");
      throw new HttpError(403, "This request came from another site, so it was refused.");
    }
    return handler;
  }

  function optionsAnswer(allow: string): Response {
    return answers.response(null, 204, { allow });
  }

  /** Turns an error into a status and a message for the visitor. Logs an unexpected error. */
  async function explain(error: unknown): Promise<HttpError> {
    if (error instanceof HttpError) return error;
    if (error instanceof SessionError) {
      if (!keepsNames) return new HttpError(503, KEEPS_NOTHING);
      const response = error.getResponse();
      const retryAfter = response.headers.get("retry-after");
      const message = (await response.text()).trim();
      return new HttpError(response.status, message, retryAfter === null ? {} : { "retry-after": retryAfter });
    }
    log("error", "A request failed", placeOf(error));
    return new HttpError(500, "Something went wrong here. It was not your fault.");
  }

  // Each layer of promises costs a page about a microsecond, so the handlers open and save the session themselves.
  async function answer(request: Request): Promise<Response> {
    let response: Response;
    try {
      response = await handlerOf(request)(request);
    } catch (error) {
      const { status, message, headers } = await explain(error);
      response = answers.page(views.error({ status, message }), status, headers);
    }
    return request.method === "HEAD" ? await toHeadResponse(response) : response;
  }

  if (!options.logRequests) return answer;
  return async (request) => {
    const started = performance.now();
    const response = await answer(request);
    // The log names only paths and methods that exist, because visitors can invent others.
    const path = withoutBase(pathOf(request.url), basePath) ?? "";
    const method = ALL_METHODS.split(", ").includes(request.method) ? request.method : "another method";
    const took = (performance.now() - started).toFixed(1);
    const shownPath = routes.has(path) ? path : "another path";
    log("debug", "Answered", `${method} ${shownPath} ${response.status} in ${took} ms`);
    return response;
  };
}

/**
 * The path below the base path. A path that does not begin with the base path stays as it is, because a proxy has
 * already removed the base path.
 */
function withoutBase(path: string | undefined, basePath: string): string | undefined {
  return path?.startsWith(`${basePath}/`) ? path.slice(basePath.length) : path;
}

function routesOf(kind: Route["kind"], routes: Routes): [path: string, route: Route][] {
  return Object.entries(routes).map(([path, handlers]) => {
    const allow = Object.keys(handlers).flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]);
    return [path, { handlers: new Map(Object.entries(handlers)), allow: [...allow, "OPTIONS"].join(", "), kind }];
  });
}

/** Answers whether the store can be used. The store is queried at most once a second, even if many requests come. */
function readiness(store: SessionStore, answers: Answers, now: () => number): Handler {
  let query: Promise<boolean> | undefined;
  let answeredAt: number | undefined;
  return async () => {
    const age = answeredAt === undefined ? 0 : now() - answeredAt;
    // The age is negative if the clock was set back.
    if (query === undefined || age < 0 || age >= READY_KEPT) {
      answeredAt = undefined;
      query = isReady(store).finally(() => answeredAt = now());
    }
    if (await query) return answers.text("ok");
    return answers.text("The session store does not answer.\n", 503, { "retry-after": RETRY_AFTER });
  };
}

async function isReady(store: SessionStore): Promise<boolean> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("late")), READY_DEADLINE);
  try {
    await Promise.race([store.ready?.(), late.promise]);
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Turns a response to GET into a response to HEAD. The length stays, and the body goes: if it stayed too, Deno would
 * reset an HTTP/2 stream.
 */
async function toHeadResponse(response: Response): Promise<Response> {
  const { byteLength } = await response.arrayBuffer();
  const bare = new Response(null, response);
  bare.headers.set("content-length", String(byteLength));
  return bare;
}
