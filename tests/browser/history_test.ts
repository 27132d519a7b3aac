/** The pages after some time, and after the back button, in each browser. Browsers differ most in this. */
import { assert, assertEquals } from "@std/assert";
import { type BrowserName, follow, type Page, register, type SceneOptions, submit, test, until } from "./scene.ts";

/** Presses the back button. No browser tells its driver reliably when a page has come from the back/forward cache. */
async function back(page: Page): Promise<void> {
  await page.evaluate("void history.back()").catch(() => {});
}

const heading = (text: string) => `document.querySelector("h1")?.innerText === ${JSON.stringify(text)}`;
const alert = (text: string) => `document.querySelector("[role=alert]")?.innerText === ${JSON.stringify(text)}`;
const problem = (text: string) => `document.querySelector(".problem")?.innerText === ${JSON.stringify(text)}`;
const ENDED = "Your session has ended, and your name was forgotten.";
const TOO_LONG = problem("Use 64 characters at most.");
const EMPTY = problem("Use at least one visible character.");

for (const browser of ["Chromium", "Firefox"] satisfies BrowserName[]) {
  for (const hasBackForwardCache of [true, false]) {
    const which = hasBackForwardCache ? "bfcache" : "no bfcache";
    const options: SceneOptions = { browser, hasBackForwardCache };

    test(`${which}: the back button shows a corrected form again`, async ({ open, origin }) => {
      const page = await open("/");
      await register(page, "W".repeat(70));
      await until(page, TOO_LONG);
      await submit(page, "\u200B");
      await until(page, EMPTY);
      await submit(page, "Ada");
      await until(page, heading("Hi, Ada!"));
      await back(page);
      await until(page, EMPTY);
      await back(page);
      await until(page, TOO_LONG);
      assertEquals(await page.evaluate("document.title"), "Error: Register – Session Server");
      // The form still works.
      await page.evaluate(`document.querySelector("input").value = "Grace"`);
      await page.evaluate(`document.querySelector("main > form").requestSubmit()`);
      await until(page, heading("Hi, Grace!"));
      const other = await page.context().newPage();
      await other.goto(`${origin}/`);
      assertEquals(await other.innerText("h1"), "Hi, Grace!");
    }, options);

    test(`${which}: the back button shows nothing private after a log-out`, async ({ open, origin }) => {
      const page = await open("/");
      await register(page, "Ada");
      // These private pages stay in the history after the log-out.
      for (const path of ["/?visit=2", "/add", "/?visit=3"]) await page.goto(origin + path);
      assertEquals(await page.innerText("h1"), "Hi, Ada!");
      await follow(page, "text=Log out");
      await until(page, alert("Username Removed from Session Storage."));
      for (const path of ["/?visit=3", "/add", "/?visit=2", "/", "/add", "/"]) {
        await back(page);
        await until(page, `location.pathname + location.search === ${JSON.stringify(path)}`);
        await until(page, `document.readyState === "complete" && document.querySelector("h1") !== null`);
        const shown = await page.evaluate<string>("document.body.innerText + document.querySelector('input')?.value");
        assert(!shown.includes("Ada"), `${path}: ${shown}`);
      }
    }, options);
  }

  test("a page renews itself when its session has ended, and says so", async ({ open, origin }) => {
    const page = await open("/");
    await register(page, "Ada");
    await until(page, heading("Hi, Ada!"));
    await until(page, alert(ENDED), 10);
    assertEquals(page.url(), `${origin}/?ended`);
    assertEquals(await page.innerText("h1"), "You Need to Register First!");
    await register(page, "Ada");
    await until(page, heading("Hi, Ada!"));
    assertEquals(page.url(), `${origin}/`);
  }, { browser, env: { PERMANENT_SESSION_LIFETIME: "3" } });

  test("a page that renews itself keeps no session alive; its link does", async ({ open }) => {
    const first = await open("/");
    await register(first, "Ada");
    await until(first, heading("Hi, Ada!"));
    const second = await first.context().newPage();
    // The first page renews itself while the visits of the second keep the session alive.
    for (let visit = 0; visit < 40 && !first.url().endsWith("/?ended"); visit++) {
      await second.goto(first.url());
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await until(first, `location.search === "?ended" && ${heading("Hi, Ada!")}`);
    await follow(first, "text=Keep my name");
    await until(first, `location.search === "?keep" && ${heading("Hi, Ada!")}`);
    for (const page of [first, second]) await until(page, alert(ENDED), 30);
  }, { browser, env: { PERMANENT_SESSION_LIFETIME: "8" } });

  test("a visitor who blocks cookies sees that they are needed", async ({ open }) => {
    const page = await open("/");
    assertEquals(await page.isVisible("[role=alert]"), false);
    await register(page, "Ada");
    await until(
      page,
      `document.querySelector("[role=alert]")?.innerText.includes("did not keep the cookie of this site")`,
    );
    assertEquals(await page.innerText("h1"), "You Need to Register First!");
    // A visitor who did not register sees no alert.
    await follow(page, "a.button");
    await follow(page, "header a");
    await until(page, heading("You Need to Register First!"));
    assertEquals(await page.isVisible("[role=alert]"), false);
    // Nor does a visitor who comes from an error page.
    await register(page, "W".repeat(20_000));
    await until(page, heading("That did not work"));
    await follow(page, "text=Home");
    await until(page, heading("You Need to Register First!"));
    assertEquals(await page.isVisible("[role=alert]"), false);
  }, { browser, blocksCookies: true });

  test("a log-out that comes too late says that the session had ended", async ({ open }) => {
    const page = await open("/");
    await register(page, "Ada");
    await until(page, heading("Hi, Ada!"));
    await page.context().clearCookies(); // As a browser does at the session's end.
    await follow(page, "text=Log out");
    await until(page, alert(ENDED));
  }, { browser });
}
