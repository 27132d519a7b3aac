/**
 * Plays the fault scenarios, one after the other, and prints a line for each.
 *
 *     deno task faults [--seed=N] [--rounds=N] [NAME…]
 *
 * `--rounds` sets the number of rounds. Scenarios whose rounds take long play a fifth or a tenth of it, and scenarios
 * without rounds are played once. A name selects scenarios; a part of a name between dashes is enough.
 */
import { clock } from "./clock.ts";
import { corrupt, noSpace, readOnly } from "./disk.ts";
import { fullDatabase } from "./full_database.ts";
import { everywhere, logout } from "./logout.ts";
import { powerCut } from "./power_cut.ts";
import { boundary, increments, kill, stale } from "./processes.ts";
import { type Scenario, seeded } from "./scenario.ts";
import { endAll, rolling } from "./users.ts";
import { shard } from "./shard.ts";
import { soak } from "./soak.ts";
import { background, flood, handles, slowForm, stop } from "./server.ts";

const scenarios: readonly Scenario[] = [
  kill,
  logout,
  increments,
  noSpace,
  corrupt,
  handles,
  slowForm,
  boundary,
  stop,
  flood,
  readOnly,
  everywhere,
  stale,
  background,
  clock,
  fullDatabase,
  shard,
  endAll,
  rolling,
  powerCut,
  soak,
];

function usage(message: string): never {
  console.error(
    `${message}\nUsage: deno task faults [--seed=N] [--rounds=N] [${scenarios.map(({ name }) => name).join(" ")}]`,
  );
  Deno.exit(2);
}

function readArgs(args: readonly string[]) {
  let seed = 1;
  let times: number | undefined;
  const names: string[] = [];
  for (const arg of args) {
    const [, option, value] = /^--(seed|rounds)=(\d{1,9})$/.exec(arg) ?? [];
    if (option === "seed") seed = Number(value);
    else if (option === "rounds" && Number(value) > 0) times = Number(value);
    else if (arg.startsWith("-")) usage(`Cannot use "${arg}"`);
    else names.push(arg);
  }
  const chosen = scenarios.filter(({ name }) =>
    names.length === 0 || names.some((part) => part === name || name.split("-").includes(part))
  );
  if (chosen.length === 0) usage(`There is no scenario ${names.join(" or ")}`);
  return { seed, times, chosen };
}

const { seed, times, chosen } = readArgs(Deno.args);
let failed = 0;

async function play(scenario: Scenario): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "faults-" });
  const start = performance.now();
  const rounds = scenario.rounds === 1 || times === undefined
    ? scenario.rounds
    : Math.ceil(times / (scenario.slow ?? 1));
  let line: string;
  try {
    line = `ok    ${scenario.name}: ${await scenario.play({ dir, rounds, random: seeded(seed) })}`;
  } catch (error) {
    failed++;
    line = `FAIL  ${scenario.name} (--seed=${seed}): ${error instanceof Error ? error.stack : error}`;
  }
  const played = rounds === 1 ? "" : `${rounds} rounds, `;
  console.log(`${line} (${played}${((performance.now() - start) / 1000).toFixed(1)} s)`);
  await Deno.remove(dir, { recursive: true });
}

// Scenarios that mostly wait run at the same time as the others.
const waiting = Promise.all(chosen.filter(({ waits }) => waits).map(play));
for (const scenario of chosen) if (!scenario.waits) await play(scenario);
await waiting;
// The line has the form of the test runner's last line, which .ci/run reads.
console.log(`${failed === 0 ? "ok" : "FAILED"} | ${chosen.length - failed} passed | ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
