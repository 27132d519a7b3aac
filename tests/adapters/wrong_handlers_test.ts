/** Wrong handlers: with the library, their outcome and that of the process are the same as without it. */
import { assert, assertEquals } from "@std/assert";
import type { Run } from "./wrong/run.ts";

const root = new URL("../../", import.meta.url).pathname;

async function run(command: string, args: string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, env: { NO_COLOR: "1" } }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Compares the outcomes without the library, with it, and with it while its store fails. */
function compare([bare, works, fails]: [Run, Run, Run]): void {
  const names = Object.keys(bare.outcomes);
  const isLate = (name: string) => name.startsWith("opens");
  for (const name of names) {
    const { answer } = bare.outcomes[name]!;
    if (isLate(name)) {
      if (name === "opens after it destroyed the answer") continue;
      assert(works.late[name]!.endsWith("open it before answering"), `${name}: ${works.late[name]}`);
      assert(!works.outcomes[name]!.hasCookie, name);
      continue;
    }
    assertEquals(`${name}: ${works.outcomes[name]!.answer}`, `${name}: ${answer}`);
    // If a cookie was sent, the session was stored.
    if (!works.outcomes[name]!.hasCookie) continue;
    assert(fails.outcomes[name]!.answer.startsWith("503"), `${name}: ${fails.outcomes[name]!.answer}`);
  }
  assert(names.filter((name) => works.outcomes[name]!.hasCookie).length >= names.length / 3);
  for (const { deaths } of [works, fails]) {
    const left = [...bare.deaths];
    const more = deaths.filter((death) => !left.includes(death) || left.splice(left.indexOf(death), 1).length === 0);
    assertEquals(more, [], "the process ends where it would live without the library");
  }
}

const programs = { node: "run", express: "run", fastify: "run", wrap: "fetch", hono: "fetch", oak: "fetch" };

Deno.test("adapters: no wrong handler ends the process that would not without the library", async (t) => {
  const flags = ["--allow-all", "--no-check", "--lock=tests/deno.lock", "--frozen"];
  // The runs mostly wait for answers that never come.
  const runs = Object.entries(programs).map(([framework, program]) => {
    return run(Deno.execPath(), ["run", ...flags, `tests/adapters/wrong/${program}.ts`, framework], root);
  });
  const outputs = await Promise.all(runs);
  for (const [index, framework] of Object.keys(programs).entries()) {
    await t.step(framework, () => compare(JSON.parse(outputs[index]!)));
  }
});

// Programs of Node 22 and later, separated by colons: TEST_NODE=/path/to/node22:/path/to/node24
const nodes = Deno.env.get("TEST_NODE")?.split(":") ?? [];

Deno.test({
  name: "wrong handlers: the same holds on Node",
  ignore: nodes.length === 0,
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      const out = `--output=${dir}/run.mjs`;
      const bundle = ["bundle", "--platform=deno", `--config=${root}deno.json`, out, "tests/adapters/wrong/run.ts"];
      await run(Deno.execPath(), bundle, root);
      for (const node of nodes) {
        for (const framework of ["node", "express", "fastify"]) {
          compare(JSON.parse(await run(node, ["--no-warnings", "run.mjs", framework], dir)));
        }
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
