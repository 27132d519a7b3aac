/** Drives Chromium: contexts that record all that must not happen, and axe. Loaded by name, as it needs packages. */
// deno-lint-ignore-file no-import-prefix -- Only this file needs them, so only its lock file names them.
import axe from "npm:axe-core@4.14.1";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "npm:playwright-core@1.65.1";

/**
 * Starts Chromium.
 *
 * @param executablePath Where it is.
 * @param hasBackForwardCache Whether it keeps left pages alive for the back button, as for its users; playwright turns
 * that off, as it then cannot always take screenshots.
 */
export function launch(executablePath: string, hasBackForwardCache: boolean): Promise<Browser> {
  const quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", ...quiet],
    ignoreDefaultArgs: hasBackForwardCache ? ["--disable-back-forward-cache"] : [],
  });
}

/**
 * Opens a visitor's own browser window.
 *
 * @param browser The browser.
 * @param options Its size, colours and the like.
 * @param told Gets a line for each message on the console, and for each request.
 */
export async function openContext(
  browser: Browser,
  options: BrowserContextOptions,
  told: { console: string[]; requests: string[] },
) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.on("console", (message) => told.console.push(`${message.type()}: ${message.text()}`));
  context.on("weberror", ({ error }) => told.console.push(`error: ${error()}`));
  context.on("request", (request) => told.requests.push(request.url()));
  return context;
}

/** What axe finds wrong with the page, a line each. */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations, incomplete } = await page.evaluate("axe.run()") as axe.AxeResults;
  // What axe could not decide counts as well, so that nothing is passed over.
  return [...violations, ...incomplete].flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html}: ${node.failureSummary}`)
  );
}
