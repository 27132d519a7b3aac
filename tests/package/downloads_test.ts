/** The packages that a first start downloads. The tests download them, so they run only if TEST_NPM is set. */
import { assertEquals } from "@std/assert";
import { Server } from "../support/server.ts";

const root = new URL("../../", import.meta.url).pathname;

const LINKED = `{
  "links": ["${root}"],
  "imports": {
    "sessions": "jsr:@session-server/sessions@1",
    "sessions/": "jsr:/@session-server/sessions@1/"
  }
}
`;

const PROGRAM = `
import { MemoryStore, SessionManager } from "sessions";
import { honoSessions } from "sessions/hono";
import { SqliteStore } from "sessions/sqlite";

const sessions = new SessionManager({ store: new MemoryStore(), keys: ["only for trying it out: 32 bytes or more"] });
console.log(typeof SqliteStore, typeof honoSessions(sessions).open);
`;

/** The packages of npm that Deno has downloaded into a cache folder. */
function downloaded(cache: string): string[] {
  const [registry] = [...Deno.readDirSync(`${cache}/npm`)].map(({ name }) => `${cache}/npm/${name}`);
  return [...Deno.readDirSync(registry!)].map(({ name }) => name).sort();
}

function test(name: string, fn: (dir: string, env: Record<string, string>) => Promise<void>): void {
  Deno.test({
    name: `downloads: ${name}`,
    ignore: Deno.env.get("TEST_NPM") === undefined,
    fn: async () => {
      const dir = await Deno.makeTempDir();
      try {
        // The environment has the settings that this machine's network needs.
        await fn(dir, { ...Deno.env.toObject(), DENO_DIR: `${dir}/cache`, NO_COLOR: "1" });
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

test("the default start downloads deno-std and eta", async (dir, env) => {
  const command = ["sh", "-c", 'cd "$0" && exec "$@"', root, Deno.execPath(), "task", "--quiet", "start"];
  const server = await Server.start({ ...env, SESSION_FILE_DIR: `${dir}/sessions` }, command);
  await server.stop();
  assertEquals(downloaded(`${dir}/cache`), ["deno-std", "eta"]);
});

test("a program with a linked copy downloads deno-std alone", async (dir, env) => {
  await Deno.writeTextFile(`${dir}/deno.json`, LINKED);
  await Deno.writeTextFile(`${dir}/main.ts`, PROGRAM);
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "main.ts"], cwd: dir, env }).output();
  assertEquals(new TextDecoder().decode(stdout), "function function\n");
  assertEquals(downloaded(`${dir}/cache`), ["deno-std"]);
});
