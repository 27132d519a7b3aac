/** The servers that are measured: ours, and each peer, as processes. */
import { startFlags } from "../support/server.ts";
import { KEY } from "./folders.ts";

const HERE = import.meta.dirname!;
const ROOT = new URL("../..", import.meta.url).pathname;

/** The npm packages of the peer on Node: installed into a temporary folder, for the length of a run. */
const EXPRESS = ["express@5.3.0", "express-session@1.19.0", "session-file-store@1.5.0", "ejs@7.0.2"];

/** A server under measurement. */
export interface Subject {
  readonly origin: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Thrown for a peer that cannot be had on this machine. */
export class Missing extends Error {}

/** Ours, as `deno task start` starts it, with a lifetime that outlasts the run, and room for all it makes. */
export async function ours(dir: string, max = 10_000_000): Promise<Subject> {
  const flags = await startFlags();
  return await start(() => [Deno.execPath(), "run", ...flags, `${ROOT}main.ts`], {
    LOG_LEVEL: "error",
    SECRET_KEY: KEY,
    SESSION_FILE_DIR: dir,
    PERMANENT_SESSION_LIFETIME: "3600",
    SESSION_MAX: String(max),
  });
}

/** Ours with a shared store, as `deno task start` starts it. */
export async function oursOn(type: string, url: string): Promise<Subject> {
  const lock = type === "sqlite" ? [] : [`--lock=${ROOT}lib/stores/${type}.lock`];
  const flags = await startFlags();
  return await start(() => [Deno.execPath(), "run", ...lock, ...flags, `${ROOT}main.ts`], {
    LOG_LEVEL: "error",
    SECRET_KEY: KEY,
    SESSION_TYPE: type,
    SESSION_URL: url,
    PERMANENT_SESSION_LIFETIME: "3600",
    SESSION_MAX: "10000000",
  });
}

/** A bare Deno.serve that answers `page`, and writes `record` for each POST; with all permissions unless `flags` say. */
export async function bare(
  folder: string,
  page: string,
  record: string,
  headers?: Headers,
  flags: string[] = ["-A"],
): Promise<Subject> {
  const pageFile = await Deno.makeTempFile({ dir: folder });
  const recordFile = await Deno.makeTempFile({ dir: folder });
  await Deno.writeTextFile(pageFile, page);
  await Deno.writeTextFile(recordFile, record);
  const more = headers === undefined ? [] : [JSON.stringify(Object.fromEntries(headers))];
  return await start((port) => [...deno("bare.ts", undefined, flags), port, pageFile, recordFile, ...more]);
}

/** A Deno that does nothing but listen. */
export function empty(): Promise<Subject> {
  return start((port) => [...deno("empty.ts"), port]);
}

/** hono and hono-sessions, memory store. */
export function hono(): Promise<Subject> {
  return start((port) => [...deno("hono_sessions.ts", "hono_sessions.lock"), port]);
}

/** Express, express-session and session-file-store. */
export async function express(folder: string): Promise<Subject> {
  const dir = `${folder}/express`;
  await Deno.mkdir(dir);
  for (const file of ["express_file.cjs", "page.ejs"]) await Deno.copyFile(`${HERE}/peers/${file}`, `${dir}/${file}`);
  await Deno.writeTextFile(`${dir}/package.json`, '{ "private": true }');
  const npm = ["npm", "install", "--save-exact", "--no-audit", "--no-fund", ...EXPRESS];
  await run(npm, "npm cannot install Express and what goes with it", dir);
  return await start((port) => ["node", `${dir}/express_file.cjs`, port], { NODE_ENV: "production" });
}

/** Flask and Flask-Session's file store, under gunicorn, by the system's own Python. */
export async function flask(folder: string): Promise<Subject> {
  const dir = `${folder}/flask`;
  await Deno.mkdir(dir);
  const check = ["/usr/bin/python3", "-c", "import flask, flask_session, gunicorn"];
  await run(check, "Python has no Flask, Flask-Session or gunicorn");
  const app = ["--chdir", `${HERE}/peers`, "flask_filesystem:app"];
  return await start(
    (
      port,
    ) => ["/usr/bin/python3", "-B", "-m", "gunicorn", "--log-level=warning", "-w1", "-b", `127.0.0.1:${port}`, ...app],
    { SESSION_FILE_DIR: dir },
  );
}

/** What was measured, and its versions, as far as it is there. */
export async function versions(): Promise<string[]> {
  const python = "from importlib.metadata import version as v; " +
    'print(f\'Flask {v("flask")}, Flask-Session {v("flask-session")}, gunicorn {v("gunicorn")}\')';
  const lines = await Promise.all([
    run(["/usr/bin/python3", "-c", python]).catch(() => "Flask: missing"),
    run(["node", "--version"]).then((version) => `Node ${version} with ${EXPRESS.join(", ")}`, () => "Node: missing"),
  ]);
  return [...lines, "hono 4.13.19, hono-sessions 0.8.1"];
}

function deno(peer: string, lock?: string, flags: string[] = ["-A"]): string[] {
  const locked = lock === undefined ? "--no-lock" : `--lock=${HERE}/peers/${lock}`;
  return [Deno.execPath(), "run", "--no-config", locked, ...flags, `${HERE}/peers/${peer}`];
}

async function run([program, ...args]: string[], missing = "", cwd?: string): Promise<string> {
  try {
    const options = { args, stdin: "null", stderr: "null", ...(cwd === undefined ? {} : { cwd }) } as const;
    const { success, stdout } = await new Deno.Command(program!, options).output();
    if (success) return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new Missing(missing);
}

/** Starts a server on a free port and waits for its first answer. */
async function start(command: (port: string) => string[], env: Record<string, string> = {}): Promise<Subject> {
  const port = freePort();
  const [program, ...args] = command(port);
  const child = new Deno.Command(program!, {
    args,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", PORT: port, ...env },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  let status: Deno.CommandStatus | undefined;
  child.status.then((ended) => status = ended);
  const origin = `http://127.0.0.1:${port}`;
  const stop = async () => {
    if (status === undefined) child.kill("SIGTERM");
    await child.status;
  };
  for (const since = performance.now(); performance.now() - since < 60_000;) {
    if (status !== undefined) {
      throw new Missing(`${program} ${args.join(" ")} ended with code ${(await child.status).code}`);
    }
    if (await answers(origin)) return { origin, pid: child.pid, stop };
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await stop();
  throw new Error(`${program} ${args.join(" ")} did not answer within a minute`);
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
