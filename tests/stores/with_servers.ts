/** Runs the tests of the shared stores on real servers, which it starts and ends. Arguments: stores, or none for all. */
import { Engine, type EngineType } from "./engines.ts";

const ALL: EngineType[] = ["redis", "postgres", "memcached"];
const types = Deno.args.length > 0 ? ALL.filter((type) => Deno.args.includes(type)) : ALL;
const root = new URL("../../", import.meta.url).pathname;
const outcomes: string[] = [];
let failed = false;

/** Runs Deno with some arguments and keeps the last line that counts tests. */
async function run(what: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  const process = new Deno.Command(Deno.execPath(), { args, env, cwd: root, stdout: "piped" }).spawn();
  let count = "";
  for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(text));
    count = /\d+ passed.*/.exec(text)?.[0] ?? count;
  }
  const { success } = await process.status;
  if (!success) failed = true;
  outcomes.push(`${success ? "ok    " : "FAILED"} ${what}${count && `: ${count}`}`);
}

const test = ["test", "--quiet", "--sanitize-ops", "--sanitize-resources", "--allow-all"];
for (const type of types) {
  // What is loaded by a computed name is not checked with the tests.
  await run(`types of the ${type} store`, [
    "check",
    "--quiet",
    `--lock=lib/stores/${type}.lock`,
    `lib/stores/${type}.ts`,
  ]);
  await using engine = await Engine.start(type);
  const env = { [`TEST_${type.toUpperCase()}_URL`]: engine.url };
  await run(`${type} store`, [...test, `--lock=lib/stores/${type}.lock`, `tests/stores/${type}_test.ts`], env);
}
const engines = { TEST_ENGINES: types.join() };
await run("servers", [...test, "--lock=tests/deno.lock", "tests/stores/servers_test.ts"], engines);

console.log(`\n${outcomes.join("\n")}`);
Deno.exit(failed ? 1 : 0);
