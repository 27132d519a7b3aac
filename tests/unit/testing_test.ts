/** The helpers for tests of other programs, and the suite for the memory store. */
import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock, cookieFor, testStore } from "../../lib/testing.ts";
import { site } from "../support/site.ts";

let store: MemoryStore | undefined;
testStore({
  name: "memory store",
  open: (options) => store ??= new MemoryStore(options),
  clear: () => void (store = undefined),
  counts: true,
});

Deno.test("testing: cookieFor stores a session with or without a user, even an empty one", async () => {
  const { browser, sessions, request } = site();
  const open = async (cookie: string) => {
    browser.cookies.set("session", cookie.replace("session=", ""));
    return await sessions.open(request());
  };
  const ada = await open(await cookieFor(sessions, { n: 1, list: ["a"] }, { user: "ada" }));
  assertEquals([ada.user, ada.data], ["ada", { n: 1, list: ["a"] }]);
  const guest = await open(await cookieFor(sessions, { n: 2 }));
  assertEquals([guest.user, guest.data], [undefined, { n: 2 }]);
  assertEquals((await open(await cookieFor(sessions, {}))).handle === undefined, false);
});

Deno.test("testing: a clock stands still until a test moves it", () => {
  const clock = new Clock(5000);
  assertEquals([clock.now(), clock.now()], [5000, 5000]);
  clock.pass(2);
  clock.pass(-1);
  assertEquals(clock.now(), 6000);
});
