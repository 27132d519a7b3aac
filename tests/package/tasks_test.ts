/** The tasks and permission sets of deno.json. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { flagsOf } from "../../lib/commands/permissions.ts";

Deno.test("tasks: each has a description and a command of less than 160 characters", () => {
  for (const [name, { description, command }] of Object.entries(config.tasks)) {
    assert(description.length > 10, name);
    assert(command.length < 160, `${name}: ${command.length}`);
  }
});

Deno.test("tasks: a permission set reads the same as flags", () => {
  const set = { net: true, run: false, env: { allow: ["HOST", "TLS_*"], ignore: true }, read: ["a", "b"] };
  assertEquals(flagsOf(set), ["--allow-net", "--allow-env=HOST,TLS_*", "--ignore-env", "--allow-read=a,b"]);
});

Deno.test({
  name: "tasks: start loads the client of the store that SESSION_URL names",
  // It downloads the clients.
  ignore: Deno.env.get("TEST_CLIENTS") === undefined,
  fn: async () => {
    for (const type of ["REDIS", "postgres", "mongodb"]) {
      const env = { SESSION_TYPE: type, SESSION_URL: `${type.toLowerCase()}://ada:pass@127.0.0.1:9/1`, PORT: "0" };
      const { code, stderr } = await deno(["task", "--quiet", "start"], env);
      assertEquals(code, 1);
      assertMatch(stderr, /^Cannot start: .* must be the address of a store that can be used: .*127\.0\.0\.1:9/);
    }
  },
});

Deno.test("tasks: a plain deno test says in one line that -P is missing", async () => {
  const { code, stdout, stderr } = await deno(["test"]);
  assertEquals([code, stdout], [1, ""]);
  // The second line has the path of deno.json.
  assertMatch(stderr, /^error: [^\n]*run with `-P`[^\n]*\n +at \S+deno\.json\n$/);
});

async function deno(
  args: string[],
  env: Record<string, string> = {},
): Promise<Record<"stdout" | "stderr", string> & { code: number }> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: new URL("../../", import.meta.url),
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0", ...env },
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
