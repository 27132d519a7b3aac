/** `@std` from JSR in place of npm's `deno-std`, which has no types: the lines of CONTRIBUTING.md work. */
import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const root = new URL("../../", import.meta.url);
const SOURCES = ["main.ts", "lib", "tests"];
/** Files that import a store's client or a browser's driver. Other suites download and check these. */
const LEFT_OUT = /^(lib\/stores\/(redis|postgres|mongodb)|tests\/(stores|browser|bench|package\/programs))\//;

function sources(path: string): string[] {
  if (path.endsWith(".ts")) return LEFT_OUT.test(path) ? [] : [path];
  return [...Deno.readDirSync(new URL(path, root))].flatMap(({ name, isDirectory }) =>
    isDirectory || name.endsWith(".ts") ? sources(`${path}/${name}`) : []
  );
}

const std = Object.keys(config.imports).filter((name) => name.startsWith("@std/"));

Deno.test("std: the lines for JSR name every module that is used", async () => {
  const text = await Deno.readTextFile(new URL("CONTRIBUTING.md", root));
  for (const name of std) assert(text.includes(`"${name}": "jsr:${name.replace(/^(@std\/\w+)/, "$1@1")}"`), name);
});

Deno.test({
  name: "std: with the types of @std there is no fault",
  // It type-checks the whole project, which takes long.
  ignore: Deno.env.get("TEST_STD") === undefined,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const types = new URL("tests/package/std_types.ts", root).href;
      const imports = Object.entries(config.imports).map(([name, target]) => [
        name,
        std.includes(name) ? types : target.startsWith("./") ? new URL(target, root).href : target,
      ]);
      const { compilerOptions, unstable } = config;
      const swapped = { imports: Object.fromEntries(imports), compilerOptions, unstable, lock: false };
      await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(swapped));
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["check", "--quiet", `--config=${folder}/deno.json`, ...SOURCES.flatMap(sources)],
        cwd: root,
        env: { NO_COLOR: "1" },
      }).output();
      assertEquals(new TextDecoder().decode(stderr), "");
      assert(success);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
