/** Pages: what the three pages do, as handlers. */
import type { Answers } from "./answers.ts";
import { readForm } from "./form.ts";
import { isCrossSite, isPrefetch } from "./protection.ts";
import type { SessionManager } from "../session_manager.ts";
import { renderAddUsername, renderHome, styleSheet } from "./views.ts";
import type { Open } from "../wrap.ts";

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

/** What the pages go by. */
export interface PageOptions {
  /** The visitors' sessions. */
  readonly sessions: SessionManager<Visitor>;
  /** The site's public address, if it is known. */
  readonly origin: string | undefined;
  /** Makes the answers. */
  readonly answers: Answers;
}

/** The longest a name may be, in characters (code points). */
const MAX_NAME_LENGTH = 64;

/**
 * What the site has for visitors.
 *
 * @param options What the pages go by.
 */
export function pageRoutes({ sessions, origin, answers }: PageOptions): Routes {
  /** Greets the visitor by name, or asks to register. */
  const home: Handler = async (_request, open) => {
    const session = await open();
    const user = session.get("user");
    if (user === undefined) return answers.page(renderHome({ alert: session.get("notify") }));
    return answers.page(renderHome({ user, alert: session.get("greet") }));
  };

  /** The form. */
  const addForm: Handler = async (_request, open) => {
    await open(); // Reading the form is a use, too: it keeps the session alive.
    return answers.page(renderAddUsername({ username: "" }));
  };

  /** Registers a name. */
  const add: Handler = async (request, open) => {
    // Opened before the form has arrived, so that a log-out in between is noticed.
    const session = await open();
    const typed = (await readForm(request)).get("username");
    const username = typeof typed === "string" ? typed.trim().normalize("NFC") : "";
    const problem = problemWith(username);
    if (problem !== undefined) {
      return answers.page(renderAddUsername({ username: username.replace(/\p{Cc}/gu, ""), problem }), 422);
    }
    session.set("user", username);
    session.set("greet", `Successfully registered username - ${username}.`);
    session.logIn(username);
    return answers.home();
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

  /** The style sheet; pages link it by what it holds, so it can be cached for good. */
  const style: Handler = () =>
    answers.other(styleSheet, 200, {
      "content-type": "text/css; charset=utf-8",
      "cache-control": "public, max-age=31536000, immutable",
    });

  return {
    "/": { GET: home },
    "/add": { GET: addForm, POST: add },
    "/remove": { GET: remove, POST: remove },
    "/style.css": { GET: style },
  };
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
