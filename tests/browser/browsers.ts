/** Drives Chromium and Firefox: visitors' windows that record what must not happen, and axe. Loaded by name, as it needs packages. */
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

/** What a browser is started with. */
export interface LaunchOptions {
  /** Where it is. */
  readonly executablePath: string;
  /** Whether it keeps left pages alive for the back button, as for its users; playwright turns that off in Chromium. */
  readonly hasBackForwardCache: boolean;
  /** Whether its user has forbidden cookies. */
  readonly blocksCookies: boolean;
}

/** A browser. */
export interface Driver {
  /** Opens a visitor's own window, of a size, with colours and the like. */
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
  // That is a setting of a profile.
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
 * Starts Chromium with a profile of its own that binds sessions to keys, which a test machine can only have in software.
 * It takes one certificate, and a host name that is not this machine's.
 *
 * @param executablePath Where it is.
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

/** Has a line for each message on the console of a window, and for each request, put into `told`. */
export function record(context: BrowserContext, told: { console: string[]; requests: string[] }): void {
  context.on("console", (message) => told.console.push(`${message.type()}: ${message.text()}`));
  context.on("weberror", ({ error }) => told.console.push(`error: ${error()}`));
  context.on("request", (request) => told.requests.push(request.url()));
}

/** What axe finds wrong with the page, a line each; text must have a contrast of 7:1 (WCAG 2, level AAA). */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const run = `axe.run({ rules: { "color-contrast-enhanced": { enabled: true } } })`;
  const { violations, incomplete } = await page.evaluate(run) as axe.AxeResults;
  // What axe could not decide counts as well, so that nothing is passed over.
  return [...violations, ...incomplete].flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html}: ${node.failureSummary}`)
  );
}
