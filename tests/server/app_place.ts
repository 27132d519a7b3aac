/** The app in a test's own process, with a store (in memory by default), a clock and a browser. */
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import type { SessionStore } from "../../lib/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { Browser } from "../support/server.ts";

const KEY = "the key that these tests sign with of 32 bytes or more";
export const HOME = "http://localhost";
export const NOTIFY = "Username Removed from Session Storage.";

/** The options that differ from their defaults. */
export interface Site {
  origin?: string;
  store?: SessionStore;
  max?: number;
  logRequests?: boolean;
  basePath?: string;
  /** Whether use alone extends a session. The default is `true`. */
  refresh?: boolean;
}

/** Makes the app, its clock and its browser. */
export function serve({ origin, store, max, logRequests, basePath, refresh = true }: Site = {}) {
  const clock = new Clock();
  const memory = new MemoryStore({ now: clock.now, max });
  const lines: string[] = [];
  const log = (level: string, event: string, detail = "") => void lines.push(`${level} ${event}: ${detail}`);
  const { now } = clock;
  const sessions = new SessionManager<Visitor>({ store: store ?? memory, keys: [KEY], idle: 60, refresh, now, log });
  const app = createApp({ sessions, store: store ?? memory, origin, basePath, log, logRequests });
  const newBrowser = () => new Browser(HOME, app);
  return { app, browser: newBrowser(), clock, lines, memory, newBrowser };
}

/** The text of every alert on a page. */
export function alerts(html: string): string[] {
  return [...html.matchAll(/<p role="alert"[^>]*>(.*?)<\/p>/g)].map((match) => match[1]!.replace(/<\/?bdi>/g, ""));
}
