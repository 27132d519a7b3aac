/**
 * Checks the models of the file store with Spin, and each model again without one of its rules. Spin must find no fault
 * in a whole model, and a fault in each of the others.
 *
 *     deno task model
 */

/** A model, its definitions, and the rules that are left out, one at a time. */
interface Model {
  readonly name: string;
  readonly defines: readonly string[];
  readonly without: readonly string[];
}

const [WRITER, OTHER_WRITER, REMOVER, MOVER, SWEEPER, SWEEPER_OF_NEW, TOUCHER, READER] = [1, 2, 4, 8, 16, 32, 64, 128];

function cast(...members: readonly (number | undefined)[]): string {
  return `CAST=${members.reduce<number>((sum, member) => sum | (member ?? 0), 0)}`;
}

const models: readonly Model[] = [
  {
    name: "file_store",
    defines: [cast(WRITER, OTHER_WRITER, REMOVER, MOVER, SWEEPER), "LAST=1"],
    without: [],
  },
  {
    name: "file_store",
    defines: [cast(WRITER, OTHER_WRITER, REMOVER, READER), "LAST=1"],
    without: ["WRITE_LOCK", "DELETE_LOCK", "RECHECK", "RENAME", "LEFTOVER", "LOCK_DIES"],
  },
  {
    name: "file_store",
    defines: [cast(WRITER, MOVER, REMOVER), "LAST=1"],
    without: ["MOVE_LOCK", "ORDER"],
  },
  {
    name: "file_store",
    defines: [cast(MOVER, SWEEPER, SWEEPER_OF_NEW, TOUCHER), "LAST=2"],
    without: ["TOUCH_LOCK", "LOOK_AGAIN", "LATE"],
  },
  {
    name: "file_store",
    defines: [cast(WRITER, SWEEPER, TOUCHER, READER), "LAST=2"],
    without: ["LIVE"],
  },
  {
    name: "roster",
    defines: [],
    without: ["STAMP", "EXPIRY", "PERIOD", "OWN", "ORDER", "STAMP_AFTER", "WAIT", "WAIT_AFTER", "WAIT_LEFT"],
  },
  {
    name: "folder",
    defines: [],
    without: ["LINK", "FLUSH", "FLUSH_FOUND", "LOOK_AGAIN", "RUNNING", "CHECK", "SECOND_LOOK"],
  },
  { name: "queue", defines: [], without: ["DIES", "TICKET_FIRST", "NUMBER", "LOOK"] },
];

async function run(dir: string, command: string, ...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd: dir }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${output}`);
  return output;
}

/** Lets Spin try every state of a model. Returns the number of states, and the first assertion that is violated. */
async function check(name: string, defines: readonly string[]): Promise<{ states: number; fault: string | undefined }> {
  const dir = await Deno.makeTempDir({ prefix: "model-" });
  try {
    await Deno.copyFile(new URL(`${name}.pml`, import.meta.url), `${dir}/${name}.pml`);
    await run(dir, "spin", ...defines.map((define) => `-D${define}`), "-a", `${name}.pml`);
    await run(dir, "gcc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c");
    const output = await run(dir, "./pan", "-m100000", "-E", "-w25");
    if (output.includes("max search depth too small")) throw new Error(`${name}: the search was not complete`);
    const states = Number(/(\d+) states, stored/.exec(output)?.[1] ?? 0);
    if (states === 0) throw new Error(`${name}: nothing was searched: ${output}`);
    return { states, fault: /^pan:\d+: (.*?)( \(at depth \d+\))?$/m.exec(output)?.[1]?.replace(/ +/g, " ") };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function isMissing(command: string): Promise<boolean> {
  try {
    await new Deno.Command(command, { args: ["--version"], stdout: "null", stderr: "null" }).output();
    return false;
  } catch {
    return true;
  }
}

const missing = (await Promise.all(["spin", "gcc"].map(async (name) => await isMissing(name) ? name : ""))).filter(
  Boolean,
);
if (missing.length > 0) {
  console.log(`The models were not checked: needed ${missing.join(" and ")}`);
  Deno.exit(0);
}

let passed = 0;
let failed = 0;
function report(isGood: boolean, line: string): void {
  isGood ? passed++ : failed++;
  console.log(`${isGood ? "ok   " : "FAIL "} ${line}`);
}

const jobs = models.flatMap(({ name, defines, without }) => [
  async () => {
    const { states, fault } = await check(name, defines);
    report(fault === undefined, `${[name, ...defines].join(" ")}: ${fault ?? "no fault"} in ${states} states`);
  },
  ...without.map((rule) => async () => {
    const { fault } = await check(name, [...defines, `NO_${rule}`]);
    report(fault !== undefined, `${name} without ${rule}: ${fault ?? "no fault was found"}`);
  }),
]);
await Promise.all(Array.from({ length: 2 }, async () => {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
}));
// The line has the form of the test runner's last line, which .ci/run reads.
console.log(`${failed === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
