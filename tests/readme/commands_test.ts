/** Runs the commands of the documents, word for word, in a copy of the project. */
import { assert } from "@std/assert";
import { SETTINGS } from "../../lib/server/settings.ts";

// The blocks "```sh" run in order. The blocks "```sh slow", and those with a task that does not serve, take long or
// need a network, so they run only if this is "all". Blocks that run the tests are left out, because this is one of the
// tests. A block is over when its script ends or prints that a server listens. That server runs until the next one
// starts. Blocks that are only to be read are "console" or "text". The programs in "ts" blocks run in other tests.
const RUNS_SLOW = Deno.env.get("TEST_README") === "all";
const RUNS_TESTS = /task (test|ok)\b/;
const QUICK = 20_000;
const SLOW = 600_000;

const root = new URL("../..", import.meta.url).pathname;
const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "lib/README.md",
  "lib/stores/README.md",
  "lib/commands/README.md",
  "tests/bench/README.md",
  "tests/faults/README.md",
  "tests/model/README.md",
];
const blocks = DOCUMENTS.flatMap((document) => {
  const text = Deno.readTextFileSync(root + document);
  return [...text.matchAll(/^```sh( slow)?\n(.*?)^```$/gms)].map(([, slow, script = ""]) => ({
    document,
    isSlow: slow !== undefined || /task (?!(--\S+ )*(start|dev)\b)/.test(script),
    script,
  }));
});

/** A server that a block started. */
interface Server {
  readonly process: Deno.ChildProcess;
  readonly output: Promise<unknown>;
}

Deno.test({
  name: "documents: every command does what it says",
  ignore: Deno.build.os === "windows",
  fn: async (t) => {
    assert(blocks.some(({ script }) => script.includes("task start")), "the README must say how to start the server");
    const folder = Deno.makeTempDirSync({ prefix: "session-server-readme-" });
    const project = `${folder}/project`;
    const port = freePort();
    const env = environment(`${folder}/bin`, port);
    copyProject(root, project);
    let server: Server | undefined;
    try {
      for (const { document, script, isSlow } of blocks) {
        await t.step({
          name: `${document}: ${script.trim().split("\n")[0]}`,
          ignore: RUNS_TESTS.test(script) || (!RUNS_SLOW && (isSlow || !hasPrograms(script))),
          // A server may run longer than its step.
          sanitizeOps: false,
          sanitizeResources: false,
          fn: async () => {
            if (/task (--\S+ )*(start|dev)\b|\bmain\.ts\b|dist\/session-server/.test(script)) {
              await stop(server);
              server = undefined;
            }
            const started = await run(script.replaceAll(":8000", `:${port}`), project, env, isSlow ? SLOW : QUICK);
            if (started === undefined) return;
            await stop(server);
            server = started;
          },
        });
      }
    } finally {
      await stop(server);
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

/** Runs a script until it succeeds or a server listens. Throws if it fails, or does neither in time. */
async function run(
  script: string,
  cwd: string,
  env: Record<string, string>,
  limit: number,
): Promise<Server | undefined> {
  // The script has its own process group, so that all of its processes can be ended.
  const process = new Deno.Command("sh", {
    args: ["-e", "-c", script],
    cwd,
    env,
    clearEnv: true,
    detached: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let printed = "";
  const listens = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      printed += text;
      const [, origin] = /^Listening on (\S+)\/$/m.exec(printed) ?? [];
      if (origin !== undefined) listens.resolve(origin);
    }
  };
  const output = Promise.all([read(process.stdout), read(process.stderr)]);
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), limit);
  const outcome = await Promise.race([listens.promise, late.promise, process.status]);
  clearTimeout(timer);
  if (outcome === "late") {
    end(process, "SIGKILL");
    await output;
    throw new Error(`neither ended nor listened within ${limit / 1000} seconds:\n${script}\n${printed}`);
  }
  if (typeof outcome === "string") {
    const { hostname, port } = new URL(outcome);
    (await Deno.connect({ hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) })).close();
    return { process, output };
  }
  await output;
  if (!outcome.success) throw new Error(`exit code ${outcome.code}:\n${script}\n${printed}`);
}

async function stop(server: Server | undefined): Promise<void> {
  if (server === undefined) return;
  end(server.process, "SIGTERM");
  const timer = setTimeout(() => end(server.process, "SIGKILL"), 6000);
  await server.process.status;
  await server.output;
  clearTimeout(timer);
}

function end(process: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    Deno.kill(-process.pid, signal);
  } catch {
    // It has ended already.
  }
}

/** The environment without settings. `PATH` begins with a folder that has `deno`, and `npx` unless slow blocks run. */
function environment(bin: string, port: number): Record<string, string> {
  Deno.mkdirSync(bin);
  const shim = (name: string, lines: string) => {
    Deno.writeTextFileSync(`${bin}/${name}`, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  };
  shim("deno", `exec '${Deno.execPath()}' "$@"`);
  if (!RUNS_SLOW) shim("npx", `[ "$1" = -y ] && shift\nshift\nexec '${Deno.execPath()}' "$@"`);
  const env = Deno.env.toObject();
  for (const name of Object.keys(env)) {
    if (name.startsWith("TEST_") || name in SETTINGS) delete env[name];
  }
  return { ...env, PATH: `${bin}:${env.PATH}`, PORT: String(port), NO_COLOR: "1" };
}

/** Whether the system has the programs with which the lines of a script begin. */
function hasPrograms(script: string): boolean {
  const names = script.replaceAll("\\\n", " ").split("\n").map((line) => /^(?:\w+=\S* +)*([\w.-]+)/.exec(line)?.[1]);
  const builtin = ["deno", "npx", "cd", "export", "set", "test"];
  const path = Deno.env.get("PATH")!.split(":");
  return names.every((name) =>
    name === undefined || builtin.includes(name) || path.some((folder) => isFile(`${folder}/${name}`))
  );
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function copyProject(from: string, to: string): void {
  Deno.mkdirSync(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (name === ".git" || name === "dist" || name === "session_data") continue;
    if (isDirectory) copyProject(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
