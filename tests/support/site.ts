/** A site of one page whose handler a test provides, with a clock and a list of the store's calls. */
import { SessionGoneError } from "../../lib/errors.ts";
import type { Session } from "../../lib/session.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import type { SessionOptions } from "../../lib/session_options.ts";
import type { SessionStore } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { Browser } from "./server.ts";

/** The data of a session of the site. */
export interface Data {
  name: string;
  n: number;
  other: number;
  list: string[];
}

/** The work of a request on its session. */
export type Act = (session: Session<Data>) => unknown;

export const KEY = "the key that these tests sign with, 32 bytes or more";
export const OLD_KEY = "an older key that these tests sign with, 32 bytes or more";

/** Options of a manager with device-bound sessions. */
export const BOUND = { store: new MemoryStore(), keys: [KEY], cookie: { secure: true }, bound: { path: "/bound" } };

/** Registers a visitor. */
export const register: Act = (session) => session.set("name", "Ada");

/** A site whose sessions have an idle limit of 60 seconds, and an absolute limit of 600 seconds. */
export function site(options: Partial<SessionOptions> = {}) {
  const clock = new Clock();
  const calls: string[] = [];
  const memory = new MemoryStore({ now: clock.now });
  const sessions = new SessionManager<Data>({
    keys: [KEY],
    idle: 60,
    absolute: 600,
    now: clock.now,
    ...options,
    store: counting(options.store ?? memory, calls),
  });
  let act: Act = () => {};
  const handler = sessions.wrap(async (_request, open) => {
    const session = await open();
    await act(session);
    return Response.json(session.data);
  });
  const newBrowser = () => new Browser("http://localhost", handler);
  const browser = newBrowser();
  /** Sends one request that runs `does`, and returns the session's data after it. */
  const visit = async (does: Act = () => {}, by = browser): Promise<Partial<Data>> => {
    act = does;
    return JSON.parse(await by.get("/"));
  };
  const request = (by = browser) => new Request("http://localhost/", { headers: { cookie: by.cookie } });
  /** Runs `does` in a request whose commit may fail. */
  const attempt = async (does: Act, by = browser): Promise<Response> => {
    const session = await sessions.open(request(by));
    await does(session);
    return await sessions.commit(session, Response.json(session.data));
  };
  return { attempt, browser, calls, clock, handler, memory, newBrowser, request, sessions, visit };
}

/**
 * Opens the session for several requests, then commits them in order.
 *
 * @returns For each request, its cookie if it was stored, else the error of its commit.
 */
export async function meet(acts: Act[], options: Partial<SessionOptions> = {}, before: Act = (s) => s.set("n", 1)) {
  const one = site(options);
  await one.visit(before);
  const opened = await Promise.all(acts.map(() => one.sessions.open(one.request())));
  for (const [i, session] of opened.entries()) await acts[i]!(session);
  const outcomes: (string | null | SessionGoneError)[] = [];
  for (const session of opened) {
    try {
      outcomes.push((await one.sessions.commit(session, new Response())).headers.get("set-cookie"));
    } catch (error) {
      if (!(error instanceof SessionGoneError)) throw error;
      outcomes.push(error);
    }
  }
  return { ...one, outcomes, stored: outcomes.map((outcome) => !(outcome instanceof Error)) };
}

/** A store with some verbs that always fail. */
export function failing(verbs: (keyof SessionStore)[], inner: SessionStore): SessionStore {
  const fail = () => Promise.reject(new Error("the disk is on fire"));
  return replacing(inner, (verb, original) => verbs.includes(verb) ? fail : original);
}

function counting(inner: SessionStore, calls: string[]): SessionStore {
  return replacing(inner, (verb, original) => (...args) => {
    if (verb !== "sweep") calls.push(verb);
    return original(...args);
  });
}

type Verb = (...args: unknown[]) => unknown;

function replacing(inner: SessionStore, replace: (verb: keyof SessionStore, original: Verb) => Verb): SessionStore {
  return new Proxy(inner, {
    get(target, verb: keyof SessionStore) {
      const value = target[verb];
      return typeof value === "function" ? replace(verb, (value as Verb).bind(target)) : value;
    },
  });
}
