/** The app: the order in which a request is checked, the routes of programs, and the one place where errors become answers. */
import { Answers } from "./answers.ts";
import { SessionGoneError, SessionStoreError, StoreFullError } from "../errors.ts";
import { HttpError } from "./http_error.ts";
import { type Log, silent } from "../log.ts";
import { type Handler, pageRoutes, type Routes, type Visitor } from "./pages.ts";
import { isCrossSite } from "../cross_site.ts";
import { hostsOf, isForHost, pathOf } from "./protection.ts";
import { placeOf } from "../_reason.ts";
import type { Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";
import type { SessionStore } from "../store.ts";
import { renderError } from "./views.ts";

/** The options of an app. */
export interface AppOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** Where they are kept: `/readyz` asks it. */
  readonly store: SessionStore;
  /** The site's public address, or `undefined` if it goes by whatever valid host a request names. */
  readonly origin?: string | undefined;
  /** Whether the site is served over https: as `origin` says unless given. */
  readonly https?: boolean | undefined;
  /** Told of what fails. Without it, nothing is logged. */
  readonly log?: Log | undefined;
  /** Whether `log` is told of every request: `false` unless given. */
  readonly logRequests?: boolean | undefined;
}

/** Seconds after which to ask again, when a session could not be read or stored. */
const RETRY_AFTER = "5";
/** How long the store may take to say that it is ready, in milliseconds. */
const READY_DEADLINE = 3000;
/** How long that answer is kept, in milliseconds: anyone can send the request. */
const READY_KEPT = 1000;
/** The methods that some page takes. */
const ALL_METHODS = "GET, HEAD, POST, OPTIONS";

const GONE = "Your session changed while this was under way. Nothing was stored. Please try again.";

/** What stands under one path. */
interface Route {
  readonly handlers: ReadonlyMap<string, Handler>;
  /** The methods, as an `Allow` header. */
  readonly allow: string;
  /** Whether it is for whoever watches over the server, and so answers whatever host is named. */
  readonly isProbe: boolean;
}

/**
 * Makes the app: a function from request to answer, for `Deno.serve`. It never throws.
 *
 * @param options Its store, its sessions, and what differs from the defaults.
 */
export function createApp(options: AppOptions): (request: Request) => Promise<Response> {
  const { sessions, store, origin, log = silent } = options;
  const hosts = origin === undefined ? undefined : hostsOf(origin);
  const answers = new Answers(options.https ?? origin?.startsWith("https:") ?? false);
  const probes: Routes = {
    "/healthz": { GET: () => answers.text("ok") },
    "/readyz": { GET: readiness(store, answers, () => sessions.now()) },
  };
  const look = (request: Request) => sessions.open(request).catch(sayUnreadable);
  const routes = new Map([...table(pageRoutes({ sessions, origin, answers, look })), ...table(probes, true)]);

  /**
   * What `sessions.wrap` does, without the copy of the answer. By the front door a visitor's page takes 31 µs of the
   * processor instead of 22, and a stranger's 20 instead of 14: a copy is not sent on Deno's fastest way.
   */
  async function respond(request: Request, handler: Handler): Promise<Response> {
    let opened: Promise<Session<Visitor>> | undefined;
    const answer = await handler(request, () => opened ??= look(request));
    return opened === undefined ? answer : answers.withCookies(answer, await sessions.save(await opened));
  }

  async function handle(request: Request): Promise<Response> {
    const { method, url } = request;
    // CONNECT names a host and no path.
    if (method === "CONNECT") throw new HttpError(405, "This is no proxy.", { allow: ALL_METHODS });
    const path = pathOf(url);
    const route = path === undefined ? undefined : routes.get(path);
    if (route?.isProbe !== true && !isForHost(request, hosts)) {
      if (origin === undefined) log("warn", "A request was refused: it named no valid host");
      else log("warn", 'A request was refused: it named another host than "ORIGIN" does', origin);
      throw new HttpError(400, "The request names a host that this site does not go by.");
    }
    if (method === "OPTIONS" && path === "/*") return optionsAnswer(ALL_METHODS);
    if (route === undefined) throw new HttpError(404, "There is no such page.");
    if (method === "OPTIONS") return optionsAnswer(route.allow);
    const handler = route.handlers.get(method === "HEAD" ? "GET" : method);
    if (handler === undefined) {
      throw new HttpError(405, "This page does not take such a request.", { allow: route.allow });
    }
    if (method === "POST" && isCrossSite(request, origin)) {
      log("warn", "A cross-site request was refused");
      throw new HttpError(403, "This request came from another site, so it was refused.");
    }
    return await respond(request, handler);
  }

  function optionsAnswer(allow: string): Response {
    return answers.other(null, 204, { allow });
  }

  function errorPage({ status, message, headers }: HttpError): Response {
    return answers.page(renderError({ status, message }), status, headers);
  }

  async function answer(request: Request): Promise<Response> {
    let response: Response;
    try {
      response = await handle(request);
    } catch (error) {
      response = errorPage(toHttpError(error, log));
    }
    return request.method === "HEAD" ? await withoutBody(response) : response;
  }

  if (!options.logRequests) return answer;
  return async (request) => {
    const started = performance.now();
    const response = await answer(request);
    // Nothing that a visitor made up: neither another path nor another method than those there are.
    const path = pathOf(request.url) ?? "";
    const method = ALL_METHODS.split(", ").includes(request.method) ? request.method : "another method";
    const took = (performance.now() - started).toFixed(1);
    const where = routes.has(path) ? path : "another path";
    log("debug", "Answered", `${method} ${where} ${response.status} in ${took} ms`);
    return response;
  };
}

function table(routes: Routes, isProbe: boolean = false): [path: string, route: Route][] {
  return Object.entries(routes).map(([path, handlers]) => {
    const allow = Object.keys(handlers).flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]);
    return [path, { handlers: new Map(Object.entries(handlers)), allow: [...allow, "OPTIONS"].join(", "), isProbe }];
  });
}

/** Says whether the store can be used. It is queried at most once a second, whatever the number of requests. */
function readiness(store: SessionStore, answers: Answers, now: () => number): Handler {
  let query: Promise<boolean> | undefined;
  let answeredAt: number | undefined;
  return async () => {
    const age = answeredAt === undefined ? 0 : now() - answeredAt;
    // A negative age: the clock was set back.
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

/** The answer to HEAD, with the length that GET's has. With the body left in, Deno breaks off an HTTP/2 stream. */
async function withoutBody(response: Response): Promise<Response> {
  const { byteLength } = await response.arrayBuffer();
  const bare = new Response(null, response);
  bare.headers.set("content-length", String(byteLength));
  return bare;
}

function toHttpError(error: unknown, log: Log): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof SessionGoneError) return new HttpError(409, GONE);
  if (error instanceof StoreFullError || error instanceof SessionStoreError) return unavailable("stored");
  log("error", "A request failed", placeOf(error));
  return new HttpError(500, "Something went wrong here. It was not your fault.");
}

function unavailable(done: "read" | "stored"): HttpError {
  const message = `Your session could not be ${done} just now. Please try again in a moment.`;
  return new HttpError(503, message, { "retry-after": RETRY_AFTER });
}

function sayUnreadable(error: unknown): never {
  throw error instanceof SessionStoreError ? unavailable("read") : error;
}
