/** The program: serves the site, or runs the command that the arguments name. */
import { type Command, HELP, parseArguments, USAGE, UsageError } from "./lib/commands/arguments.ts";
import { createApp } from "./lib/server/app.ts";
import { loadConfig } from "./lib/server/config.ts";
import { endpointOf } from "./lib/server/listen.ts";
import { openStore } from "./lib/server/open_store.ts";
import { BOUND_PATH, type Visitor } from "./lib/server/pages.ts";
import { reasonOf } from "./lib/_reason.ts";
import { keysOf } from "./lib/server/secret_key.ts";
import { Server } from "./lib/server/serve.ts";
import { SessionManager } from "./lib/session_manager.ts";
import { withTelemetry } from "./lib/telemetry.ts";
import meta from "./deno.json" with { type: "json" };

async function serve(): Promise<void> {
  const { config, log } = loadConfig();
  const store = await openStore(config, log);
  const server = new Server(await endpointOf(config), log);
  // The key is made last, so that a start that fails leaves no key behind.
  const keys = keysOf(config, log);
  const { cookie, idle, absolute, refresh, permanent, origin, basePath, https } = config;
  const bound = config.bound ? { path: basePath + BOUND_PATH } : undefined;
  const options = { store, keys, cookie, idle, absolute, refresh, permanent, bound, log };
  const sessions = new SessionManager<Visitor>(withTelemetry(options));
  const logRequests = config.logLevel === "debug";
  const app = createApp({ sessions, store, origin, basePath, bound: config.bound, https, log, logRequests });
  server.serve(app, () => sessions.close());
}

const FAILURES: Readonly<Record<string, string>> = { serve: "Cannot start", health: "Not ready" };

async function run(command: Command): Promise<void> {
  try {
    if (command.name === "help") console.log(HELP);
    else if (command.name === "version") console.log(`session-server ${meta.version}`);
    else if (command.name === "serve") await serve();
    // These modules are loaded only if they are used: a start does not need them.
    else if (command.name === "health") await (await import("./lib/commands/health.ts")).checkHealth();
    else await (await import("./lib/commands/sessions.ts")).runSessions(command);
  } catch (error) {
    console.error(`${FAILURES[command.name] ?? "The command failed"}: ${reasonOf(error)}`);
    Deno.exit(1);
  }
}

try {
  await run(parseArguments(Deno.args));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${USAGE}\n\n${error.message}`);
  Deno.exit(2);
}
