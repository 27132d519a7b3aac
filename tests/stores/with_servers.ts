/** Runs the tests of the shared stores on real servers, which it starts and ends. Arguments: stores; none means all. */
import { Engine, type EngineType } from "./engines.ts";
import { Cluster, Sentinel } from "./redis_engines.ts";

const ALL: EngineType[] = ["redis", "postgres", "memcached"];
const types = Deno.args.length > 0 ? ALL.filter((type) => Deno.args.includes(type)) : ALL;
const root = new URL("../../", import.meta.url).pathname;
const outcomes: string[] = [];
let failed = false;

/** Runs Deno with some arguments, and records the outcome with the number of passed tests. */
async function run(what: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  const process = new Deno.Command(Deno.execPath(), { args, env, cwd: root, stdout: "piped" }).spawn();
  let count = "";
  for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(text));
    count = /(\d+) passed/.exec(text)?.[1] ?? count;
  }
  const { success } = await process.status;
  if (!success) failed = true;
  outcomes.push(`${success ? "ok    " : "FAILED"} ${what}${count && `: ${count} good`}`);
}

const test = ["test", "--quiet", "--sanitize-ops", "--sanitize-resources", "--allow-all"];

/** The lock file of a store: its own if it needs a package. */
function lockOf(type: EngineType): string {
  return type === "memcached" ? "tests/deno.lock" : `lib/stores/${type}/client.lock`;
}

/** Runs the suite of a store on the server of an address. */
async function suite(what: string, type: EngineType, url: string): Promise<void> {
  const file = `tests/stores/${type}_test.ts`;
  await run(what, [...test, `--lock=${lockOf(type)}`, file], { [`TEST_${type.toUpperCase()}_URL`]: url });
}

/** The other tests of a store. They start the servers that they need. */
function othersOf(type: string): string[] {
  const files = Array.from(Deno.readDirSync(`${root}tests/stores`), ({ name }) => name);
  const others = files.filter((name) => name.startsWith(`${type}_`) && /^[a-z]+_\w+_test\.ts$/.test(name));
  return others.sort().map((name) => `tests/stores/${name}`);
}

for (const type of types) {
  // The tests load the store by a computed name, so their own check leaves it out.
  const lock = `--lock=${lockOf(type)}`;
  await run(`types of the ${type} store`, ["check", "--quiet", lock, `lib/stores/${type}/store.ts`]);
  {
    await using engine = await Engine.start(type);
    await suite(`${type} store`, type, engine.url);
  }
  if (type === "redis") {
    await using sentinel = await Sentinel.start();
    await suite("redis store behind a Sentinel", type, sentinel.url);
  }
  if (type === "redis") {
    await using cluster = await Cluster.start();
    await suite("redis store in a Cluster", type, cluster.url);
  }
  const others = othersOf(type);
  if (others.length > 0) await run(`${type} store, faults`, [...test, lock, ...others], { TEST_ENGINES: type });
  await run(`${type} store, outages`, ["run", "--quiet", "--allow-all", lock, "tests/stores/outages.ts", type]);
}
const engines = { TEST_ENGINES: types.join() };
await run("servers", [...test, "--lock=tests/deno.lock", "tests/stores/servers_test.ts"], engines);

console.log(`\n${outcomes.join("\n")}`);
Deno.exit(failed ? 1 : 0);
