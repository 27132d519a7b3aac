/** Starts Chromium and Firefox, records their messages and requests, and runs axe. It needs packages. */
// deno-lint-ignore-file no-import-prefix -- Only this file needs them, so only its lock file names them.
import { createHash, X509Certificate } from "node:crypto";
import axe from "npm:axe-core@4.14.1";
// Later versions need a command (emulation.setMediaFeaturesOverride) that Firefox ESR does not have.
import {
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  firefox,
  type Page,
} from "npm:playwright-core@1.64.1";

/** The options of a browser. */
export interface LaunchOptions {
  /** The path of the program. */
  readonly executablePath: string;
  /** Whether it keeps left pages for the back button, as browsers do. Playwright turns that off in Chromium. */
  readonly hasBackForwardCache: boolean;
  /** Whether it blocks all cookies. */
  readonly blocksCookies: boolean;
}

/** A browser that was started. */
export interface Driver {
  /** Opens a window for a visitor, with its own cookies. */
  newContext(options: BrowserContextOptions): Promise<BrowserContext>;
  close(): Promise<void>;
}

/** Starts Chromium. */
export async function launchChromium(options: LaunchOptions): Promise<Driver> {
  const { executablePath, hasBackForwardCache, blocksCookies } = options;
  const quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const launch = {
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", ...quiet],
    ignoreDefaultArgs: hasBackForwardCache ? ["--disable-back-forward-cache"] : [],
  };
  if (!blocksCookies) return await chromium.launch(launch);
  // Blocking cookies is a setting of a profile.
  const profile = Deno.makeTempDirSync({ prefix: "session-server-" });
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  Deno.mkdirSync(`${profile}/Default`);
  Deno.writeTextFileSync(`${profile}/Default/Preferences`, JSON.stringify(preferences));
  const context = await chromium.launchPersistentContext(profile, launch);
  return {
    newContext: () => Promise.resolve(context),
    close: async () => {
      await context.close();
      await removeProfile(profile);
    },
  };
}

/**
 * Starts Chromium with a profile that binds sessions to keys. The keys are in software, because a test machine has no
 * hardware for them. The browser accepts one certificate, and resolves app.example.test to this machine.
 *
 * @param executablePath The path of the program.
 * @param cert The certificate, as PEM.
 */
export async function launchBound(executablePath: string, cert: string): Promise<BrowserContext> {
  const key = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
  const profile = Deno.makeTempDirSync({ prefix: "session-server-" });
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
      ...["--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP app.example.test 127.0.0.1"],
      "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
      `--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`,
    ],
  });
  const close = context.close.bind(context);
  context.close = async () => {
    await close();
    await removeProfile(profile);
  };
  return context;
}

/** Removes a browser's profile, into which its last processes may still write for a moment. */
async function removeProfile(profile: string): Promise<void> {
  for (let attempts = 1;; attempts++) {
    try {
      return await Deno.remove(profile, { recursive: true });
    } catch (error) {
      if (attempts === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Starts Firefox as Mozilla and Debian ship it, by WebDriver BiDi. */
export async function launchFirefox(options: LaunchOptions): Promise<Driver> {
  const { executablePath, hasBackForwardCache, blocksCookies } = options;
  return await firefox.launch({
    executablePath,
    channel: "moz-firefox",
    firefoxUserPrefs: {
      ...(hasBackForwardCache
        ? {}
        : { "fission.bfcacheInParent": false, "browser.sessionhistory.max_total_viewers": 0 }),
      ...(blocksCookies ? { "network.cookie.cookieBehavior": 2 } : {}),
    },
  });
}

/** Records each message on the console of a window, and the address of each request. */
export function record(context: BrowserContext, recorded: { console: string[]; requests: string[] }): void {
  context.on("console", (message) => recorded.console.push(`${message.type()}: ${message.text()}`));
  context.on("weberror", ({ error }) => recorded.console.push(`error: ${error()}`));
  context.on("request", (request) => recorded.requests.push(request.url()));
}

/** The faults that axe finds in a page, one line each. Text must have a contrast of 7:1 (WCAG 2, level AAA). */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const run = `axe.run({ rules: { "color-contrast-enhanced": { enabled: true } } })`;
  const { violations, incomplete } = await page.evaluate(run) as axe.AxeResults;
  // Rules that axe could not decide count as faults, too.
  return [...violations, ...incomplete].flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html}: ${node.failureSummary}`)
  );
}
