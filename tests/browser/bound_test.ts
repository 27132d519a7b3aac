/** Device-bound sessions in real browsers: Chromium, with keys in software, and Firefox, which cannot bind sessions. */
import { assert, assertEquals } from "@std/assert";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { makeCertificate } from "../support/certificate.ts";
import { type Page, PATHS } from "./scene.ts";

/** How long the second cookie lives, in seconds. Chromium allows some six renewals in a row. */
const LIFETIME = 10;

/** A profile of a browser. */
interface Profile {
  newPage(): Promise<Page>;
  cookies(): Promise<{ name: string }[]>;
  addCookies(cookies: { name: string }[]): Promise<void>;
  close(): Promise<void>;
}

/** A program over https that logs a user in, answers the user's name, and logs the user out. */
function serve() {
  const { cert, key } = makeCertificate();
  const clock = { ahead: 0 };
  const sessions = new SessionManager({
    store: new MemoryStore(),
    keys: ["a key of these tests that is 32 bytes or longer"],
    cookie: { name: "__Host-session", secure: true },
    bound: { path: "/bound", lifetime: LIFETIME },
    now: () => Date.now() + clock.ahead,
    log: () => {},
  });
  const paths: string[] = [];
  const handler = sessions.wrap(async (_request, open) => {
    const session = await open();
    if (paths.at(-1) === "/in") session.logIn("Ada");
    if (paths.at(-1) === "/out") session.logOut();
    const body = `<title>Page</title><link rel="icon" href="data:,"><p>${
      session.user ?? "no one"
    }, ${session.isBound}</p>`;
    return new Response(body, { headers: { "content-type": "text/html" } });
  });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} }, async (request) => {
    paths.push(new URL(request.url).pathname);
    return await (sessions.answerBound(request) ?? handler(request));
  });
  return { cert, clock, paths, port: server.addr.port, stop: () => server.shutdown() };
}

async function says(page: Page, url: string): Promise<string> {
  await page.goto(url);
  return await page.innerText("p");
}

/** Waits until the second cookie has expired in the browser. */
function wait(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LIFETIME * 1000 + 500));
}

Deno.test("Chromium: a bound session works where its key is, and nowhere else", {
  ignore: PATHS.Chromium === undefined,
}, async () => {
  const { launchBound } = await import(new URL("browsers.ts", import.meta.url).href);
  const { cert, clock, paths, port, stop } = serve();
  const origin = `https://app.example.test:${port}`;
  const launch = () => launchBound(PATHS.Chromium!, cert) as Promise<Profile>;
  const [owner, thief] = [await launch(), await launch()];
  try {
    const [page, copy] = [await owner.newPage(), await thief.newPage()];
    await says(page, `${origin}/in`);
    for (let i = 0; i < 100 && !paths.includes("/bound/register"); i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assertEquals(await says(page, origin), "Ada, true");
    await thief.addCookies(await owner.cookies());
    assertEquals((await thief.cookies()).map(({ name }) => name).sort(), ["__Host-session", "__Host-session-bound"]);

    for (let renewal = 0; renewal < 2; renewal++) {
      await wait();
      assertEquals(await says(page, origin), "Ada, true");
    }
    assert(paths.filter((path) => path === "/bound/refresh").length >= 2, paths.join());
    // The second cookie has expired, and so has the minute by which clocks may differ.
    clock.ahead = 75_000;
    assertEquals(await says(copy, origin), "no one, false");
    clock.ahead = 0;
    assertEquals(await says(page, origin), "Ada, true");

    assertEquals(await says(page, `${origin}/out`), "no one, false");
    assertEquals(await says(page, origin), "no one, false");
    assertEquals(await owner.cookies(), []);
  } finally {
    await owner.close();
    await thief.close();
    await stop();
  }
});

Deno.test("Firefox: a browser that cannot bind sessions gets ordinary ones", {
  ignore: PATHS.Firefox === undefined,
}, async () => {
  const { launchFirefox } = await import(new URL("browsers.ts", import.meta.url).href);
  const { clock, paths, port, stop } = serve();
  const browser = await launchFirefox({
    executablePath: PATHS.Firefox!,
    hasBackForwardCache: false,
    blocksCookies: false,
  });
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page: Page = await context.newPage();
    await says(page, `https://localhost:${port}/in`);
    clock.ahead = 600_000;
    assertEquals(await says(page, `https://localhost:${port}/`), "Ada, false");
    assert(!paths.some((path) => path.startsWith("/bound/")));
  } finally {
    await browser.close();
    await stop();
  }
});
