/** The pages in a real browser, as visitors meet them: with mouse, keyboard, two tabs, the back button, small and dark. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { Server } from "../support/server.ts";

// The path of Chromium; without it these tests are shown as ignored. They need the lock file beside `browser/`.
const chromium = Deno.env.get("TEST_CHROMIUM");
const pictures = new URL("screenshots/", import.meta.url);

/** What is used here of playwright-core's types, which must not be needed where the tests are ignored. */
interface Page {
  goto(url: string): Promise<unknown>;
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
  context(): { newPage(): Promise<Page> };
}

/** A browser, and the server it visits. */
interface Scene {
  readonly origin: string;
  /** Opens a visitor's own window at a path. */
  open(path: string, options?: Record<string, unknown>): Promise<Page>;
  /** What axe finds wrong with a page, a line each. */
  findViolations(page: Page): Promise<string[]>;
}

interface SceneOptions {
  env?: Record<string, string>;
  hasBackForwardCache?: boolean;
}

function test(name: string, run: (scene: Scene) => Promise<void>, { env, hasBackForwardCache }: SceneOptions = {}) {
  Deno.test(`browser: ${name}`, { ignore: chromium === undefined }, async () => {
    // A computed name keeps playwright-core out of the module graph.
    const driver = await import(new URL("chromium.ts", import.meta.url).href);
    const dir = Deno.makeTempDirSync({ prefix: "session-server-" });
    const server = await Server.start({ SESSION_FILE_DIR: dir, ...env });
    const browser = await driver.launch(chromium, hasBackForwardCache ?? false);
    const told = { console: [] as string[], requests: [] as string[] };
    try {
      await run({
        origin: server.origin,
        findViolations: driver.findViolations,
        open: async (path, options = {}) => {
          const page: Page = await (await driver.openContext(browser, options, told)).newPage();
          await page.goto(server.origin + path);
          return page;
        },
      });
      // The browser also says of a page with an error status that it has one; what the policy blocks, it says here, too.
      assertEquals(told.console.filter((line) => !/the server responded with a status of 4\d\d/.test(line)), []);
      assertEquals(told.requests.filter((url) => !url.startsWith(`${server.origin}/`)), []);
      assertNotEquals(told.requests, []);
    } finally {
      await browser.close();
      await server.stop();
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

/** Clicks on what leads to another page. */
async function follow(page: Page, selector: string): Promise<void> {
  await page.click(selector);
  await page.waitForLoadState();
}

async function submit(page: Page, name: string): Promise<void> {
  await page.fill("input", name);
  await follow(page, "main > form button");
}

async function register(page: Page, name: string): Promise<void> {
  await follow(page, "a.button");
  await submit(page, name);
}

test("a visitor registers, is greeted, comes back, and logs out", async ({ open }) => {
  const page = await open("/");
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
  assertEquals(await page.isVisible("[role=alert]"), false);
  await follow(page, "a.button");
  assertEquals(await page.innerText("[role=alert]"), "Enter your username to continue.");
  await submit(page, "Ada <b>Lovelace</b>");
  for (let visit = 0; visit < 3; visit++) {
    assertEquals(await page.innerText("h1"), "Hi, Ada <b>Lovelace</b>!");
    assertEquals(await page.innerText("[role=alert]"), "Successfully registered username - Ada <b>Lovelace</b>.");
    await page.reload();
  }
  await follow(page, "text=Log out");
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
  assertEquals(await page.innerText("[role=alert]"), "Username Removed from Session Storage.");
});

test("an unused session is over after its time, which the page said in words", async ({ open }) => {
  const page = await open("/");
  await register(page, "Ada");
  assertMatch(
    await page.innerText("main"),
    /Your session ends in [23] seconds unless you use it, and in about 12 hours at the latest\./,
  );
  await new Promise((resolve) => setTimeout(resolve, 3100));
  await page.reload();
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
  assertEquals(await page.isVisible("[role=alert]"), false);
}, { env: { PERMANENT_SESSION_LIFETIME: "3" } });

for (const hasBackForwardCache of [true, false]) {
  const which = hasBackForwardCache ? "with" : "without";
  test(`the back button shows nothing private after logging out, ${which} the back/forward cache`, async ({ open }) => {
    const page = await open("/");
    await register(page, "Ada");
    // Private pages in the history that the log-out does not replace.
    await page.goto(`${page.url()}?visit=2`);
    await page.goto(new URL("/add", page.url()).href);
    await page.goto(new URL("/?visit=3", page.url()).href);
    assertEquals(await page.innerText("h1"), "Hi, Ada!");
    await follow(page, "text=Log out");
    await page.waitForSelector("text=Username Removed from Session Storage.");
    let steps = 0;
    while (await page.goBack() !== null) {
      steps++;
      const text = await page.innerText("body");
      assert(!text.includes("Ada"), `after ${steps} steps back: ${text}`);
      if (await page.isVisible("input")) assertEquals(await page.inputValue("input"), "");
    }
    assert(steps >= 4, `${steps} steps back`);
  }, { hasBackForwardCache });
}

test("two tabs are one visitor: logging out in one logs out in the other", async ({ open, origin }) => {
  const first = await open("/");
  const second = await first.context().newPage();
  await second.goto(`${origin}/`);
  await register(first, "Ada");
  await second.reload();
  assertEquals(await second.innerText("h1"), "Hi, Ada!");
  await second.goto(`${origin}/add`);
  await submit(second, "Grace");
  await first.reload();
  assertEquals(await first.innerText("h1"), "Hi, Grace!");
  await follow(first, "text=Log out");
  // The page that still shows the button must not fail.
  await follow(second, "text=Log out");
  for (const tab of [first, second]) assertEquals(await tab.innerText("h1"), "You Need to Register First!");
});

test("two visitors do not see each other", async ({ open }) => {
  const ada = await open("/");
  const grace = await open("/");
  await register(ada, "Ada");
  assertEquals(await grace.innerText("h1"), "You Need to Register First!");
  await register(grace, "Grace");
  await ada.reload();
  assertEquals(await ada.innerText("h1"), "Hi, Ada!");
});

test("a name that cannot be used stays in the form, with the reason tied to its field", async ({ open }) => {
  const page = await open("/add");
  const typed = `"><b>${"W".repeat(70)}`;
  await submit(page, typed);
  assertEquals(await page.inputValue("input"), typed);
  const field = `document.querySelector("input")`;
  const reason = `document.getElementById(${field}.getAttribute("aria-describedby")).innerText`;
  assertEquals(await page.evaluate(reason), "Use 64 characters at most.");
  assertEquals(await page.evaluate(`${field}.getAttribute("aria-invalid")`), "true");
  assertEquals(await page.evaluate(`document.activeElement === ${field}`), true);
  assert((await page.evaluate<string>("document.title")).startsWith("Error"));
  await submit(page, "Ada");
  assertEquals(await page.innerText("h1"), "Hi, Ada!");
});

test("everything can be done from the keyboard, and shows where it is", async ({ open }) => {
  const page = await open("/");
  const tabTo = async (name: string) => {
    await page.keyboard.press("Tab");
    const at = await page.evaluate<{ name: string; outline: string }>(`(() => {
      const { ariaLabel, labels, innerText } = document.activeElement;
      const style = getComputedStyle(document.activeElement);
      return { name: ariaLabel ?? labels?.[0]?.innerText ?? innerText, outline: style.outlineStyle + style.outlineWidth };
    })()`);
    assertEquals(at, { name, outline: "solid3px" });
  };
  await tabTo("Register");
  await page.keyboard.press("Enter");
  await page.waitForSelector("input");
  await tabTo("Close");
  await page.keyboard.press("Enter");
  assertEquals(await page.isVisible("[role=alert]"), false);
  await page.reload();
  await tabTo("Close");
  await tabTo("Username");
  await page.keyboard.type("Ada");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=Hi, Ada!");
  await tabTo("Close");
  await tabTo("Log out");
  await page.keyboard.press("Space");
  await page.waitForSelector("text=You Need to Register First!");
});

test("everything works without script, and an alert can be put away", async ({ open }) => {
  const page = await open("/", { javaScriptEnabled: false });
  await register(page, "Ada");
  assertEquals(await page.innerText("h1"), "Hi, Ada!");
  assertEquals(await page.isVisible("[role=alert]"), true);
  await page.click("dialog button");
  assertEquals(await page.isVisible("[role=alert]"), false);
  assertEquals(await page.innerText("h1"), "Hi, Ada!");
  await follow(page, "text=Log out");
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
});

/** Goes through every page and state in turn. */
async function visitAll(page: Page, { origin }: Scene, look: (state: string) => Promise<void>) {
  await page.goto(`${origin}/`);
  await look("home");
  await page.goto(`${origin}/add`);
  await look("form");
  await submit(page, "W".repeat(70));
  await look("error");
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

test("axe finds nothing wrong with any page in any state, light or dark", async (scene) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await scene.open("/", { colorScheme, bypassCSP: true });
    await visitAll(page, scene, async (state) => {
      assertEquals(await scene.findViolations(page), [], `${state}, ${colorScheme}`);
    });
  }
});

test("every page fits a window of 320 pixels and one of 1,280, with room for a finger on every button", async (scene) => {
  for (const width of [320, 1280]) {
    const page = await scene.open("/", { viewport: { width, height: 640 } });
    await visitAll(page, scene, async (state) => {
      const at = `${state} at ${width}`;
      assertEquals(await page.evaluate("document.documentElement.scrollWidth"), width, at);
      const boxes = await page.evaluate<{ left: number; right: number; width: number; height: number }[]>(
        `[...document.querySelectorAll("a, button, input, h1, p")].map((element) => element.getBoundingClientRect().toJSON())`,
      );
      for (const box of boxes) assert(box.left >= 0 && box.right <= width, `${at}: ${JSON.stringify(box)}`);
      const targets = await page.evaluate<number[]>(
        `[...document.querySelectorAll("a, button, input")].map((element) => element.getBoundingClientRect().height)`,
      );
      assert(targets.every((height) => height >= 44 && height < 60), `${at}: ${targets}`);
    });
  }
});

test("the pages are light or dark as the visitor's system is", async ({ open }) => {
  const brightness = async (colorScheme: string) => {
    const page = await open("/", { colorScheme });
    const color = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
    return Math.max(...color.match(/\d+/g)!.map(Number));
  };
  assert(await brightness("light") > 200);
  assert(await brightness("dark") < 60);
});

test("the pages make sense without their style sheet", async ({ open }) => {
  const page = await open("/");
  await register(page, "Ada");
  await page.evaluate(`document.querySelector("link").remove()`);
  await page.click("dialog button");
  assertEquals(await page.isVisible("[role=alert]"), false);
  await follow(page, "text=Log out");
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
});

/** What the pictures are made of, to tell whether they are of the current pages. */
function sourcesOfPictures(): string {
  const templates = new URL("../../templates/", import.meta.url);
  const names = [...Deno.readDirSync(templates)].map(({ name }) => name).sort();
  const lines = names.map((name) => {
    const hash = createHash("sha256").update(Deno.readFileSync(new URL(name, templates))).digest("hex");
    return `${hash}  templates/${name}\n`;
  });
  return lines.join("");
}

test("pictures for the README are taken", async (scene) => {
  for (const [colorScheme, width] of [["light", 640], ["dark", 640], ["light", 320]] as const) {
    const page = await scene.open("/", { colorScheme, viewport: { width, height: 480 } });
    await visitAll(page, scene, async (state) => {
      const path = new URL(`${state}-${width}-${colorScheme}.png`, pictures).pathname;
      if (["home", "form", "error", "registered"].includes(state)) await page.screenshot({ path });
    });
  }
  Deno.writeTextFileSync(new URL("sources.txt", pictures), sourcesOfPictures());
});

Deno.test("the README's pictures were taken of the current pages", () => {
  assertEquals(Deno.readTextFileSync(new URL("sources.txt", pictures)), sourcesOfPictures());
});
