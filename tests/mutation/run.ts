/**
 * `deno task mutation`: plants faults into copies of `lib/`, one at a time, and prints which test finds each. A fault
 * that no test finds shows a rule without a test, unless the fault has no visible effect (`equivalent.ts`).
 *
 *     deno task mutation --count=200 --seed=1 --only=lib/session
 *
 * The working tree is not changed.
 */
import { parseArgs } from "node:util";
import { EQUIVALENT } from "./equivalent.ts";
import { type Mutant, mutantsOf } from "./mutants.ts";
import { nearTestsOf, testsOf } from "./tests_of.ts";
import { Random } from "../support/fuzz.ts";

const root = new URL("../../", import.meta.url).pathname;
/** How long the tests of one fault may take, in milliseconds. This finds a fault that makes an endless loop. */
const DEADLINE = 300_000;
const TEST = [
  "test",
  "--no-check",
  "--parallel",
  "--allow-all",
  "--fail-fast",
  "--sanitize-ops",
  "--sanitize-resources",
];

interface Planted extends Mutant {
  readonly file: string;
}

const { values } = parseArgs({
  args: Deno.args,
  options: {
    count: { type: "string", default: "150" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "lib/" },
    workers: { type: "string", default: "2" },
  },
});

/** Runs a program of the project's copy. Returns what it wrote, and whether it succeeded in time. */
async function run(folder: string, args: string[]): Promise<{ success: boolean; text: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder,
    env: { NO_COLOR: "1", TEST_FULL: "1" },
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(DEADLINE),
  });
  const { success, stdout, stderr } = await command.output();
  return { success, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("git", { args, cwd: root }).output();
  return new TextDecoder().decode(stdout);
}

/** Copies the files that git tracks, for one worker. Returns the folder. */
async function copyProject(files: readonly string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "session-server-mutation-" });
  for (const file of files) {
    await Deno.mkdir(`${folder}/${file}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(root + file, `${folder}/${file}`);
  }
  return folder;
}

/** The name of the first test that finds a fault; `undefined` if none does. */
async function findFault(folder: string, { file, source }: Planted): Promise<string | undefined> {
  const original = await Deno.readTextFile(`${folder}/${file}`);
  await Deno.writeTextFile(`${folder}/${file}`, source);
  try {
    for (const tests of [nearTestsOf(file, files), testsOf(file)]) {
      if (tests.length === 0) continue;
      const { success, text } = await run(folder, [...TEST, "--lock=tests/deno.lock", ...tests]);
      if (success) continue;
      return /^(.*) => \.\//m.exec(text)?.[1] ?? (/ FAILED$/m.test(text) ? "a test" : "a test that never ends");
    }
    const check = await run(folder, ["check", "--lock=tests/deno.lock", file]);
    return check.success ? undefined : "the compiler";
  } finally {
    await Deno.writeTextFile(`${folder}/${file}`, original);
  }
}

const files = (await git("ls-files")).trim().split("\n");
const random = new Random(Number(values.seed));
const planted: Planted[] = [];
for (const file of files) {
  if (!file.startsWith(values.only) || !file.endsWith(".ts") || testsOf(file).length === 0) continue;
  for (const mutant of mutantsOf(await Deno.readTextFile(root + file))) {
    const isEquivalent = EQUIVALENT.some((one) =>
      one.file === file && one.before === mutant.before && one.kind === mutant.kind
    );
    if (!isEquivalent) planted.push({ ...mutant, file });
  }
}
const chosen = Array.from(
  { length: Math.min(Number(values.count), planted.length) },
  () => planted.splice(random.below(planted.length), 1)[0]!,
);
const found = new Map<string, { all: number; found: number }>();
const missed: Planted[] = [];
const queue = [...chosen];

async function work(): Promise<void> {
  const folder = await copyProject(files);
  try {
    for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
      const finder = await findFault(folder, one);
      const count = found.get(one.file) ?? { all: 0, found: 0 };
      found.set(one.file, { all: count.all + 1, found: count.found + (finder === undefined ? 0 : 1) });
      if (finder === undefined) missed.push(one);
      const result = finder === undefined ? "MISSED" : `found by "${finder}"`;
      console.log(`${one.file}:${one.line} ${one.kind}: ${one.before}\n  -> ${one.after || "(nothing)"}\n  ${result}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await Promise.all(Array.from({ length: Number(values.workers) }, work));
console.log();
for (const [file, count] of [...found].sort()) console.log(`${file}: ${count.found} of ${count.all}`);
console.log(`\n${chosen.length - missed.length} of ${chosen.length} planted faults were found`);
