/** The first start in a terminal, before anything is downloaded: the server's lines stay on the screen. */
import { assert, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const SCRIPT = "/usr/bin/script";
const ROOT = new URL("../..", import.meta.url).pathname;
const PACKAGES = ["deno-std", "eta"];

/** The lines on a terminal's screen after this output. Only the control characters of Deno's progress bar are known. */
function screenAfter(output: string): string[] {
  const lines = [""];
  let [row, column] = [0, 0];
  // deno-lint-ignore no-control-regex -- control characters move the cursor
  for (const [token, up] of output.matchAll(/\x1b\[(\d*)A|\x1b\[[\d;]*[A-Za-z]|[^]/gu)) {
    if (up !== undefined) row = Math.max(0, row - Number(up || 1));
    else if (token === "\n") lines[++row] ??= "";
    else if (token === "\r" || token === "\x1b[0G") column = 0;
    else if (token === "\x1b[2K") lines[row] = "";
    else if (token === "\x1b[K") lines[row] = lines[row]!.slice(0, column);
    else if (token === "\x1b[J") lines.splice(row, Infinity, lines[row]!.slice(0, column));
    else if (!token.startsWith("\x1b")) {
      lines[row] = lines[row]!.padEnd(column).slice(0, column) + token + lines[row]!.slice(column + 1);
      column++;
    }
  }
  return lines;
}

/** A slow registry. Its packages are those that this machine has downloaded. */
function slowRegistry(cache: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const name = new URL(request.url).pathname.slice(1);
    await new Promise((resolve) => setTimeout(resolve, 800));
    if (!PACKAGES.includes(name)) return new Response(null, { status: 404 });
    return new Response(await Deno.readTextFile(`${cache}/${name}/registry.json`));
  });
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copy(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** The folder of Deno's downloads from npm's registry, if all packages of the server are in it. */
async function npmCache(): Promise<string | undefined> {
  const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"], cwd: ROOT }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
  for await (const { name } of Deno.readDir(npmCache)) {
    const folder = `${npmCache}/${name}`;
    const there = await Promise.all(PACKAGES.map((name) => isThere(`${folder}/${name}/registry.json`)));
    if (there.every((one) => one)) return folder;
  }
  return undefined;
}

const cache = await npmCache();

Deno.test({
  name: "first start: the server's lines stay on the screen of a terminal",
  ignore: Deno.build.os !== "linux" || !await isThere(SCRIPT) || cache === undefined,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const registry = slowRegistry(cache!);
    try {
      const { port } = registry.addr;
      // Deno names the folder of a registry by its address.
      for (const name of PACKAGES) {
        for await (const { name: version, isDirectory } of Deno.readDir(`${cache}/${name}`)) {
          if (isDirectory) await copy(`${cache}/${name}/${version}`, `${folder}/deno/npm/${port}/${name}/${version}`);
        }
      }
      const command = `stty cols 100 rows 30; exec '${Deno.execPath()}' task start`;
      const terminal = new Deno.Command("timeout", {
        args: ["--signal=INT", "60", SCRIPT, "-qefc", command, `${folder}/output`],
        cwd: ROOT,
        clearEnv: true,
        env: {
          PATH: `${folder}/bin:/usr/bin:/bin`,
          HOME: folder,
          TERM: "xterm",
          DENO_DIR: `${folder}/deno`,
          NPM_CONFIG_REGISTRY: `http://127.0.0.1:${port}/`,
          PORT: "0",
          SESSION_FILE_DIR: `${folder}/sessions`,
        },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      });
      const process = terminal.spawn();
      let hasEnded = false;
      const ended = process.status.then(() => hasEnded = true);
      const written = () => Deno.readTextFile(`${folder}/output`).catch(() => "");
      while (!hasEnded && !(await written()).includes("Listening on")) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      if (!hasEnded) process.kill("SIGINT");
      await ended;
      const output = await written();
      const screen = screenAfter(output).join("\n");
      assert(output.includes("Download"), `nothing was downloaded: ${output}`);
      assertMatch(screen, /^"SECRET_KEY" is not set: a key was made and is kept in /m);
      assertMatch(screen, /^Listening on http:\/\/127\.0\.0\.1:\d+\//m);
    } finally {
      await registry.shutdown();
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("first start: Deno draws no bar over the lines of a server that it has started", () => {
  // Deno draws the bar while it queries the registry in the background. Then it erases as many lines as the bar had.
  assertMatch(config.tasks.start.command, /^deno run --quiet /);
});
