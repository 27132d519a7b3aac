/**
 * The npm package works for its users: it is packed, installed into empty projects, and run on Node and Bun. The test
 * downloads packages, so it runs only if TEST_NPM is set.
 */
import { assert, assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url).pathname;
const PROGRAMS = `${root}tests/package/programs`;
const MEGABYTE = 1_000_000;

/** The runtimes, as packages of npm, and the paths of their programs in these. */
const RUNTIMES = { "node@22": "node/bin/node", "node@24": "node/bin/node", "bun@1": "bun/bin/bun.exe" };
/** The packages that the programs and the types need. */
const FRAMEWORKS = [
  ...["express@5", "fastify@5", "@fastify/middie@9", "hono@4", "@hono/node-server@2"],
  ...["@redis/client@6", "postgres@3", "mongodb@7"],
  ...["typescript", "@types/node@22", "@types/express@5"],
];

const STRICT = [
  ...["--noEmit", "--strict", "--skipLibCheck", "false", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"],
  ...["--noImplicitReturns", "--noImplicitOverride", "--noPropertyAccessFromIndexSignature"],
  ...["--target", "es2023", "--lib", "es2023,dom,dom.iterable,esnext.disposable"],
];

const FOR_DENO = `
import { FileStore } from "@session-server/sessions";
import { honoSessions } from "@session-server/sessions/hono";

new FileStore({ dir: "sessions" });
console.log(typeof FileStore, typeof honoSessions);
`;

async function run(command: string, args: string[], cwd: string): Promise<string> {
  const env = { NO_COLOR: "1", NODE_NO_WARNINGS: "1" };
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, env }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout) + decoder.decode(stderr);
  throw new Error(`${command} ${args.join(" ")}\n${decoder.decode(stdout)}${decoder.decode(stderr)}`);
}

/** Makes a project in which packages are installed. */
async function project(path: string, packages: string[]): Promise<void> {
  await Deno.mkdir(path);
  await Deno.writeTextFile(`${path}/package.json`, '{ "name": "project", "private": true, "type": "module" }\n');
  await run("npm", ["install", "--silent", "--no-audit", "--no-fund", ...packages], path);
}

async function copyPrograms(path: string): Promise<void> {
  for await (const { name } of Deno.readDir(PROGRAMS)) await Deno.copyFile(`${PROGRAMS}/${name}`, `${path}/${name}`);
}

function files(folder: string, path = ""): string[] {
  return [...Deno.readDirSync(folder + path)].flatMap(({ name, isDirectory }) =>
    isDirectory ? files(folder, `${path}${name}/`) : [path + name]
  );
}

Deno.test({
  name: "npm: the package does its work on Node and Bun, with its types",
  ignore: Deno.env.get("TEST_NPM") === undefined,
  fn: async (t) => {
    const dir = await Deno.makeTempDir({ prefix: "session-server-npm-" });
    try {
      await run(Deno.execPath(), ["task", "--quiet", "npm"], root);
      const packed = await run("npm", ["pack", "--silent", `--pack-destination=${dir}`, `${root}dist/npm`], dir);
      const tarball = `${dir}/${packed.trim().split("\n").at(-1)}`;
      const runtimes = Object.entries(RUNTIMES).map(([name, path]) => ({
        name,
        folder: `${dir}/${name}`,
        program: `${dir}/${name}/node_modules/${path}`,
      }));
      await Promise.all([
        ...runtimes.map(({ name, folder }) => project(folder, [name])),
        project(`${dir}/alone`, [tarball]),
        project(`${dir}/frameworks`, [tarball, ...FRAMEWORKS]),
      ]);
      for (const name of ["alone", "frameworks"]) await copyPrograms(`${dir}/${name}`);

      await t.step("it takes less than 3 MB, and brings no other package", async () => {
        const modules = `${dir}/alone/node_modules/`;
        const sizes = await Promise.all(files(modules).map(async (path) => (await Deno.stat(modules + path)).size));
        assert(sizes.reduce((sum, size) => sum + size, 0) < 3 * MEGABYTE);
        const names = [...Deno.readDirSync(modules)].map(({ name }) => name);
        assertEquals(names.filter((name) => !name.startsWith(".")), ["@session-server"]);
      });
      await t.step("it has no file of the server, and every import and link leads somewhere", async () => {
        const folder = `${root}dist/npm/`;
        const all = files(folder);
        assertEquals(all.filter((path) => /^lib\/(server|commands)|(?<!\.d)\.ts$|\.eta$|\.lock$/.test(path)), []);
        for (const path of all.filter((path) => /\.(js|d\.ts|md)$/.test(path))) {
          const text = await Deno.readTextFile(folder + path);
          const pattern = path.endsWith(".md") ? /\]\((?!https?:|#)([^)#]+)/g : /^[^*]*\bfrom "(\.[^"]+)"/gm;
          for (const [, target = ""] of text.matchAll(pattern)) {
            const { pathname } = new URL(target, `file://${folder}${path}`);
            assert(all.includes(pathname.slice(folder.length)), `${path} names ${target}`);
          }
        }
      });
      for (const { name, program } of runtimes) {
        await t.step(`${name}: stores, Express, Fastify, Hono`, async () => {
          assertEquals(await run(program, ["alone.mjs"], `${dir}/alone`), "ok\n");
          await Deno.remove(`${dir}/alone/sessions.db`);
          for (const framework of ["express", "fastify", "hono"]) {
            assertEquals(await run(program, [`${framework}.mjs`], `${dir}/frameworks`), "ok\n");
          }
        });
        await t.step(`${name}: the suite of stores`, async () => {
          const command = name.startsWith("bun") ? ["test", "./suite.mjs"] : ["--test", "suite.mjs"];
          const output = await run(program, command, `${dir}/alone`);
          assert(/\b(pass 2\d|2\d pass)\b/.test(output), output);
        });
      }
      await t.step("Deno loads it in a project with a package.json, without a store's client", async () => {
        await Deno.writeTextFile(`${dir}/alone/deno.json`, "{}\n");
        await Deno.writeTextFile(`${dir}/alone/main.ts`, FOR_DENO);
        await run(Deno.execPath(), ["check", "main.ts"], `${dir}/alone`);
        assertEquals(
          await run(Deno.execPath(), ["run", "--allow-env", "main.ts"], `${dir}/alone`),
          "function function\n",
        );
        assertEquals(
          [...Deno.readDirSync(`${dir}/alone/node_modules/`)].filter(({ name }) => !name.startsWith(".")).length,
          1,
        );
      });
      await t.step("TypeScript finds no fault in it", async () => {
        const tsc = `${dir}/frameworks/node_modules/typescript/bin/tsc`;
        for (const module of [["--module", "nodenext"], ["--module", "esnext", "--moduleResolution", "bundler"]]) {
          await run(runtimes[0]!.program, [tsc, ...STRICT, ...module, "types.ts"], `${dir}/frameworks`);
        }
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
