/** What the pages say of the time that a session has left. */
import { assertEquals } from "@std/assert";
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Browser, Clock } from "../support/server.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What the home page says of a session with these limits, in seconds, some seconds after registering. */
async function sentence(limits: { idle: number; absolute: number; refresh?: boolean }, after = 0): Promise<string> {
  const clock = new Clock();
  const store = new MemoryStore({ now: clock.now });
  const keys = ["a secret key of at least 32 bytes"];
  const browser = new Browser(
    "http://localhost",
    createApp({ sessions: new SessionManager<Visitor>({ store, keys, now: clock.now, ...limits }) }),
  );
  await browser.post("/add", { username: "Ada" });
  clock.time += after * 1000;
  return /Your session ends [^<]*/.exec(await browser.get("/"))![0];
}

Deno.test("the home page says when the session ends if it is not used, and when it ends in any case", async () => {
  assertEquals(
    await sentence({ idle: MINUTE, absolute: 12 * HOUR }),
    "Your session ends in 60 seconds unless you use it, and in about 12 hours at the latest.",
  );
  assertEquals(
    await sentence({ idle: 30 * MINUTE, absolute: 30 * DAY }),
    "Your session ends in about 30 minutes unless you use it, and in about 30 days at the latest.",
  );
  assertEquals(
    await sentence({ idle: 1, absolute: 2 * MINUTE }),
    "Your session ends in 1 second unless you use it, and in about 2 minutes at the latest.",
  );
});

Deno.test("the home page names one time only where use no longer extends the session", async () => {
  assertEquals(await sentence({ idle: HOUR, absolute: HOUR }), "Your session ends in about 60 minutes.");
  assertEquals(await sentence({ idle: MINUTE, absolute: 90 }, 50), "Your session ends in 40 seconds.");
});

Deno.test("the home page counts down where only a change extends the session", async () => {
  assertEquals(
    await sentence({ idle: MINUTE, absolute: 12 * HOUR, refresh: false }, 45),
    "Your session ends in 15 seconds unless you use it, and in about 12 hours at the latest.",
  );
});
