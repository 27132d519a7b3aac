/**
 * SessionManager: brings cookie, signer, store and Session together; the only one that knows all four.
 *
 * @module
 */
import { setCookie as stdSetCookie } from "@std/http/cookie";
import { type Log, silent } from "./log.ts";
import { Session } from "./session.ts";
import { Signer } from "./signer.ts";
import { type SessionRecord, type SessionStore, StoreFullError } from "./store.ts";

/** How the session cookie is sent. The defaults are the strict ones that work over plain http as well. */
export interface CookieOptions {
  /** Its name: `session` unless given. Starts with `__Host-` where the site is served over https. */
  readonly name?: string;
  /** The domain it is also sent to, subdomains included; without it, only to the host that set it. */
  readonly domain?: string;
  /** The path below which it is sent: `/` unless given. */
  readonly path?: string;
  /** Whether scripts cannot read it: `true` unless given. */
  readonly httpOnly?: boolean;
  /** Whether it is sent over https only: `false` unless given. */
  readonly secure?: boolean;
  /** When other sites' requests carry it: `Lax` unless given. */
  readonly sameSite?: "Strict" | "Lax" | "None";
  /** Whether each top-level site that embeds this one has a cookie of its own (CHIPS): `false` unless given. */
  readonly partitioned?: boolean;
}

/** What a {@linkcode SessionManager} is made of. */
export interface SessionOptions {
  /** Where sessions are kept. */
  readonly store: SessionStore;
  /** The keys that sign the cookie, at least 32 bytes each: the first signs, older ones are still accepted. */
  readonly keys: readonly string[];
  /** How the cookie is sent. */
  readonly cookie?: CookieOptions;
  /** Seconds a session lives after its last use: 1,800 unless given. */
  readonly idle?: number;
  /** Seconds a session lives at most, however much it is used: 43,200 (twelve hours) unless given. */
  readonly absolute?: number;
  /** Whether use extends the life (`true` unless given), or only a change of the data does. */
  readonly refresh?: boolean;
  /** Whether the cookie outlives the browser's run: `true` unless given. */
  readonly permanent?: boolean;
  /** Told of what is refused or fails; says nothing unless given. */
  readonly log?: Log;
  /** The clock, in milliseconds since 1970: `Date.now` unless given. */
  readonly now?: () => number;
}

/** What a {@linkcode SessionManager} has done since it was made; only ever counted up. */
export interface SessionCounters {
  /** Sessions opened with a valid cookie and found in the store. */
  found: number;
  /** Sessions made. */
  created: number;
  /** Sessions whose data were changed. */
  updated: number;
  /** Sessions whose life was extended without a change. */
  touched: number;
  /** Sessions that got a new id. */
  renewed: number;
  /** Sessions ended. */
  ended: number;
  /** Cookies refused for their signature or form. */
  badSignature: number;
  /** Cookies with a right signature whose session the store does not know, or no more. */
  unknown: number;
  /** Requests refused because their session was ended while they were under way. */
  gone: number;
  /** Sessions refused because the store was full. */
  full: number;
  /** Failures of the store. */
  failed: number;
}

/** Thrown by `commit` when the session was ended by another request meanwhile: nothing was stored. Answer it 409. */
export class SessionGoneError extends Error {
  /** The error's name. */
  override name = "SessionGoneError";
}

/** Thrown by `open` and `commit` when the store fails; `cause` says why. Nothing was stored. Answer it 503. */
export class SessionStoreError extends Error {
  /** The error's name. */
  override name = "SessionStoreError";
}

/** Opens the session of the request that is being handled; asked twice, it gives the same one. */
export type OpenSession<Data extends object> = () => Promise<Session<Data>>;

/** The latest that browsers let a cookie expire, in seconds: 400 days (RFC 6265bis, section 5.5). */
export const MAX_LIFETIME = 400 * 24 * 60 * 60;

/** The longest a cookie's name may be, in bytes, so that name and value stay under 200. */
const MAX_NAME_LENGTH = 100;

/** 128 random bits in lower-case hex: safe as a file name on systems that fold case. */
const ID_LENGTH = 32;
const ID = /^[0-9a-f]{32}$/;

/** How far clocks may differ, in milliseconds, before a record counts as written under another time. */
const CLOCK_SKEW = 60_000;

/** A Session and what the manager needs to know again when it commits it. */
class OpenedSession<Data extends object> extends Session<Data> {
  committed = false;
  constructor(
    readonly id: string | undefined,
    readonly stale: boolean,
    readonly ambiguous: boolean,
    record?: SessionRecord,
  ) {
    super(record);
  }
}

/**
 * Server-side sessions for anything that turns a `Request` into a `Response`. The browser gets a signed random id; the
 * data stay in the store.
 *
 * A visitor for whom nothing is ever stored gets no cookie and takes no space. A cookie that is forged, expired or
 * unknown is the same as none, and its id is never adopted.
 *
 * @example A counter
 * ```ts
 * import { MemoryStore, SessionManager } from "session-server";
 * import { assertEquals } from "@std/assert";
 *
 * const sessions = new SessionManager<{ visits: number }>({
 *   store: new MemoryStore(),
 *   keys: ["a secret key of at least 32 bytes"],
 * });
 *
 * const handler = sessions.wrap(async (_request, open) => {
 *   const session = await open();
 *   session.update("visits", (visits = 0) => visits + 1);
 *   return new Response(`Visit ${session.get("visits")}`);
 * });
 *
 * // Deno.serve(handler);
 * const first = await handler(new Request("http://localhost/"));
 * assertEquals(await first.text(), "Visit 1");
 * const [cookie = ""] = first.headers.getSetCookie();
 * const second = await handler(new Request("http://localhost/", { headers: { cookie } }));
 * assertEquals(await second.text(), "Visit 2");
 * ```
 */
export class SessionManager<Data extends object = Record<string, never>> {
  /** What was done so far, for whoever exports it. */
  readonly counters: SessionCounters = {
    found: 0,
    created: 0,
    updated: 0,
    touched: 0,
    renewed: 0,
    ended: 0,
    badSignature: 0,
    unknown: 0,
    gone: 0,
    full: 0,
    failed: 0,
  };

  #store: SessionStore;
  #signer: Signer;
  #prefix: string;
  // What follows the value in the Set-Cookie header: of a session's cookie, and of one to be forgotten.
  #attributes: string;
  #forgetting: string;
  #idle: number;
  #absolute: number;
  #refresh: boolean;
  #permanent: boolean;
  #log: Log;
  #now: () => number;

  /**
   * Makes a manager; touches nothing yet.
   *
   * @param options The store, the keys, and what differs from the defaults.
   * @throws {TypeError} if there is no key, or the cookie's name or attributes cannot work.
   * @throws {RangeError} if a key is under 32 bytes, or a lifetime not from 1 second to 400 days.
   */
  constructor(options: SessionOptions) {
    this.#store = options.store;
    const cookie: Cookie = {
      name: "session",
      path: "/",
      httpOnly: true,
      secure: false,
      sameSite: "Lax",
      partitioned: false,
      ...options.cookie,
    };
    checkCookie(cookie);
    this.#prefix = `${cookie.name}=`;
    this.#signer = new Signer(options.keys, `session id\0${cookie.name}`);
    this.#idle = milliseconds("idle", options.idle ?? 1800);
    this.#absolute = milliseconds("absolute", options.absolute ?? 43_200);
    this.#refresh = options.refresh ?? true;
    this.#permanent = options.permanent ?? true;
    const maxAge = Math.ceil(Math.min(this.#idle, this.#absolute) / 1000);
    this.#attributes = attributesOf(this.#permanent ? { ...cookie, maxAge } : cookie);
    this.#forgetting = attributesOf({ ...cookie, maxAge: 0, expires: new Date(0) });
    this.#log = options.log ?? silent;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Opens the visitor's session: the stored one if the request has a valid cookie for it, else a new, empty one of
   * which nothing is stored until something is put into it. A request with no validly signed cookie causes no call of
   * the store.
   *
   * @param request The request, or anything with its headers; only `Cookie` is read.
   * @returns The session, to be given to `commit` with the answer.
   * @throws {SessionStoreError} if the store fails.
   */
  async open(request: { readonly headers: Headers }): Promise<Session<Data>> {
    const header = request.headers.get("cookie");
    if (header === null || !header.includes(this.#prefix)) return new OpenedSession(undefined, false, false);

    const cookie = this.#readCookie(header);
    if (cookie === undefined) return new OpenedSession(undefined, false, false);
    if (cookie === "ambiguous") return new OpenedSession(undefined, false, true);

    const record = await this.#try("read", this.#store.read(cookie.value));
    // A record that promises more time than a session has was written before the clock was set back, or under a
    // longer lifetime. How long it was idle cannot be told, so it counts as gone.
    const now = this.#now();
    if (
      record === undefined || record.expires > now + this.#idle + CLOCK_SKEW ||
      record.ends > now + this.#absolute + CLOCK_SKEW
    ) {
      // Not adopted: the visitor gets a fresh id when something is stored (strict mode; CVE-2015-5143).
      this.counters.unknown++;
      this.#log("info", "A session cookie named a session that is not stored, or no more");
      return new OpenedSession(undefined, false, false);
    }
    this.counters.found++;
    return new OpenedSession(cookie.value, cookie.stale, false, record);
  }

  /**
   * Stores what the request did to the session, and gives the answer its headers: a `Set-Cookie` if the session is
   * new, got a new id, was extended or ended; `Vary: Cookie`; and `Cache-Control: no-store` unless the answer has a
   * `Cache-Control` of its own.
   *
   * @param session The session that `open` returned, once.
   * @param response The answer.
   * @returns The answer to send: the same, or a copy if its headers were immutable.
   * @throws {SessionGoneError} if the session was ended by another request meanwhile, so that nothing was stored.
   * @throws {StoreFullError} if the session is new and the store is full.
   * @throws {SessionStoreError} if the store fails; what was stored before still stands.
   * @throws {TypeError} if the session did not come from `open`, or was committed before.
   */
  async commit(session: Session<Data>, response: Response): Promise<Response> {
    const cookie = await this.save(session);
    let headers = response.headers;
    try {
      addVaryCookie(headers);
    } catch {
      // The headers of a fetched or redirecting answer are immutable.
      response = new Response(response.body, response);
      headers = response.headers;
      addVaryCookie(headers);
    }
    if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
    if (cookie !== undefined) headers.append("set-cookie", cookie);
    return response;
  }

  /**
   * Stores what the request did to the session, as `commit` does, for whoever makes the answer afterwards. That answer
   * should have `Vary: Cookie`, and `Cache-Control: no-store` if it shows anything of the session.
   *
   * @param session The session that `open` returned, once.
   * @returns The `Set-Cookie` header that the answer must have, if any.
   * @throws What `commit` throws.
   */
  async save(session: Session<Data>): Promise<string | undefined> {
    if (!(session instanceof OpenedSession) || session.committed) {
      throw new TypeError("Cannot commit: needed a session that open() returned and that was not committed before");
    }
    session.committed = true;
    try {
      const id = await this.#save(session);
      return id === undefined ? undefined : this.#setCookie(id);
    } finally {
      this.#store.sweep?.();
    }
  }

  /**
   * Makes a handler with sessions out of one that takes a request and a function that opens its session. If it opens
   * it, the session is committed with the answer; if it throws, nothing is stored.
   *
   * @param handler Answers a request. Awaiting `open()` gives the session.
   * @returns A handler for `Deno.serve` and the like. It throws what `open`, `commit` and the handler throw.
   */
  wrap<Rest extends unknown[]>(
    handler: (request: Request, open: OpenSession<Data>, ...rest: Rest) => Response | Promise<Response>,
  ): (request: Request, ...rest: Rest) => Promise<Response> {
    return async (request, ...rest) => {
      let opened: Promise<Session<Data>> | undefined;
      const response = await handler(request, () => opened ??= this.open(request), ...rest);
      return opened === undefined ? response : await this.commit(await opened, response);
    };
  }

  /**
   * When the session ends unless it is used again, this use counted, in milliseconds since 1970.
   *
   * @param session A session that `open` returned.
   */
  expires(session: Session<Data>): number {
    const { record } = session;
    const now = this.#now();
    if (record === undefined) return now + Math.min(this.#idle, this.#absolute);
    const isExtended = session.changed || session.renewed || (this.#refresh && this.#isDue(record, now));
    return isExtended ? this.#expiry(record.ends, now) : record.expires;
  }

  /** The time by the clock of the sessions, in milliseconds since 1970. */
  now(): number {
    return this.#now();
  }

  /** Finishes what the store does in the background and lets go of its connections. */
  async close(): Promise<void> {
    await this.#store.close?.();
  }

  /** Brings the store in line with the session. Returns the cookie's new value: an id, "" to delete it, or neither. */
  async #save(session: OpenedSession<Data>): Promise<string | undefined> {
    const { id, record } = session;
    const now = this.#now();
    if (session.ended) {
      if (id === undefined) return session.ambiguous ? "" : undefined;
      await this.#try("delete", this.#store.delete(id));
      this.counters.ended++;
      return "";
    }
    if (id === undefined || record === undefined) {
      if (session.changed) return await this.#create(session, now);
      return session.ambiguous ? "" : undefined;
    }
    if (session.renewed) return await this.#move(session, id, record, now);

    const expires = this.#expiry(record.ends, now);
    if (session.changed) {
      const apply = session.apply.bind(session);
      const updated = await this.#try("update", this.#store.update(id, apply, expires));
      if (updated === undefined) throw this.#gone();
      this.counters.updated++;
      return this.#permanent || session.stale ? id : undefined;
    }
    if (this.#refresh && this.#isDue(record, now)) {
      // A page that only reads is right even if its session could not be extended.
      const touched = await this.#try("touch", this.#store.touch(id, expires)).catch(() => false);
      if (!touched) return undefined;
      this.counters.touched++;
      return this.#permanent || session.stale ? id : undefined;
    }
    return session.stale ? id : undefined;
  }

  async #create(session: Session<Data>, now: number): Promise<string> {
    const id = crypto.getRandomValues(new Uint8Array(ID_LENGTH / 2)).toHex();
    const ends = now + this.#absolute;
    const record = { data: session.apply({}), created: now, ends, expires: this.#expiry(ends, now) };
    await this.#try("create", this.#store.create(id, record));
    this.counters.created++;
    return id;
  }

  /**
   * Moves a session to a new id. The new one is stored first, so that a failure leaves the old one as it was; nobody
   * knows its id until the answer leaves. What the deletion of the old one returns is its last word: if another
   * request changed it meanwhile, the new one takes that over, and if another request ended it, the new one goes too.
   */
  async #move(session: Session<Data>, from: string, record: SessionRecord, now: number): Promise<string> {
    const id = crypto.getRandomValues(new Uint8Array(ID_LENGTH / 2)).toHex();
    const expires = this.#expiry(record.ends, now);
    const { created, ends } = record;
    const moved = { data: session.apply(record.data), created, ends, expires };
    await this.#try("create", this.#store.create(id, moved, true));
    try {
      const last = await this.#try("delete", this.#store.delete(from));
      if (last === undefined) throw this.#gone();
      if (last.data !== record.data && JSON.stringify(last.data) !== JSON.stringify(record.data)) {
        const data = session.apply(last.data);
        await this.#try("update", this.#store.update(id, () => data, expires));
      }
    } catch (error) {
      // At worst it stays until it expires; nobody has its id.
      await this.#store.delete(id).catch(() => {});
      throw error;
    }
    this.counters.renewed++;
    return id;
  }

  #expiry(ends: number, now: number): number {
    return Math.min(now + this.#idle, ends);
  }

  /** Whether use has moved the idle limit by a tenth of the lifetime, so that storing it is worth a write. */
  #isDue(record: SessionRecord, now: number): boolean {
    return this.#expiry(record.ends, now) - record.expires >= this.#idle / 10;
  }

  #readCookie(header: string): { value: string; stale: boolean } | "ambiguous" | undefined {
    let found: { value: string; stale: boolean } | undefined;
    let refused = false;
    for (const pair of header.split(";")) {
      const text = pair.trim();
      if (!text.startsWith(this.#prefix)) continue;
      const unsigned = this.#signer.unsign(text.slice(this.#prefix.length));
      if (unsigned === undefined || !ID.test(unsigned.value)) {
        refused = true;
      } else if (found === undefined) {
        found = unsigned;
      } else if (found.value !== unsigned.value) {
        // Somebody planted one of them; which, cannot be told.
        return "ambiguous";
      }
    }
    if (refused && found === undefined) {
      this.counters.badSignature++;
      this.#log("warn", "A session cookie was refused: its signature is not one of ours");
    }
    return found;
  }

  #setCookie(id: string): string {
    return this.#prefix + (id === "" ? this.#forgetting : this.#signer.sign(id) + this.#attributes);
  }

  async #try<T>(verb: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (cause) {
      if (cause instanceof StoreFullError) {
        this.counters.full++;
        this.#log("warn", "A new session was refused: the store is full", cause.message);
        throw cause;
      }
      this.counters.failed++;
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#log("error", `The session store failed to ${verb}`, reason);
      throw new SessionStoreError(`The session store failed to ${verb}: ${reason}`, { cause });
    }
  }

  #gone(): SessionGoneError {
    this.counters.gone++;
    this.#log("info", "A session was ended while a request of it was under way; the request stored nothing");
    return new SessionGoneError("Cannot store: the session was ended while the request was under way");
  }
}

type Cookie = Required<Omit<CookieOptions, "domain">> & Pick<CookieOptions, "domain">;

const setCookie: (
  headers: Headers,
  cookie: Cookie & { value: string; maxAge?: number; expires?: Date },
) => void = stdSetCookie;

/** What follows the value in a `Set-Cookie` header. */
function attributesOf(cookie: Cookie & { maxAge?: number; expires?: Date }): string {
  const headers = new Headers();
  // It changes its argument for a name that starts with "__Host-", so it always gets a fresh one.
  setCookie(headers, { ...cookie, value: "" });
  return headers.getSetCookie()[0]!.slice(`${cookie.name}=`.length);
}

function checkCookie(cookie: Cookie): void {
  const { name, domain, path, secure, sameSite, partitioned } = cookie;
  const wrong = (needed: string) => new TypeError(`Cannot use session cookie "${name}": ${needed}`);
  // RFC 6265, section 4.1.1, by way of RFC 9110's token.
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || name.length > MAX_NAME_LENGTH) {
    throw wrong(`its name must be 1 to ${MAX_NAME_LENGTH} letters, digits or !#$%&'*+.^_\`|~-`);
  }
  // RFC 6265bis, section 4.1.3. Browsers compare the prefixes without regard to case.
  if (/^__(host|secure)-/i.test(name) && !secure) throw wrong('a name with this prefix needs "secure"');
  if (/^__host-/i.test(name) && (domain !== undefined || path !== "/")) {
    throw wrong('a name that starts with "__Host-" takes no "domain", and no "path" but "/"');
  }
  if (sameSite === "None" && !secure) throw wrong('"sameSite" None needs "secure"');
  if (partitioned && !secure) throw wrong('"partitioned" needs "secure"');
  try {
    attributesOf(cookie);
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : "its attributes must fit a Set-Cookie header");
  }
  if (!path.startsWith("/")) throw wrong(`its path must start with "/": received "${path}"`);
}

function milliseconds(option: string, seconds: number): number {
  if (!(seconds >= 1 && seconds <= MAX_LIFETIME)) {
    throw new RangeError(
      `Cannot manage sessions: "${option}" must be from 1 to ${MAX_LIFETIME} seconds: received ${seconds}`,
    );
  }
  return seconds * 1000;
}

function addVaryCookie(headers: Headers): void {
  const vary = headers.get("vary");
  if (vary === null) headers.set("vary", "Cookie");
  else if (vary !== "Cookie" && !/(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)) headers.append("vary", "Cookie");
}
