/** Scenes: tests with a server, and a real browser that visits it. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { Server } from "../support/server.ts";

/** The browser of a scene. */
export type BrowserName = "Chromium" | "Firefox";

// The paths of the browsers. Without its path, a browser's tests are ignored. All need the lock file of this folder.
export const PATHS: Readonly<Record<BrowserName, string | undefined>> = {
  Chromium: Deno.env.get("TEST_CHROMIUM"),
  Firefox: Deno.env.get("TEST_FIREFOX"),
};

/** The parts of playwright-core's types that are used. The package must not be needed if the tests are ignored. */
export interface Page {
  goto(url: string, options?: { referer: string }): Promise<unknown>;
  reload(): Promise<unknown>;
  goBack(): Promise<unknown>;
  fill(selector: string, value: string): Promise<void>;
  click(selector: string): Promise<void>;
  inputValue(selector: string): Promise<string>;
  innerText(selector: string): Promise<string>;
  isVisible(selector: string): Promise<boolean>;
  waitForSelector(selector: string): Promise<unknown>;
  waitForLoadState(): Promise<void>;
  evaluate<T>(expression: string): Promise<T>;
  screenshot(options: { path: string }): Promise<unknown>;
  url(): string;
  keyboard: { press(key: string): Promise<void>; type(text: string): Promise<void> };
  context(): { newPage(): Promise<Page>; clearCookies(): Promise<void> };
}

/** A browser, and the server it visits. */
export interface Scene {
  readonly origin: string;
  /** Opens a window for a visitor, with its own cookies, at a path. */
  open(path: string, options?: Record<string, unknown>): Promise<Page>;
  /** The faults that axe finds in a page, one line each. */
  findViolations(page: Page): Promise<string[]>;
  /** Runs something while the server's store cannot be reached. */
  withoutStore(run: () => Promise<void>): Promise<void>;
}

/** The options of a scene. */
export interface SceneOptions {
  /** The browser: Chromium unless given. */
  browser?: BrowserName;
  /** The server's settings. */
  env?: Record<string, string>;
  /** Whether the browser keeps left pages for the back button: `false` unless given. */
  hasBackForwardCache?: boolean;
  /** Whether the browser blocks cookies: `false` unless given. */
  blocksCookies?: boolean;
}

/**
 * A test in a real browser. It also fails on any message on the console, and on any request to another host.
 *
 * @param name The name of the test.
 * @param run Plays the scene.
 * @param options The options that differ from the defaults.
 */
export function test(name: string, run: (scene: Scene) => Promise<void>, options: SceneOptions = {}): void {
  const { browser = "Chromium" } = options;
  const executablePath = PATHS[browser];
  const isMissing = executablePath === undefined;
  Deno.test(`${browser}: ${name}`, { ignore: isMissing }, () => play(executablePath!, run, options));
}

/**
 * Plays a scene with a new server and a new browser.
 *
 * @param executablePath The path of the browser.
 * @param run Plays the scene.
 * @param options The options that differ from the defaults.
 */
export async function play(
  executablePath: string,
  run: (scene: Scene) => Promise<void>,
  options: SceneOptions = {},
): Promise<void> {
  const { browser: name = "Chromium", env, hasBackForwardCache = false, blocksCookies = false } = options;
  // A computed name keeps playwright-core out of the module graph.
  const browsers = await import(new URL("browsers.ts", import.meta.url).href);
  const dir = Deno.makeTempDirSync({ prefix: "session-server-" });
  const server = await Server.start({ SESSION_FILE_DIR: dir, ...env });
  const launch = name === "Chromium" ? browsers.launchChromium : browsers.launchFirefox;
  const browser = await launch({ executablePath, hasBackForwardCache, blocksCookies });
  const recorded = { console: [] as string[], requests: [] as string[] };
  try {
    await run({
      origin: server.origin,
      findViolations: browsers.findViolations,
      withoutStore: async (run) => {
        Deno.renameSync(dir, `${dir}-away`);
        try {
          await run();
        } finally {
          Deno.renameSync(`${dir}-away`, dir);
        }
      },
      open: async (path, options = {}) => {
        const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
        browsers.record(context, recorded);
        const page: Page = await context.newPage();
        await page.goto(server.origin + path);
        return page;
      },
    });
    // The browser reports requests that the policy blocks here. It also reports error statuses, which are expected.
    assertEquals(
      recorded.console.filter((line) => !/the server responded with a status of (4\d\d|503)/.test(line)),
      [],
    );
    assertEquals(recorded.requests.filter((url) => !url.startsWith(`${server.origin}/`)), []);
    assertNotEquals(recorded.requests, []);
  } finally {
    await browser.close();
    await server.stop();
    Deno.removeSync(dir, { recursive: true });
  }
}

/** Clicks on a link or button that leads to another page. */
export async function follow(page: Page, selector: string): Promise<void> {
  await page.click(selector);
  await page.waitForLoadState();
}

/** Sends the form with a name. */
export async function submit(page: Page, name: string): Promise<void> {
  await page.fill("input", name);
  await follow(page, "main > form button");
}

/** Registers from the home page. */
export async function register(page: Page, name: string): Promise<void> {
  await follow(page, "a.button");
  await submit(page, name);
}

/** Waits until an expression is true in the page, even if the page changes. Throws with the page's text. */
export async function until(page: Page, expression: string, seconds = 5): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!await page.evaluate<boolean>(expression).catch(() => false)) {
    if (performance.now() > deadline) {
      const text = await page.evaluate<string>("document.body.innerText").catch(String);
      throw new Error(`${expression} was not true within ${seconds} s. The page at ${page.url()} has: ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Visits every page in each of its states. */
export async function visitAll(page: Page, scene: Scene, look: (state: string) => Promise<void>): Promise<void> {
  const { origin } = scene;
  await page.goto(`${origin}/`);
  await look("home");
  await page.goto(`${origin}/?ended`);
  await look("ended");
  await page.goto(`${origin}/`, { referer: `${origin}/add` });
  await look("no-cookie");
  await page.goto(`${origin}/add`);
  await look("form");
  await submit(page, "W".repeat(70));
  await look("error");
  await scene.withoutStore(() => submit(page, "W".repeat(64)));
  await look("store-away");
  await submit(page, "W".repeat(64));
  await look("longest-name");
  await follow(page, "text=Log out");
  await look("logged-out");
  await register(page, "Ada Lovelace");
  await look("registered");
  await follow(page, "text=Log out");
  await page.goto(`${origin}/nowhere`);
  await look("no-such-page");
}
