/** `deno task compile [--target …]`: makes the program one executable file, dist/session-server. */
import config from "../../deno.json" with { type: "json" };
import { flagsOf } from "./permissions.ts";
import { STORES } from "../stores/table.ts";
import launcher from "./launcher.sh" with { type: "text" };

const root = new URL("../../", import.meta.url);
const output = path(new URL("dist/session-server", root));

/** The folders of the stores that the program loads by name, each with a lock of its own. */
const SHARED = Object.values(STORES).filter(({ schemes }) => schemes.length > 0)
  .map(({ module }) => module.replace("/store.ts", ""));

/** What the program may do, and the unstable parts of Deno that it uses: the same as under `deno task start`. */
const flags = [
  "--no-prompt",
  ...flagsOf(config.permissions.default),
  ...config.unstable.map((part) => `--unstable-${part}`),
];

async function compile(args: string[]): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "session-server-compile-" });
  try {
    await bundle(folder);
    const modules = `${folder}/js`;
    const names = [...Deno.readDirSync(modules)].map(({ name }) => name).sort();
    // `deno compile` overwrites only its own files. A running copy is not disturbed.
    Deno.mkdirSync(path(new URL("dist", root)), { recursive: true });
    await Deno.remove(output).catch(() => {});

    const include = names.filter((name) => name !== "main.js").map((name) => `--include=${name}`);
    const compiled = await deno(modules, [
      ...["compile", "--no-config", "--no-lock", ...flags, ...include, ...args, `--output=${output}`, "main.js"],
    ]);
    if (compiled.success) {
      console.log(`Compiled ${output}`);
      return;
    }
    // By then, only the base runtime is missing.
    if (!compiled.stderr.includes("base binary")) throw new Error(compiled.stderr);
    if (args.length > 0) throw new Error(`the base runtime of \`deno compile\` cannot be had:\n${compiled.stderr}`);
    console.log(
      "The base runtime of `deno compile` cannot be had; this machine's Deno is packed with the program instead",
    );
    await pack(modules, names);
    console.log(`Packed ${output}`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/**
 * Bundles the program into `folder`/js/main.js, with the templates in it, and the stores that it loads by name beside
 * that. Only the parts of the packages that are used are in there.
 */
async function bundle(folder: string): Promise<void> {
  const sources = ["main.ts", ...SHARED.map((name) => `lib/stores/${name}/store.ts`)];

  // Some packages look for Node's `require` with `eval`, which finds only globals.
  Deno.writeTextFileSync(
    `${folder}/require.ts`,
    `import { createRequire } from "node:module";\n` +
      `Object.assign(globalThis, { require: createRequire(import.meta.url) });\n`,
  );
  // All are in one folder, because the names of the stores are relative to the program.
  const entries = sources.map((source) => {
    const name = source === "main.ts" ? "main" : source.split("/").at(-2);
    const entry = `${folder}/${name}.ts`;
    const first = source === "main.ts" ? "" : 'import "./require.ts";\n';
    Deno.writeTextFileSync(entry, `${first}export * from ${JSON.stringify(new URL(source, root).href)};\n`);
    return entry;
  });
  const { success, stderr } = await deno(path(root), [
    ...["bundle", "--check", "--platform=deno", "--minify", "--code-splitting", "--lock=deno.lock", "--frozen"],
    ...[`--outdir=${folder}/js`, ...entries],
  ]);
  if (!success) throw new Error(stderr);
}

/** Makes a shell script that carries Deno and the modules of `folder` with it. */
async function pack(folder: string, modules: string[]): Promise<void> {
  Deno.copyFileSync(Deno.execPath(), `${folder}/deno`);
  Deno.chmodSync(`${folder}/deno`, 0o755);
  const files = ["deno", ...modules];
  const sum = new TextDecoder().decode(await sh(folder, 'cksum "$@" | cksum', files)).trim();
  const archive = await sh(folder, 'tar -cf - "$@" | gzip', files);
  const values: Record<string, string> = {
    FILES: files.join(" "),
    SUM: sum,
    NAME: `session-server-${sum.replace(" ", "-")}`,
    FLAGS: flags.map((flag) => `'${flag}'`).join(" "),
    LINES: String(launcher.split("\n").length),
  };
  const script = launcher.replace(/@([A-Z]+)@/g, (_, name) => values[name]!);
  await Deno.writeFile(`${output}.tmp`, new Blob([script, archive]).stream(), { mode: 0o755 });
  Deno.renameSync(`${output}.tmp`, output);
}

async function sh(cwd: string, script: string, args: string[]): Promise<Uint8Array<ArrayBuffer>> {
  const command = new Deno.Command("sh", { args: ["-c", script, "sh", ...args], cwd });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return stdout;
}

async function deno(cwd: string, args: string[]): Promise<{ success: boolean; stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env: { NO_COLOR: "1" } });
  const { success, stderr } = await command.output();
  return { success, stderr: new TextDecoder().decode(stderr) };
}

function path(url: URL): string {
  const { pathname } = url;
  return decodeURIComponent(Deno.build.os === "windows" ? pathname.slice(1) : pathname);
}

try {
  await compile(Deno.args);
} catch (error) {
  console.error(`Cannot compile: ${error instanceof Error ? error.message.trim() : error}`);
  Deno.exit(1);
}
