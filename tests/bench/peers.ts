/** The peers: servers of other libraries that do the same job. They are installed once, into a cache folder. */
import { createHash } from "node:crypto";
import { deno, Missing, start, type Subject } from "./servers.ts";

const PEERS = `${import.meta.dirname}/peers`;
const CACHE = `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/session-server-bench`;

/** A folder for the files of a peer, and the files of our pages, which some peers answer. */
export interface Place {
  readonly dir: string;
  /** The page of a user, with the placeholders `{{.User}}` and `{{.Greet}}`. */
  readonly userPage: string;
  readonly strangerPage: string;
}

export interface Peer {
  readonly name: string;
  /** Its packages, with their versions. */
  readonly software: string;
  /** A command that prints the version of the program that runs it. */
  readonly runtime: string[];
  /** How much our server should be worth compared with it, by processor time and by rate. */
  readonly target?: number;
  start(place: Place): Promise<Subject>;
}

/** All peers. */
export const peers: readonly Peer[] = [
  {
    name: "hono-sessions, memory",
    software: "hono 4.13.19, hono-sessions 0.8.1",
    runtime: [Deno.execPath(), "--version"],
    target: 20,
    start: () => deno("hono_sessions.ts", [], [`--lock=${PEERS}/hono_sessions.lock`, "-A"]),
  },
  {
    name: "session-file-store",
    software: "Express 5.3.0, express-session 1.19.0, session-file-store 1.5.0, EJS 7.0.2",
    runtime: ["node", "--version"],
    target: 70,
    async start({ dir }) {
      const peer = await installed("express", [["npm", "ci", "--no-audit", "--no-fund"]]);
      const env = { NODE_ENV: "production", SESSION_FILE_DIR: dir };
      return await start((port) => ["node", `${peer}/server.cjs`, port], env);
    },
  },
  {
    name: "Flask-Session, files",
    software: "Flask 3.1.3, Flask-Session 0.8.0, gunicorn 27.0.1",
    runtime: ["python3", "--version"],
    async start({ dir }) {
      const peer = await installed("flask", [
        ["python3", "-m", "venv", "venv"],
        ["venv/bin/pip", "install", "--no-deps", "-r", "requirements.txt"],
      ]);
      const app = ["--log-level=warning", "--chdir", peer, "-w1", "server:app"];
      const gunicorn = [`${peer}/venv/bin/python`, "-m", "gunicorn", ...app];
      return await start((port) => [...gunicorn, "-b", `127.0.0.1:${port}`], { SESSION_FILE_DIR: dir });
    },
  },
  {
    name: "scs, memory",
    software: "scs 2.9.0",
    runtime: ["go", "version"],
    target: 2,
    async start({ userPage, strangerPage }) {
      const peer = await installed("scs", [["go", "build", "-o", "server", "."]]);
      return await start((port) => [`${peer}/server`, port, userPage, strangerPage]);
    },
  },
  {
    name: "tower-sessions, memory",
    software: "tower-sessions 0.15.0, axum 0.8.9",
    runtime: ["rustc", "--version"],
    target: 0.5,
    async start({ userPage, strangerPage }) {
      const peer = await installed("tower_sessions", [["cargo", "build", "--release", "--locked"]]);
      const program = `${peer}/target/release/tower_sessions_peer`;
      return await start((port) => [program, port, userPage, strangerPage]);
    },
  },
];

/** A line for each peer, with its packages and the version of the program that runs it. */
export async function versions(): Promise<string[]> {
  return await Promise.all(peers.map(async ({ software, runtime }) => {
    try {
      return `${software}; ${(await run(runtime)).split("\n")[0]}`;
    } catch {
      return `${software}: missing, needs ${runtime[0]}`;
    }
  }));
}

/** Copies a peer into the cache folder and runs the steps there, unless that was done before. Returns its folder. */
async function installed(name: string, steps: string[][]): Promise<string> {
  const files = listFiles(`${PEERS}/${name}`);
  const hash = createHash("sha256");
  for (const file of files) hash.update(file).update(Deno.readFileSync(`${PEERS}/${name}/${file}`));
  const dir = `${CACHE}/${name}-${hash.digest("hex").slice(0, 16)}`;
  const ready = `${dir}/.ready`;
  if (await Deno.stat(ready).then(() => true, () => false)) return dir;
  console.error(`Installing the peer in ${dir}`);
  await Deno.remove(dir, { recursive: true }).catch(() => {});
  for (const file of files) {
    Deno.mkdirSync(`${dir}/${file}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.copyFileSync(`${PEERS}/${name}/${file}`, `${dir}/${file}`);
  }
  for (const step of steps) await run(step, dir);
  await Deno.writeTextFile(ready, "");
  return dir;
}

/** The files below a folder, by their paths in it. */
function listFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? listFiles(`${folder}/${name}`).map((file) => `${name}/${file}`) : [name]
  ).sort();
}

/** Runs a command and returns what it prints. */
async function run([program, ...args]: string[], cwd = PEERS): Promise<string> {
  const path = program!.includes("/") && !program!.startsWith("/") ? `${cwd}/${program}` : program!;
  try {
    const { success, stdout, stderr } = await new Deno.Command(path, { args, cwd, stdin: "null" }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
    const lines = new TextDecoder().decode(stderr).trim().split("\n");
    throw new Missing(`"${[program, ...args].join(" ")}" fails: ${lines.at(-1)}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Missing(`needs ${program}`);
    throw error;
  }
}
