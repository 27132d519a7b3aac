/** Pages: what the three pages do, as handlers. */
import { type Answer, goHome, PAGE, readForm } from "./form.ts";
import { isCrossSite, isPrefetch } from "./protection.ts";
import type { OpenSession, SessionManager } from "../session_manager.ts";
import { renderAddUsername, renderHome } from "./views.ts";

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
export type Handler = (request: Request, open: OpenSession<Visitor>) => Answer | Promise<Answer>;

/** The longest a name may be, in characters (code points). */
const MAX_NAME_LENGTH = 64;

/** `GET /`: greets the visitor by name, or asks to register. */
export function home(sessions: SessionManager<Visitor>): Handler {
  return async (_request, open) => {
    const session = await open();
    const user = session.get("user");
    if (user === undefined) return page(renderHome({ alert: session.get("notify") }));
    const now = sessions.now();
    const expires = sessions.expires(session);
    const left = timeLeft(expires - now, (session.record?.ends ?? expires) - now);
    return page(renderHome({ user, alert: session.get("greet"), left }));
  };
}

/** `GET /add`: the form. */
export async function addForm(_request: Request, open: OpenSession<Visitor>): Promise<Answer> {
  await open(); // Reading the form is a use, too: it keeps the session alive.
  return page(renderAddUsername({ username: "" }));
}

/** `POST /add`: registers a name. */
export async function add(request: Request, open: OpenSession<Visitor>): Promise<Answer> {
  // Opened before the form has arrived, so that a log-out in between is noticed.
  const session = await open();
  const typed = (await readForm(request)).get("username");
  const username = typeof typed === "string" ? typed.trim().normalize("NFC") : "";
  const problem = problemWith(username);
  if (problem !== undefined) {
    return page(renderAddUsername({ username: username.replace(/\p{Cc}/gu, ""), problem }), 422);
  }
  session.set("user", username);
  session.set("greet", `Successfully registered username - ${username}.`);
  session.renew();
  return goHome;
}

/** `POST /remove` and `GET /remove`: forgets the name. */
export function remove(origin: string | undefined): Handler {
  return async (request, open) => {
    // A GET that the visitor did not ask for has no effect; that of a POST was refused before it came here.
    const isAsked = request.method === "POST" ||
      (request.method === "GET" && !isPrefetch(request) && !isCrossSite(request, origin));
    if (isAsked) {
      const session = await open();
      if (session.has("user")) {
        session.delete("user");
        session.delete("greet");
        session.set("notify", "Username Removed from Session Storage.");
        session.renew();
      }
    }
    return goHome;
  };
}

function page(html: string, status = 200): Answer {
  return { status, body: html, headers: PAGE };
}

function problemWith(username: string): string | undefined {
  if (username === "") return "Enter a username.";
  if ([...username].length > MAX_NAME_LENGTH) return `Use ${MAX_NAME_LENGTH} characters at most.`;
  // Besides control characters: line separators, and what turns the reading direction of the text after it.
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u.test(username)) {
    return "Use letters, digits and other visible characters only.";
  }
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(username)) return "Use at least one visible character.";
  return undefined;
}

/** When a session ends, as a person would say it. Both times are milliseconds from now. */
function timeLeft(idle: number, atMost: number): string {
  if (idle >= atMost) return inWords(atMost);
  return `${inWords(idle)} unless you use it, and in ${inWords(atMost)} at the latest`;
}

function inWords(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return count(seconds, "second");
  if (seconds < 2 * 3600) return `about ${count(Math.round(seconds / 60), "minute")}`;
  if (seconds < 48 * 3600) return `about ${count(Math.round(seconds / 3600), "hour")}`;
  return `about ${count(Math.round(seconds / 86_400), "day")}`;
}

function count(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}
