/** Pages: the handlers of the three pages. */
import type { Answers } from "./answers.ts";
import { readForm } from "./form.ts";
import { isCrossSite } from "../cross_site.ts";
import type { HttpError } from "./http_error.ts";
import { hostOf, isPrefetch, pathOf } from "./protection.ts";
import type { SessionManager } from "../session_manager.ts";
import { type Alert, icon, styleSheet, type Views } from "./views.ts";

/** The data of a visitor's session. */
export interface Visitor {
  /** The registered name. */
  user: string;
  /** The message to a registered visitor. */
  greet: string;
  /** The message after the name was removed. */
  notify: string;
}

/** A function that answers a request whose host was checked. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** Handlers by path and method. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

/** The options of the pages. */
export interface PageOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** The site's public address, if it is known. */
  readonly origin: string | undefined;
  /** The path that the site is below, such as `/app`, or the empty string. */
  readonly basePath: string;
  /** Makes the responses. */
  readonly answers: Answers;
  /** Renders the pages. */
  readonly views: Views;
  /** Whether sessions are bound to devices. Browsers then request the two addresses below `BOUND_PATH`. */
  readonly bound: boolean;
  /** Whether the store keeps names. The null store does not. */
  readonly keepsNames: boolean;
  /** Turns an error into a status and a message for the visitor. */
  readonly explain: (error: unknown) => Promise<HttpError>;
}

/** The path of the two addresses that bind sessions to devices. It is below the base path. */
export const BOUND_PATH = "/bound";

/** The longest name that is accepted, in characters (code points). */
const MAX_NAME_LENGTH = 64;

/**
 * The longest input that is normalized, in UTF-16 units. It has room for 64 characters of up to four parts each
 * (Unicode, normalization form D) and for spaces around them. Normalizing takes more than linear time, so the length is
 * checked first.
 */
const MAX_TYPED_LENGTH = 1024;

/** The hint below the field, which tells the visitor what a name must be. */
const HINT = `Up to ${MAX_NAME_LENGTH} characters.`;

/** The message of a server with the null store. */
export const KEEPS_NOTHING = "This server keeps no names, because SESSION_TYPE is null.";

/** The end of the home page's address after the page renewed itself. */
const ENDED = "/?ended";
/** The end of the home page's address after the visitor chose "Keep my name". */
const KEEP = "/?keep";

/** The longest time until a page renews itself, in seconds. The timers of browsers take at most 24 days. */
const MAX_WAIT = 86_400;

/**
 * Makes the routes for visitors.
 *
 * @param options The options.
 */
export function pageRoutes(options: PageOptions): Routes {
  const { sessions, origin, basePath, answers, views, bound, keepsNames, explain } = options;
  const invitation = keepsNames ? "This page would like to know what to call you." : KEEPS_NOTHING;
  const hint = keepsNames ? HINT : `${HINT} ${KEEPS_NOTHING}`;

  /** Whether the visitor wanted this GET. Another site may have caused it, or the browser may fetch it in advance. */
  const isWanted = (request: Request) =>
    request.method === "GET" && !isPrefetch(request) && !isCrossSite(request, origin);

  /** Greets the visitor by name, or asks to register. */
  const home: Handler = async (request) => {
    const session = await sessions.open(request);
    const { url } = request;
    // A page that renews itself does not count as a use of the session: two such pages would keep it alive forever. The
    // server cannot tell a reload by the visitor from a renewal (Firefox sends "Sec-Fetch-User" with both). So the page
    // has a link to keep the name.
    const isRenewal = url.endsWith(ENDED);
    const user = session.get("user");
    let page: Response;
    if (user === undefined) {
      const notify = session.get("notify");
      const alert = notify === undefined ? alertFor(request, basePath) : doneAlert(notify);
      page = answers.page(views.home({ alert, invitation }));
    } else {
      // A change extends the session even if SESSION_REFRESH_EACH_REQUEST is false.
      if (url.endsWith(KEEP) && isWanted(request)) session.set("user", user);
      const now = sessions.now();
      const { storedExpires, expires, deadline } = sessions.endTimes(session);
      const idle = (isRenewal ? storedExpires ?? expires : expires) - now;
      const atMost = deadline - now;
      const greet = session.get("greet");
      const html = views.home({
        user,
        alert: greet === undefined ? undefined : { tone: "success", text: greet, name: user },
        remembered: describeEnd(idle, atMost),
        isKeepable: idle < atMost,
      });
      const wait = Math.min(Math.max(0, Math.ceil(idle / 1000)) + 1, MAX_WAIT);
      page = answers.renewingPage(html, wait, basePath + ENDED);
    }
    return isRenewal ? page : answers.withCookies(page, await sessions.save(session));
  };

  /** Shows the form. */
  const addForm: Handler = async (request) => {
    const session = await sessions.open(request);
    const html = views.addUsername({ username: "", hint });
    // Reading the form is a use of the session.
    return answers.withCookies(answers.page(html), await sessions.save(session));
  };

  /** Registers a name. */
  const add: Handler = async (request) => {
    // The session is opened before the form has arrived, so that a log-out in between is noticed.
    const opening = sessions.open(request);
    opening.catch(() => {}); // A failure is handled below, where the form can be shown again.
    const typed = (await readForm(request)).get("username") ?? "";
    const username = typed.length > MAX_TYPED_LENGTH ? typed : typed.trim().normalize("NFC");
    const problem = problemWith(username);
    if (problem !== undefined) {
      const shown = username.replace(/\p{Cc}/gu, "");
      return answers.keptPage(views.addUsername({ username: shown, hint, problem }), 422);
    }
    try {
      const session = await opening;
      // The log-in comes first, because it removes the data of another user.
      session.logIn(username);
      session.set("user", username);
      session.set("greet", `Successfully registered username - ${username}.`);
      const answer = answers.withCookies(answers.toHome(), await sessions.save(session));
      const registration = sessions.registrationHeader(session);
      if (registration !== undefined) answer.headers.set("secure-session-registration", registration);
      return answer;
    } catch (error) {
      const { status, message, headers } = await explain(error);
      return answers.keptPage(views.addUsername({ username, hint, failure: message }), status, headers);
    }
  };

  /** Forgets the name. */
  const remove: Handler = async (request) => {
    // The app has already refused a POST from another site.
    if (request.method !== "POST" && !isWanted(request)) return answers.toHome();
    const session = await sessions.open(request);
    if (session.has("user")) {
      session.logOut();
      session.set("notify", "Username Removed from Session Storage.");
    }
    return answers.withCookies(answers.toHome(), await sessions.save(session));
  };

  /** Binds a session to the visitor's device, or renews the binding. */
  const bind = (address: "register" | "refresh"): Handler => async ({ method, headers }) => {
    // The request's own address may lack the base path, because a proxy may have removed it.
    const url = `https://localhost${basePath}${BOUND_PATH}/${address}`;
    return answers.secured((await sessions.answerBound({ method, headers, url }))!);
  };

  /** Sends a file. Its address has a hash of its content, so that browsers can cache it forever. */
  const file = (type: string, text: string): Handler => () =>
    answers.response(text, 200, { "content-type": type, "cache-control": "public, max-age=31536000, immutable" });

  return {
    "/": { GET: home },
    "/add": { GET: addForm, POST: add },
    "/remove": { GET: remove, POST: remove },
    "/style.css": { GET: file("text/css; charset=utf-8", styleSheet) },
    "/favicon.svg": { GET: file("image/svg+xml", icon) },
    ...(bound && {
      [`${BOUND_PATH}/register`]: { POST: bind("register") },
      [`${BOUND_PATH}/refresh`]: { POST: bind("refresh") },
    }),
  };
}

function problemWith(username: string): string | undefined {
  if (username === "") return "Enter a username.";
  if ([...username].length > MAX_NAME_LENGTH) return `Use ${MAX_NAME_LENGTH} characters at most.`;
  // Refuses control characters, line separators, and characters that change the direction of the text after them.
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u.test(username)) {
    return "Use letters, digits and other visible characters only.";
  }
  // Some letters and symbols are invisible too, such as the fillers of Hangul and the blank of Braille.
  if (!/(?![\p{DI}\u2800])[\p{L}\p{N}\p{P}\p{S}]/u.test(username)) return "Use at least one visible character.";
  return undefined;
}

function doneAlert(text: string): Alert {
  return { tone: "done", text };
}

/**
 * The message for a visitor without a name whose session has ended, or whose browser keeps no cookie. The address shows
 * this after a renewal and after "Keep my name". The `Referer` shows it after the forms to log out (`/`) and to
 * register (`/add`), because no link to the home page sends a `Referer`. A reload sends both again, so each message
 * must be true then, too.
 */
function alertFor({ url, headers }: Request, basePath: string): Alert | undefined {
  const ended = doneAlert("Your session has ended, and your name was forgotten.");
  if (url.endsWith(ENDED) || url.endsWith(KEEP)) return ended;
  const referer = headers.get("referer");
  if (referer === null) return undefined;
  if (hostOf(referer) !== hostOf(url)) return undefined;
  const from = pathOf(referer);
  if (from === `${basePath}/`) return ended;
  if (from !== `${basePath}/add` || headers.has("cookie")) return undefined;
  const text = "If you have just registered, your browser did not keep the cookie of this site, " +
    "so your name was forgotten. Allow cookies for this site, then register again.";
  return { tone: "warning", text };
}

/** The sentences about how long the name is remembered, as HTML. Both times are milliseconds from now. */
function describeEnd(idle: number, atMost: number): string {
  if (idle >= atMost) return `Your name is forgotten in ${inWords(atMost)}.`;
  const latest = `Otherwise, in ${inWords(atMost)} at the latest.`;
  return `If you do nothing, your name is forgotten in ${inWords(idle)}. ${latest}`;
}

function inWords(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]] as const) {
    const number = Math.round(seconds / size);
    const isExact = Math.abs(seconds - number * size) <= seconds / 100;
    if (number > 0 && isExact) return count(number, unit);
    if (seconds >= 2 * size) return `about ${count(number, unit)}`;
  }
  return count(seconds, "second");
}

/**
 * A number and its unit, with no line break between them. The space is an entity, so that the page is only ASCII: Deno
 * sends such a page without encoding it, which saves about a microsecond.
 */
function count(number: number, unit: string): string {
  return `${number}&nbsp;${unit}${number === 1 ? "" : "s"}`;
}
