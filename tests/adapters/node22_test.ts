/** The library on Node, where TEST_NODE names a Node of version 22 or later: bundled, and used as Node's users would. */
import { assertEquals } from "@std/assert";

const NODE = Deno.env.get("TEST_NODE");
const root = new URL("../../", import.meta.url).pathname;

const PROGRAM = `
import { createServer } from "node:http";
import { MemoryStore, nodeSessions, SessionManager, SqliteStore } from "./sessions.mjs";

for (const store of [new MemoryStore(), new SqliteStore({ path: "sessions.db" })]) {
  const manager = new SessionManager({ store, keys: ["x".repeat(32)] });
  const { middleware, open } = nodeSessions(manager);
  const server = createServer((request, response) =>
    middleware(request, response, async () => {
      const session = await open(request);
      session.update("n", (n = 0) => n + 1);
      if (session.user === undefined) session.logIn("ada");
      response.end(session.user + " " + session.get("n"));
    })
  );
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = "http://127.0.0.1:" + server.address().port;
  const first = await fetch(url);
  const headers = { cookie: first.headers.getSetCookie()[0].split(";")[0] };
  console.log(await first.text(), await (await fetch(url, { headers })).text(), await manager.endAll("ada"));
  server.close();
  await manager.close();
}
`;

async function run(command: string, args: string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, env: { NO_COLOR: "1" } }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test({
  name: "node: the library keeps sessions on Node 22, in memory and in SQLite",
  ignore: NODE === undefined,
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      const modules = ["lib/mod.ts", "lib/adapters/node.ts", "lib/stores/sqlite/store.ts"];
      const exports = modules.map((path) => `export * from ${JSON.stringify(`file://${root}${path}`)};\n`);
      await Deno.writeTextFile(`${dir}/entry.ts`, exports.join(""));
      await Deno.writeTextFile(`${dir}/program.mjs`, PROGRAM);
      const bundle = ["bundle", "--platform=deno", `--config=${root}deno.json`, `--output=${dir}/sessions.mjs`];
      await run(Deno.execPath(), [...bundle, `${dir}/entry.ts`], root);
      assertEquals(await run(NODE!, ["--no-warnings", "program.mjs"], dir), "ada 1 ada 2 1\n".repeat(2));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
