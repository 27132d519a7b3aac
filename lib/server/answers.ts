/** Answers: makes the answers of the site, each with the headers that all of them carry. */
import { securityHeaders } from "./protection.ts";

/** The headers of what depends on who asks, and so is not for caches. */
const PERSONAL = { "vary": "Cookie", "cache-control": "no-store" };

// The Content-Security-Policy lets no script run, no frame open and no media load, so this names only what markup alone can
// ask of a browser: Chrome has elements for the place, the camera and the microphone, and a link type for payments.
const PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=()";

const HTML = { "content-type": "text/html; charset=utf-8", "permissions-policy": PERMISSIONS_POLICY };
const PAGE = { ...HTML, ...PERSONAL };

/** How many headers of renewing pages are kept: a page of a session of a minute has one of about sixty. */
const MAX_RENEWING = 128;

/** Makes answers. Nothing of a request ever gets into their headers. */
export class Answers {
  readonly #security: [name: string, value: string][];
  // What a `Headers` holds was checked when it was made, and Deno sends an answer made of text and such headers fastest:
  // as soon as anybody looks at the headers or the body of the answer, that is lost.
  readonly #page: Headers;
  readonly #home: Headers;
  readonly #homePath: string;
  readonly #renewing = new Map<number, Headers>();

  /**
   * @param https Whether the site is served over https, so that browsers should never use anything else.
   * @param basePath The path that the site lies below, such as `/app`, or the empty string.
   */
  constructor(https: boolean, basePath: string) {
    this.#homePath = `${basePath}/`;
    this.#security = securityHeaders(https);
    this.#page = new Headers([...Object.entries(PAGE), ...this.#security]);
    this.#home = new Headers([...Object.entries({ location: this.#homePath, ...PERSONAL }), ...this.#security]);
  }

  /**
   * A page that depends on who asks.
   *
   * @param html The page.
   * @param status The HTTP status.
   * @param headers Headers of its own, which take the place of those that pages have.
   */
  page(html: string, status = 200, headers?: Readonly<Record<string, string>>): Response {
    if (headers === undefined) return new Response(html, { status, headers: this.#page });
    return this.other(html, status, { ...PAGE, ...headers });
  }

  /**
   * A page that depends on who asks, and asks again by itself.
   *
   * @param html The page.
   * @param wait Seconds after which the browser goes on.
   * @param url Where it goes then.
   */
  renewingPage(html: string, wait: number, url: string): Response {
    let headers = this.#renewing.get(wait);
    if (headers === undefined) {
      if (this.#renewing.size >= MAX_RENEWING) this.#renewing.clear();
      headers = new Headers([...this.#page, ["refresh", `${wait}; url=${url}`]]);
      this.#renewing.set(wait, headers);
    }
    return new Response(html, { headers });
  }

  /**
   * A page that answers a form and shows nothing of the session. Browsers keep it for the back button; with `no-store`
   * or `Vary: Cookie` they would show an error of their own in its place, and offer to send the form again.
   *
   * @param html The page.
   * @param status The HTTP status.
   * @param headers Headers that the status calls for.
   */
  keptPage(html: string, status: number, headers?: Readonly<Record<string, string>>): Response {
    return this.other(html, status, { ...HTML, "cache-control": "private, no-cache", ...headers });
  }

  /**
   * An answer with the cookies that its session needs.
   *
   * @param answer An answer of these.
   * @param cookies `Set-Cookie` headers: none or one, as a rule.
   */
  withCookies(answer: Response, cookies: readonly string[]): Response {
    for (const cookie of cookies) answer.headers.append("set-cookie", cookie);
    return answer;
  }

  /** Sends the browser to the home page with a GET, after a POST (RFC 9110, section 15.4.4). */
  home(): Response {
    return new Response(null, { status: 303, headers: this.#home });
  }

  /** Sends the browser from the base path without a slash to the home page, by the same method. */
  readonly base = (): Response => this.other(null, 308, { location: this.#homePath, "cache-control": "no-store" });

  /**
   * What is the same for everybody, such as a style sheet.
   *
   * @param body What it holds.
   * @param status The HTTP status.
   * @param headers Its headers, besides those of every answer.
   */
  other(body: string | null, status: number, headers: Readonly<Record<string, string>>): Response {
    return new Response(body, { status, headers: [...Object.entries(headers), ...this.#security] });
  }

  /**
   * A word for a program.
   *
   * @param body The word.
   * @param status The HTTP status.
   */
  text(body: string, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
    return this.other(body, status, {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      ...headers,
    });
  }
}
