/** `deno task npm`: makes the library an npm package, dist/npm. */
import config from "../../deno.json" with { type: "json" };

const root = new URL("../../", import.meta.url);
const output = new URL("dist/npm/", root);

/** The exports that need Deno. */
const FOR_DENO = ["./deno-kv", "./oak"];
/** The folders of `lib` that are not part of the library. */
const FOR_SERVER = ["server", "commands"];

const NOTICE = "// Bundled from @std. Copyright 2018-2026 the Deno authors. MIT license.\n";

async function makePackage(): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "session-server-npm-" });
  try {
    copyLibrary(`${folder}/source`);
    await run("deno", ["pack", "--quiet", "--allow-dirty", "--no-source-maps", `--output=${folder}/package.tgz`], {
      cwd: `${folder}/source`,
    });
    await remove(output);
    Deno.mkdirSync(output, { recursive: true });
    await run("tar", ["-xzf", `${folder}/package.tgz`, "--strip-components=1"], { cwd: output });
    // `deno pack` also packs files that no export imports, as TypeScript. They are removed.
    for (const path of filesIn(output).filter((path) => /(?<!\.d)\.ts$/.test(path))) {
      Deno.removeSync(new URL(path, output));
    }
    await bundleStd(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
  writeManifest();
  console.log(`Made ${output.pathname}`);
}

/** Copies the files that `deno pack` must pack, with a deno.json that names only these. */
function copyLibrary(folder: string): void {
  const copy = (from: URL, to: string) => {
    Deno.mkdirSync(to, { recursive: true });
    for (const { name, isDirectory } of Deno.readDirSync(from)) {
      if (isDirectory && !FOR_SERVER.includes(name)) copy(new URL(`${name}/`, from), `${to}/${name}`);
      else if (/\.(ts|md)$/.test(name)) Deno.copyFileSync(new URL(name, from), `${to}/${name}`);
    }
  };
  copy(new URL("lib/", root), `${folder}/lib`);
  for (const name of ["LICENSE", "CHANGELOG.md"]) Deno.copyFileSync(new URL(name, root), `${folder}/${name}`);
  // The README of the library becomes the package's README.
  const readme = Deno.readTextFileSync(`${folder}/lib/README.md`);
  Deno.writeTextFileSync(`${folder}/README.md`, readme.replace(/\]\((?=stores\/|[A-Z]+\.md)/g, "](lib/"));
  Deno.removeSync(`${folder}/lib/README.md`);

  const { name, version, license, imports, compilerOptions, unstable } = config;
  const exports = Object.fromEntries(Object.entries(config.exports).filter(([path]) => !FOR_DENO.includes(path)));
  Deno.writeTextFileSync(
    `${folder}/deno.json`,
    JSON.stringify({ name, version, license, exports, imports, compilerOptions, unstable, lock: false }),
  );
}

/**
 * Bundles the modules of `@std` that the library uses, and puts them into the package. All of `@std` would be larger
 * than the library.
 */
async function bundleStd(folder: string): Promise<void> {
  const scripts = filesIn(output).filter((path) => path.endsWith(".js"));
  const used = Object.keys(config.imports).filter((name) =>
    name.startsWith("@std/") && scripts.some((path) => read(path).includes(`from "${name}"`))
  );
  const fileOf = (name: string) => `_${name.slice(1).replaceAll("/", "_")}.js`;
  for (const name of used) {
    const entry = `${folder}/${fileOf(name)}`;
    Deno.writeTextFileSync(entry, `export * from ${JSON.stringify(name)};\n`);
    const bundle = new URL(`lib/${fileOf(name)}`, output).pathname;
    // The project's deno.json says where @std comes from.
    const flags = ["--quiet", "--platform=deno", `--config=${new URL("deno.json", root).pathname}`];
    await run("deno", ["bundle", ...flags, `--output=${bundle}`, entry], { cwd: root });
    Deno.writeTextFileSync(bundle, NOTICE + Deno.readTextFileSync(bundle));
  }
  for (const path of scripts) {
    const depth = path.split("/").length - 2;
    const up = depth === 0 ? "./" : "../".repeat(depth);
    const text = read(path).replace(/from "(@std\/[^"]+)"/g, (_, name) => `from "${up}${fileOf(name)}"`);
    Deno.writeTextFileSync(new URL(path, output), text);
  }
}

/** Completes package.json. The clients of the stores become optional peer dependencies. */
function writeManifest(): void {
  const path = new URL("package.json", output);
  const { dependencies, ...manifest } = JSON.parse(Deno.readTextFileSync(path));
  const { "deno-std": _, ...clients } = dependencies;
  const peerDependenciesMeta = Object.fromEntries(Object.keys(clients).map((name) => [name, { optional: true }]));
  const all = {
    ...manifest,
    description: "Server-side sessions for any handler from Request to Response, for Hono, Express and Fastify",
    keywords: ["session", "cookie", "express", "fastify", "hono", "redis", "postgres", "sqlite", "mongodb"],
    engines: { node: ">=22.13" },
    sideEffects: false,
    peerDependencies: clients,
    peerDependenciesMeta,
  };
  Deno.writeTextFileSync(path, JSON.stringify(all, null, 2) + "\n");
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, output));
}

/** The paths of all files below a folder, relative to the folder. */
function filesIn(folder: URL, path = ""): string[] {
  return [...Deno.readDirSync(new URL(path, folder))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(folder, `${path}${name}/`) : [path + name]
  );
}

async function remove(folder: URL): Promise<void> {
  try {
    await Deno.remove(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function run(program: "deno" | "tar", args: string[], { cwd }: { cwd: string | URL }): Promise<void> {
  const command = new Deno.Command(program === "deno" ? Deno.execPath() : program, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`${program} ${args[0]}: ${new TextDecoder().decode(stderr).trim()}`);
}

try {
  await makePackage();
} catch (error) {
  console.error(`Cannot make the package: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
