/** `deno task compile [--target …]`: makes one executable file of the program, dist/session-server. */
import config from "../../deno.json" with { type: "json" };
import { flagsOf } from "./permissions.ts";
import { STORES } from "../stores/table.ts";
import launcher from "./launcher.sh" with { type: "text" };

const root = new URL("../../", import.meta.url);
const output = path(new URL("dist/session-server", root));

/** The folders of the stores that the program loads by name. */
const SHARED = Object.values(STORES).filter(({ schemes }) => schemes.length > 0)
  .map(({ module }) => module.replace("/store.ts", ""));

/** The program's permissions, and the unstable features of Deno that it uses. They are those of `deno task start`. */
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
    // `deno compile` overwrites only its own files, so another file is removed first. A running copy is not affected.
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
    // `deno compile` fails if its base runtime cannot be downloaded. Then this machine's Deno is packed instead.
    if (!compiled.stderr.includes("base binary")) throw new Error(compiled.stderr);
    if (args.length > 0) throw new Error(`the base runtime of \`deno compile\` is not available:\n${compiled.stderr}`);
    console.log(
      "The base runtime of `deno compile` is not available; this machine's Deno is packed with the program instead",
    );
    await pack(modules, names);
    console.log(`Packed ${output}`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/**
 * Bundles the program and the templates into `folder`/js/main.js, and each store that it loads by name into a file
 * beside that. The bundles contain only the used parts of the packages.
 */
async function bundle(folder: string): Promise<void> {
  const sources = ["main.ts", ...SHARED.map((name) => `lib/stores/${name}/store.ts`)];

  // Some packages look for Node's `require` with `eval`, which finds only globals.
  Deno.writeTextFileSync(
    `${folder}/require.ts`,
    `import { createRequire } from "node:module";\n` +
      `Object.assign(globalThis, { require: createRequire(import.meta.url) });\n`,
  );
  // All bundles are in one folder, because the program loads a store by a path relative to its own.
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

/** Makes a shell script that contains Deno and the modules of `folder`. */
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
