/** Pages: what the three pages do, as handlers. */
import type { Answers } from "./answers.ts";
import { readForm } from "./form.ts";
import { isCrossSite } from "../cross_site.ts";
import { hostOf, isPrefetch, pathOf } from "./protection.ts";
import type { Session } from "../session.ts";
import type { SessionManager } from "../session_manager.ts";
import { type Alert, icon, renderAddUsername, renderHome, styleSheet } from "./views.ts";
import type { Open } from "../_wrap.ts";

/** What the pages keep of a visitor. */
export interface Visitor {
  /** The registered name. */
  user: string;
  /** What is said to the visitor while registered. */
  greet: string;
  /** What is said after the name was removed. */
  notify: string;
}

/** Answers a request whose host was checked; `open` opens its session. */
export type Handler = (request: Request, open: Open<Visitor>) => Response | Promise<Response>;

/** Handlers by path and method. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

/** What the pages need. */
export interface PageOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** The site's public address, if it is known. */
  readonly origin: string | undefined;
  /** Makes the answers. */
  readonly answers: Answers;
  /** Opens the session of a request, to look at: it is stored, and counts as used, only if the handler commits it. */
  readonly look: (request: Request) => Promise<Session<Visitor>>;
}

/** The longest a name may be, in characters (code points). */
const MAX_NAME_LENGTH = 64;

/**
 * The longest that is looked at, in UTF-16 units: 64 characters, each sent in up to four parts (Unicode, normalization
 * form D), and spaces around them. Composing a string takes more than linear time, so its length is checked first.
 */
const MAX_TYPED_LENGTH = 1024;

/** Where the home page sends the browser when the session has ended. */
const ENDED = "/?ended";

/** The longest that a page waits until it looks again, in seconds: browsers' timers end at 24 days. */
const MAX_WAIT = 86_400;

/**
 * What the site has for visitors.
 *
 * @param options What they need.
 */
export function pageRoutes({ sessions, origin, answers, look }: PageOptions): Routes {
  /** Greets the visitor by name, or asks to register. */
  const home: Handler = async (request, open) => {
    // A page that renews itself is not used by anybody: two of them would keep a session alive for ever.
    const isRenewal = request.url.endsWith(ENDED);
    const session = isRenewal ? await look(request) : await open();
    const user = session.get("user");
    if (user === undefined) {
      const notify = session.get("notify");
      return answers.page(renderHome({ alert: notify === undefined ? hintFor(request) : done(notify) }));
    }
    const now = sessions.now();
    const { unused, used, deadline } = sessions.ends(session);
    const idle = (isRenewal ? unused ?? used : used) - now;
    const greet = session.get("greet");
    const wait = Math.min(Math.max(0, Math.ceil(idle / 1000)) + 1, MAX_WAIT);
    const html = renderHome({
      user,
      alert: greet === undefined ? undefined : { tone: "success", text: greet },
      remembered: remembered(idle, deadline - now),
    });
    return answers.renewingPage(html, wait, ENDED);
  };

  /** The form. */
  const addForm: Handler = async (_request, open) => {
    await open(); // Reading the form is a use, too: it keeps the session alive.
    return answers.page(renderAddUsername({ username: "" }));
  };

  /** Registers a name. */
  const add: Handler = async (request) => {
    // Opened before the form has arrived, so that a log-out in between is noticed.
    const session = await look(request);
    const typed = (await readForm(request)).get("username") ?? "";
    const username = typed.length > MAX_TYPED_LENGTH ? typed : typed.trim().normalize("NFC");
    const problem = problemWith(username);
    if (problem !== undefined) {
      return answers.keptPage(renderAddUsername({ username: username.replace(/\p{Cc}/gu, ""), problem }), 422);
    }
    // First, since it takes away what is another user's.
    session.logIn(username);
    session.set("user", username);
    session.set("greet", `Successfully registered username - ${username}.`);
    return answers.withCookies(answers.home(), await sessions.save(session));
  };

  /** Forgets the name. */
  const remove: Handler = async (request, open) => {
    // A GET that the visitor did not ask for has no effect; that of a POST was refused before it came here.
    const isAsked = request.method === "POST" ||
      (request.method === "GET" && !isPrefetch(request) && !isCrossSite(request, origin));
    if (isAsked) {
      const session = await open();
      if (session.has("user")) {
        session.logOut();
        session.set("notify", "Username Removed from Session Storage.");
      }
    }
    return answers.home();
  };

  /** A file that pages link by what it holds, so that it can be cached for good. */
  const file = (type: string, text: string): Handler => () =>
    answers.other(text, 200, { "content-type": type, "cache-control": "public, max-age=31536000, immutable" });

  return {
    "/": { GET: home },
    "/add": { GET: addForm, POST: add },
    "/remove": { GET: remove, POST: remove },
    "/style.css": { GET: file("text/css; charset=utf-8", styleSheet) },
    "/favicon.svg": { GET: file("image/svg+xml", icon) },
  };
}

function problemWith(username: string): string | undefined {
  if (username === "") return "Enter a username.";
  if ([...username].length > MAX_NAME_LENGTH) return `Use ${MAX_NAME_LENGTH} characters at most.`;
  // Besides control characters: line separators, and what turns the reading direction of the text after it.
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u.test(username)) {
    return "Use letters, digits and other visible characters only.";
  }
  // Some letters and symbols leave no mark either, such as the fillers of Hangul and the blank of Braille.
  if (!/(?![\p{DI}\u2800])[\p{L}\p{N}\p{P}\p{S}]/u.test(username)) return "Use at least one visible character.";
  return undefined;
}

function done(text: string): Alert {
  return { tone: "done", text };
}

/**
 * What a visitor without a name should know who was sent here by the renewal of a page, or by a form: by the one to log
 * out (`/`), whose session had ended before, or by the one to register (`/add`), and came without a cookie. No other way
 * from these pages names them. As a reload names them again, the sentences hold then, too.
 */
function hintFor({ url, headers }: Request): Alert | undefined {
  const ended = done("Your session has ended, and your name was forgotten.");
  if (url.endsWith(ENDED)) return ended;
  const referer = headers.get("referer");
  if (referer === null) return undefined;
  if (hostOf(referer) !== hostOf(url)) return undefined;
  const from = pathOf(referer);
  if (from === "/") return ended;
  if (from !== "/add" || headers.has("cookie")) return undefined;
  const text = "If you have just registered, your browser did not keep this site’s cookie, " +
    "so your name was forgotten at once. Allow cookies for this site, then register again.";
  return { tone: "warning", text };
}

/** How long a name is remembered, for its owner. Both times are milliseconds from now. */
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

/** A number and its unit, which no line break parts. */
function count(number: number, unit: string): string {
  return `${number}\u00A0${unit}${number === 1 ? "" : "s"}`;
}
