/**
 * Checks the models of the file store with Spin, then each again with one line of the protocol left out: the checker must
 * find no fault in the first, and one in each of the others.
 *
 *     deno task model
 */

/** A model, who takes part, and which of its lines can be left out. */
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
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${said}`);
  return said;
}

/** Lets Spin go through every state of a model. Returns how many there are, and the first assertion that does not hold. */
async function check(name: string, defines: readonly string[]): Promise<{ states: number; fault: string | undefined }> {
  const dir = await Deno.makeTempDir({ prefix: "model-" });
  try {
    await Deno.copyFile(new URL(`${name}.pml`, import.meta.url), `${dir}/${name}.pml`);
    await run(dir, "spin", ...defines.map((define) => `-D${define}`), "-a", `${name}.pml`);
    await run(dir, "gcc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c");
    const said = await run(dir, "./pan", "-m100000", "-E", "-w25");
    if (said.includes("max search depth too small")) throw new Error(`${name}: not all of it was searched`);
    const states = Number(/(\d+) states, stored/.exec(said)?.[1] ?? 0);
    if (states === 0) throw new Error(`${name}: nothing was searched: ${said}`);
    return { states, fault: /^pan:\d+: (.*?)( \(at depth \d+\))?$/m.exec(said)?.[1]?.replace(/ +/g, " ") };
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
function tell(isRight: boolean, line: string): void {
  isRight ? passed++ : failed++;
  console.log(`${isRight ? "ok   " : "FAIL "} ${line}`);
}

const jobs = models.flatMap(({ name, defines, without }) => [
  async () => {
    const { states, fault } = await check(name, defines);
    tell(fault === undefined, `${[name, ...defines].join(" ")}: ${fault ?? "no fault"} in ${states} states`);
  },
  ...without.map((line) => async () => {
    const { fault } = await check(name, [...defines, `NO_${line}`]);
    tell(fault !== undefined, `${name} without ${line}: ${fault ?? "no fault was found"}`);
  }),
]);
await Promise.all(Array.from({ length: 2 }, async () => {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
}));
// As the test runner says it.
console.log(`${failed === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
