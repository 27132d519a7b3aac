/** The pages in a real browser, as visitors use them: with mouse or keyboard, in two tabs, without script or style. */
import { assert, assertEquals } from "@std/assert";
import { follow, register, submit, test } from "./scene.ts";

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
  // The second tab still shows the button, which must work.
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

test("a name that cannot be used stays in the form, with the reason", async ({ open }) => {
  const page = await open("/add");
  const typed = `"><b>${"W".repeat(70)}`;
  await submit(page, typed);
  assertEquals(await page.inputValue("input"), typed);
  const field = `document.querySelector("input")`;
  const reason = `document.getElementById(${field}.getAttribute("aria-describedby")).innerText`;
  assertEquals(await page.evaluate(reason), "Use 64 characters at most.");
  assertEquals(await page.evaluate(`${field}.getAttribute("aria-invalid")`), "true");
  assertEquals(await page.evaluate(`document.activeElement === ${field}`), true);
  // A screen reader reads only the problem, not an alert as well.
  assertEquals(await page.isVisible("[role=alert]"), false);
  assert((await page.evaluate<string>("document.title")).startsWith("Error"));
  await submit(page, "Ada");
  assertEquals(await page.innerText("h1"), "Hi, Ada!");
});

test("if the store is away, the form keeps the typed name", async ({ open, withoutStore }) => {
  const page = await open("/add");
  await withoutStore(() => submit(page, "Ada Lovelace"));
  assertEquals(await page.inputValue("input"), "Ada Lovelace");
  assertEquals(await page.evaluate(`document.activeElement === document.querySelector("input")`), true);
  assert((await page.innerText("[role=alert]")).endsWith("Please try again in a moment."));
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=Hi, Ada Lovelace!");
});

test("everything works with the keyboard, and the focus is visible", async ({ open }) => {
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
  await tabTo("Session Server");
  await tabTo("Register");
  await page.keyboard.press("Enter");
  await page.waitForSelector("input");
  await tabTo("Session Server");
  await tabTo("Message");
  await page.keyboard.press("Enter");
  assertEquals(await page.isVisible("[role=alert]"), false);
  await page.reload();
  await tabTo("Session Server");
  await tabTo("Message");
  await tabTo("Username");
  await page.keyboard.type("Ada");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=Hi, Ada!");
  await tabTo("Session Server");
  await tabTo("Message");
  await tabTo("Keep my name");
  await tabTo("Log out");
  await page.keyboard.press("Space");
  await page.waitForSelector("text=You Need to Register First!");
});

test("everything works without scripts, and an alert can be closed", async ({ open }) => {
  const page = await open("/", { javaScriptEnabled: false });
  await register(page, "Ada");
  assertEquals(await page.innerText("h1"), "Hi, Ada!");
  assertEquals(await page.isVisible("[role=alert]"), true);
  await page.click("summary");
  assertEquals(await page.isVisible("[role=alert]"), false);
  assertEquals(await page.innerText("h1"), "Hi, Ada!");
  await follow(page, "text=Log out");
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
});

test("the pages make sense without their style sheet", async ({ open }) => {
  const page = await open("/");
  await register(page, "Ada");
  await page.evaluate(`document.querySelector("link").remove()`);
  await page.click("summary");
  assertEquals(await page.isVisible("[role=alert]"), false);
  await follow(page, "text=Log out");
  assertEquals(await page.innerText("h1"), "You Need to Register First!");
});
