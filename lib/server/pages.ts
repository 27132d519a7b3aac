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

/** Answers a request whose host was checked. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** Handlers by path and method. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

/** The options of the pages. */
export interface PageOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** The site's public address, if it is known. */
  readonly origin: string | undefined;
  /** The path that the site lies below, such as `/app`, or the empty string. */
  readonly basePath: string;
  /** Makes the responses. */
  readonly answers: Answers;
  /** Renders the pages. */
  readonly views: Views;
  /** Whether sessions are bound to devices, so that browsers ask for the two addresses below `BOUND_PATH`. */
  readonly bound: boolean;
  /** Whether the store keeps anything: the null store does not. */
  readonly keepsNames: boolean;
  /** Turns an error into a status and words for the visitor. */
  readonly explain: (error: unknown) => Promise<HttpError>;
}

/** The path below which browsers bind their sessions to their devices, after the base path. */
export const BOUND_PATH = "/bound";

/** The longest a name may be, in characters (code points). */
const MAX_NAME_LENGTH = 64;

/**
 * The longest input that is examined, in UTF-16 units: 64 characters, each sent in up to four parts (Unicode,
 * normalization form D), and spaces around them. Composing a string takes more than linear time, so its length is
 * checked first.
 */
const MAX_TYPED_LENGTH = 1024;

/** What a name must be, for the visitor. */
const HINT = `Up to ${MAX_NAME_LENGTH} characters.`;

/** The message where the store keeps nothing. */
export const KEEPS_NOTHING = "This server's settings keep no names (SESSION_TYPE is null).";

/** The end of the home page's address after a renewal, and after a visitor asked to keep the name. */
const ENDED = "/?ended";
const KEEP = "/?keep";

/** The longest time until a page renews itself, in seconds: the timers of browsers end at 24 days. */
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

  /** Whether the visitor asked for this. A GET may come from another site, or before the visitor wants the page. */
  const isAsked = (request: Request) =>
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
      const alert = notify === undefined ? hintFor(request, basePath) : done(notify);
      page = answers.page(views.home({ alert, invitation }));
    } else {
      // A change extends the session even if SESSION_REFRESH_EACH_REQUEST is false.
      if (url.endsWith(KEEP) && isAsked(request)) session.set("user", user);
      const now = sessions.now();
      const { storedExpires, expires, deadline } = sessions.ends(session);
      const idle = (isRenewal ? storedExpires ?? expires : expires) - now;
      const atMost = deadline - now;
      const greet = session.get("greet");
      const html = views.home({
        user,
        alert: greet === undefined ? undefined : { tone: "success", text: greet, name: user },
        remembered: remembered(idle, atMost),
        isKeepable: idle < atMost,
      });
      const wait = Math.min(Math.max(0, Math.ceil(idle / 1000)) + 1, MAX_WAIT);
      page = answers.renewingPage(html, wait, basePath + ENDED);
    }
    return isRenewal ? page : answers.withCookies(page, await sessions.save(session));
  };

  /** The form. */
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
    opening.catch(() => {}); // It is awaited below, where the form is at hand to be shown again.
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
      const answer = answers.withCookies(answers.home(), await sessions.save(session));
      const registration = sessions.registration(session);
      if (registration !== undefined) answer.headers.set("secure-session-registration", registration);
      return answer;
    } catch (error) {
      const { status, message, headers } = await explain(error);
      return answers.keptPage(views.addUsername({ username, hint, trouble: message }), status, headers);
    }
  };

  /** Forgets the name. */
  const remove: Handler = async (request) => {
    // A POST from another site was refused before it came here.
    if (request.method !== "POST" && !isAsked(request)) return answers.home();
    const session = await sessions.open(request);
    if (session.has("user")) {
      session.logOut();
      session.set("notify", "Username Removed from Session Storage.");
    }
    return answers.withCookies(answers.home(), await sessions.save(session));
  };

  /** Binds a session to the visitor's device, or renews that. A proxy may have stripped the base path. */
  const bind = (address: "register" | "refresh"): Handler => async ({ method, headers }) => {
    const url = `https://localhost${basePath}${BOUND_PATH}/${address}`;
    return answers.secured((await sessions.answerBound({ method, headers, url }))!);
  };

  /** A file whose address has a hash of its content, so that it can be cached forever. */
  const file = (type: string, text: string): Handler => () =>
    answers.other(text, 200, { "content-type": type, "cache-control": "public, max-age=31536000, immutable" });

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
  // Refuses control characters, line separators, and characters that turn the direction of the text after them.
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u.test(username)) {
    return "Use letters, digits and other visible characters only.";
  }
  // Some letters and symbols are invisible, too, such as the fillers of Hangul and the blank of Braille.
  if (!/(?![\p{DI}\u2800])[\p{L}\p{N}\p{P}\p{S}]/u.test(username)) return "Use at least one visible character.";
  return undefined;
}

function done(text: string): Alert {
  return { tone: "done", text };
}

/**
 * The message for a visitor without a name whose session has ended, or whose browser keeps no cookie. The address of
 * the request says so after a renewal and after "Keep my name"; the `Referer` says so after the forms to log out (`/`)
 * and to register (`/add`), because no link home sends one. A reload repeats both, so each sentence must
 * hold then, too.
 */
function hintFor({ url, headers }: Request, basePath: string): Alert | undefined {
  const ended = done("Your session has ended, and your name was forgotten.");
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

/** Tells the visitor how long the name is remembered, as HTML. Both times are milliseconds from now. */
function remembered(idle: number, atMost: number): string {
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
 * A number and its unit, which no line break parts. Without characters beyond ASCII V8 keeps a page as one byte per
 * character, which Deno sends several microseconds faster.
 */
function count(number: number, unit: string): string {
  return `${number}&nbsp;${unit}${number === 1 ? "" : "s"}`;
}
