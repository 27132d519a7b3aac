/** A scene: a server, a real browser that visits it, and what a test does there. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { Server } from "../support/server.ts";

/** Which browser a scene is played in. */
export type BrowserName = "Chromium" | "Firefox";

// Where the browsers are. The tests of one that is not named are shown as ignored; all need the lock file beside this.
export const PATHS: Readonly<Record<BrowserName, string | undefined>> = {
  Chromium: Deno.env.get("TEST_CHROMIUM"),
  Firefox: Deno.env.get("TEST_FIREFOX"),
};

/** What is used here of playwright-core's types, which must not be needed where the tests are ignored. */
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
  /** Opens a visitor's own window at a path. */
  open(path: string, options?: Record<string, unknown>): Promise<Page>;
  /** What axe finds wrong with a page, a line each. */
  findViolations(page: Page): Promise<string[]>;
  /** Runs something while the server's store cannot be reached. */
  withoutStore(run: () => Promise<void>): Promise<void>;
}

/** What a scene needs other than usual. */
export interface SceneOptions {
  /** The browser: Chromium unless given. */
  browser?: BrowserName;
  /** The server's settings. */
  env?: Record<string, string>;
  /** Whether the browser keeps left pages alive for the back button: `false` unless given. */
  hasBackForwardCache?: boolean;
  /** Whether the browser takes no cookies: `false` unless given. */
  blocksCookies?: boolean;
}

/**
 * A test in a real browser. It also fails on any message on the console, and on any request to another host.
 *
 * @param name What is tested.
 * @param run Plays the scene.
 * @param options What it needs other than usual.
 */
export function test(name: string, run: (scene: Scene) => Promise<void>, options: SceneOptions = {}): void {
  const { browser = "Chromium" } = options;
  const executablePath = PATHS[browser];
  const isMissing = executablePath === undefined;
  Deno.test(`${browser}: ${name}`, { ignore: isMissing }, () => play(executablePath!, run, options));
}

/**
 * Plays a scene, with a server and a browser of its own.
 *
 * @param executablePath Where the browser is.
 * @param run Plays it.
 * @param options What it needs other than usual.
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
  const told = { console: [] as string[], requests: [] as string[] };
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
        browsers.record(context, told);
        const page: Page = await context.newPage();
        await page.goto(server.origin + path);
        return page;
      },
    });
    // The browser also says of a page with an error status that it has one; what the policy blocks, it says here, too.
    assertEquals(told.console.filter((line) => !/the server responded with a status of (4\d\d|503)/.test(line)), []);
    assertEquals(told.requests.filter((url) => !url.startsWith(`${server.origin}/`)), []);
    assertNotEquals(told.requests, []);
  } finally {
    await browser.close();
    await server.stop();
    Deno.removeSync(dir, { recursive: true });
  }
}

/** Clicks on what leads to another page. */
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

/** Waits until an expression holds in the page, whatever page that is by then; fails with the page's text. */
export async function until(page: Page, expression: string, seconds = 5): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!await page.evaluate<boolean>(expression).catch(() => false)) {
    if (performance.now() > deadline) {
      const text = await page.evaluate<string>("document.body.innerText").catch(String);
      throw new Error(`${expression} did not come true in ${seconds} s. The page at ${page.url()} says: ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Goes through every page and state in turn. */
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
