/** Answers: makes the responses of the site, each with the headers that every response has. */
import { PERMISSIONS_POLICY } from "./permissions_policy.ts";
import { securityHeaders } from "./protection.ts";

/** The headers of a response that depends on the visitor. No cache may keep such a response. */
const PERSONAL = { "vary": "Cookie", "cache-control": "no-store" };

const HTML = { "content-type": "text/html; charset=utf-8", "permissions-policy": PERMISSIONS_POLICY };
const PAGE = { ...HTML, ...PERSONAL };

/** The most `Headers` of renewing pages that are kept. Sessions of one minute need about sixty. */
const MAX_RENEWING = 128;

/** Makes responses. A part of a request gets into their headers only in a cookie, where the library checks it. */
export class Answers {
  readonly #security: [name: string, value: string][];
  // Deno checks headers when a `Headers` object is made, and sends a response of a string and a `Headers` object
  // fastest. Code that reads the headers or the body of the response makes it slower.
  readonly #page: Headers;
  readonly #home: Headers;
  readonly #homePath: string;
  readonly #renewing = new Map<number, Headers>();

  /**
   * @param https Whether the site is served over https. Browsers are then told to use nothing else.
   * @param basePath The path that the site is below, such as `/app`, or the empty string.
   */
  constructor(https: boolean, basePath: string) {
    this.#homePath = `${basePath}/`;
    this.#security = securityHeaders(https);
    this.#page = new Headers([...Object.entries(PAGE), ...this.#security]);
    this.#home = new Headers([...Object.entries({ location: this.#homePath, ...PERSONAL }), ...this.#security]);
  }

  /**
   * A page that depends on the visitor.
   *
   * @param html The page.
   * @param status The HTTP status.
   * @param headers Headers that the status needs. They replace those of a page.
   */
  page(html: string, status = 200, headers?: Readonly<Record<string, string>>): Response {
    if (headers === undefined) return new Response(html, { status, headers: this.#page });
    return this.response(html, status, { ...PAGE, ...headers });
  }

  /**
   * A page that depends on the visitor and renews itself.
   *
   * @param html The page.
   * @param wait Seconds after which the browser requests `url`.
   * @param url The address of the renewed page.
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
   * A page that answers a form and shows nothing of the session. Browsers keep it for the back button. With `no-store`
   * or `Vary: Cookie`, the back button would show the browser's own error page, which offers to send the form again.
   *
   * @param html The page.
   * @param status The HTTP status.
   * @param headers Headers that the status needs.
   */
  keptPage(html: string, status: number, headers?: Readonly<Record<string, string>>): Response {
    return this.response(html, status, { ...HTML, "cache-control": "private, no-cache", ...headers });
  }

  /**
   * Adds the cookies of a session to a response.
   *
   * @param answer A response that this object made. It is changed.
   * @param cookies The `Set-Cookie` headers, usually none or one.
   * @returns The same response.
   */
  withCookies(answer: Response, cookies: readonly string[]): Response {
    for (const cookie of cookies) answer.headers.append("set-cookie", cookie);
    return answer;
  }

  /** Sends the browser to the home page with a GET, after a POST (RFC 9110, section 15.4.4). */
  toHome(): Response {
    return new Response(null, { status: 303, headers: this.#home });
  }

  /** Sends the browser from the base path without its final slash to the home page, by the same method. */
  readonly toBase = (): Response => this.response(null, 308, { location: this.#homePath, "cache-control": "no-store" });

  /**
   * A response of any kind, such as a style sheet.
   *
   * @param body The content.
   * @param status The HTTP status.
   * @param headers The headers, besides those of every response.
   */
  response(body: string | null, status: number, headers: Readonly<Record<string, string>>): Response {
    return new Response(body, { status, headers: [...Object.entries(headers), ...this.#security] });
  }

  /**
   * Adds the headers of every response to a response that the library made.
   *
   * @param response The response. It is changed.
   * @returns The same response.
   */
  secured(response: Response): Response {
    for (const [name, value] of this.#security) response.headers.set(name, value);
    return response;
  }

  /**
   * A line of text for a program.
   *
   * @param body The line.
   * @param status The HTTP status.
   * @param headers The headers, besides those of every response.
   */
  text(body: string, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
    return this.response(body, status, {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      ...headers,
    });
  }
}
