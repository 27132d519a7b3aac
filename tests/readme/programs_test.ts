/** The README's program runs as a reader would try it: in an empty project beside a copy of this one. */
import { assertEquals } from "@std/assert";
import { Browser, Server } from "../support/server.ts";

const root = new URL("../../", import.meta.url).pathname;
const readme = Deno.readTextFileSync(`${root}README.md`);

// Each of these checks takes the compiler some seconds.
const ignore = !Deno.env.has("TEST_FULL");

/** The README's only block of a language. */
function block(language: string): string {
  const found = [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))];
  assertEquals(found.length, 1, `README.md has one block of ${language}`);
  return found[0]![1]!;
}

/** Runs Deno in a folder. Returns its standard error if it failed, else the empty string. */
async function deno(cwd: string, ...args: string[]): Promise<string> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd, env: { NO_COLOR: "1" } }).output();
  return success ? "" : new TextDecoder().decode(stderr);
}

Deno.test("README: the library works word for word in an empty project", async (t) => {
  const dir = await Deno.makeTempDir({ prefix: "session-server-readme-" });
  const project = `${dir}/project`;
  try {
    await Deno.mkdir(project);
    await Deno.symlink(root, `${dir}/session-server`);
    await Deno.writeTextFile(`${project}/deno.json`, block("json"));
    await Deno.writeTextFile(`${project}/main.ts`, block("ts"));
    await t.step("it is checked and formatted", async () => {
      assertEquals(await deno(project, "check"), "");
      assertEquals(await deno(project, "fmt", "--check"), "");
      assertEquals(await deno(project, "lint"), "");
    });
    await t.step({
      name: "strict compiler options find no fault in it",
      ignore,
      fn: async () => {
        assertEquals(await deno(project, "test", "--doc", "--permit-no-files"), "");
        const compilerOptions = {
          strict: true,
          noUncheckedIndexedAccess: true,
          exactOptionalPropertyTypes: true,
          noImplicitOverride: true,
          noPropertyAccessFromIndexSignature: true,
          noUnusedLocals: true,
          noUnusedParameters: true,
          isolatedDeclarations: true,
          erasableSyntaxOnly: true,
        };
        const strict = { ...JSON.parse(block("json")), compilerOptions };
        await Deno.writeTextFile(`${project}/strict.json`, JSON.stringify(strict));
        const exports = Object.keys(JSON.parse(await Deno.readTextFile(`${root}deno.json`)).exports);
        // The exports that need a client from npm are checked elsewhere, with their lock files.
        const own = exports.filter((name) => !/redis|postgres|mongodb/.test(name));
        const imports = own.map((name) => `import "sessions${name.slice(1)}";\n`).join("");
        await Deno.writeTextFile(`${project}/all.ts`, imports);
        assertEquals(await deno(project, "check", "--config", "strict.json", "all.ts"), "");
      },
    });
    await t.step("it keeps a cart, a user and messages", async () => {
      const env = { DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0" };
      const run = [Deno.execPath(), "run", "--allow-all", "main.ts"];
      const server = await Server.start(env, ["sh", "-c", 'cd "$0" && exec "$@"', project, ...run]);
      try {
        const browser = new Browser(server.origin);
        assertEquals(JSON.parse(await browser.get("/")), { messages: [] });
        assertEquals(browser.setCookies, []);
        await browser.get("/?add=tea");
        const flash = { category: "message", message: "Welcome back." };
        assertEquals(JSON.parse(await browser.get("/log-in?add=milk")), {
          user: "ada",
          cart: ["tea", "milk"],
          messages: [flash],
        });
        assertEquals(JSON.parse(await browser.get("/")), { user: "ada", cart: ["tea", "milk"], messages: [] });
        assertEquals(JSON.parse(await new Browser(server.origin).get("/")), { messages: [] });
      } finally {
        await server.kill();
      }
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
