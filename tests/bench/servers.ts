/** Starts the servers that are measured, as processes: ours, bare ones, and those of the peers. */
import { flagsOf } from "../../lib/commands/permissions.ts";
import { KEY } from "./folders.ts";
import { options } from "./options.ts";

/** A server that is measured: one process, or several at one port. */
export interface Subject {
  readonly origin: string;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** Thrown if this machine lacks something that a measurement needs. The message names it. */
export class Missing extends Error {}

/** Our server, as `deno task start` starts it. The lifetime and the maximum are large enough for the whole run. */
export async function ours(settings: Record<string, string>): Promise<Subject> {
  return await start(await ourCommand(), ourSettings(settings));
}

/** Our server, as several processes at one port. */
export async function oursTogether(count: number, settings: Record<string, string>): Promise<Subject> {
  const env = ourSettings({ ...settings, REUSE_PORT: "true" });
  const command = await ourCommand();
  const missing = () => new Missing("a server that starts with REUSE_PORT, on Linux");
  const first = await start(command, env).catch(() => {
    throw missing();
  });
  const others: Deno.ChildProcess[] = [];
  const stop = async () => {
    await Promise.all(others.map(end));
    await first.stop();
  };
  for (let more = 1; more < count; more++) {
    const port = new URL(first.origin).port;
    const child = spawn(command(port), { ...env, PORT: port }, "piped");
    others.push(child);
    // The first process already answers at the port, so this one is ready when it prints that it listens.
    if (!await prints(child, "Listening on")) {
      await stop();
      throw missing();
    }
  }
  return { origin: first.origin, pids: [...first.pids, ...others.map(({ pid }) => pid)], stop };
}

/** A program of `peers/` that Deno runs, with all permissions unless `flags` are given. */
export function deno(file: string, args: string[], flags: string[] = ["--no-lock", "-A"]): Promise<Subject> {
  const program = `${import.meta.dirname}/peers/${file}`;
  return start((port) => [Deno.execPath(), "run", "--no-config", ...flags, program, port, ...args]);
}

/** A bare `Deno.serve` that answers `page`, and writes `record` to a new file for each POST. */
export async function bare(
  folder: string,
  { page = "", record = "", headers, flags = ["-A"] }: {
    page?: string;
    record?: string;
    headers?: Headers | undefined;
    flags?: string[];
  },
): Promise<Subject> {
  const pageFile = await Deno.makeTempFile({ dir: folder });
  const recordFile = await Deno.makeTempFile({ dir: folder });
  await Deno.writeTextFile(pageFile, page);
  await Deno.writeTextFile(recordFile, record);
  const more = headers === undefined ? [] : [JSON.stringify(Object.fromEntries(headers))];
  return await deno("bare.ts", [pageFile, recordFile, ...more], ["--no-lock", ...flags]);
}

/** The least server that can register a visitor: it writes a file below a folder, and sends a signed id. */
export function least(folder: string, headers: Headers, flags: string[]): Promise<Subject> {
  return deno("least.ts", [folder, JSON.stringify(Object.fromEntries(headers))], ["--no-lock", ...flags]);
}

/** The permissions with which the measured checkout starts its server: the default set of its `deno.json`. */
export async function startFlags(): Promise<string[]> {
  const { permissions, tasks } = JSON.parse(await Deno.readTextFile(`${options.server}deno.json`));
  // An older checkout has no such sets: its flags are in the task.
  const flags = permissions === undefined
    ? tasks.start.replaceAll("'", "").match(/--(allow|ignore)-\S+/g)
    : flagsOf(permissions.default);
  return ["--quiet", "--no-prompt", ...flags];
}

/** Starts a server on a free port and waits for its first answer. */
export async function start(
  command: (port: string) => string[],
  env: Record<string, string> = {},
): Promise<Subject> {
  const port = freePort();
  const child = spawn(command(port), { ...env, PORT: port });
  let ended = false;
  child.status.then(() => ended = true);
  const origin = `http://127.0.0.1:${port}`;
  for (const since = performance.now(); performance.now() - since < 60_000;) {
    if (ended) break;
    if (await answers(origin)) return { origin, pids: [child.pid], stop: () => end(child) };
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await end(child);
  throw new Error(`Cannot measure: the server ${ended ? "ended" : "gave no answer"}: ${command(port).join(" ")}`);
}

async function ourCommand(): Promise<(port: string) => string[]> {
  const flags = await startFlags();
  const lock = [`--lock=${options.server}deno.lock`, "--frozen"];
  return () => [Deno.execPath(), "run", ...lock, ...flags, `${options.server}main.ts`];
}

function ourSettings(settings: Record<string, string>): Record<string, string> {
  return {
    LOG_LEVEL: "error",
    SECRET_KEY: KEY,
    PERMANENT_SESSION_LIFETIME: "3600",
    SESSION_MAX: "10000000",
    ...settings,
  };
}

function spawn([program, ...args]: string[], env: Record<string, string>, stdout: "null" | "piped" = "null") {
  try {
    return new Deno.Command(program!, {
      args,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
      stdin: "null",
      stdout,
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Missing(`needs ${program}`);
    throw error;
  }
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended already.
  }
  await child.status;
}

async function prints(child: Deno.ChildProcess, text: string): Promise<boolean> {
  let printed = "";
  for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
    printed += piece;
    if (printed.includes(text)) return true;
  }
  return false;
}

async function answers(origin: string): Promise<boolean> {
  try {
    const response = await fetch(origin);
    await response.body?.cancel();
    return true;
  } catch {
    return false;
  }
}

function freePort(): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return String(port);
}
