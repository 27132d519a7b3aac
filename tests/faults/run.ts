/**
 * Plays the fault scenarios, one after the other, a line each.
 *
 *     deno task faults [--seed=N] [--rounds=N] [NAME…]
 *
 * With `--rounds` no scenario is played more often than that. A name, or the beginning of one, picks scenarios.
 */
import { corrupt, noSpace, readOnly } from "./disk.ts";
import { everywhere, logout } from "./logout.ts";
import { boundary, increments, kill, stale } from "./processes.ts";
import { type Scenario, seeded } from "./scenario.ts";
import { flood, handles, slowForm, stop } from "./server.ts";

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
];

function usage(message: string): never {
  console.error(
    `${message}\nUsage: deno task faults [--seed=N] [--rounds=N] [${scenarios.map(({ name }) => name).join(" ")}]`,
  );
  Deno.exit(2);
}

function readArgs(args: readonly string[]) {
  let seed = 1;
  let most = Infinity;
  const names: string[] = [];
  for (const arg of args) {
    const [, option, value] = /^--(seed|rounds)=(\d{1,9})$/.exec(arg) ?? [];
    if (option === "seed") seed = Number(value);
    else if (option === "rounds" && Number(value) > 0) most = Number(value);
    else if (arg.startsWith("-")) usage(`Cannot use "${arg}"`);
    else names.push(arg);
  }
  const chosen = scenarios.filter(({ name }) =>
    names.length === 0 || names.some((start) => name.split("-").includes(start) || name.startsWith(start))
  );
  if (chosen.length === 0) usage(`No scenario is called ${names.join(" or ")}`);
  return { seed, most, chosen };
}

const { seed, most, chosen } = readArgs(Deno.args);
let failed = 0;
for (const scenario of chosen) {
  const dir = await Deno.makeTempDir({ prefix: "faults-" });
  const start = performance.now();
  const rounds = Math.min(scenario.rounds, most);
  let line: string;
  try {
    line = `ok    ${scenario.name}: ${await scenario.play({ dir, rounds, random: seeded(seed) })}`;
  } catch (error) {
    failed++;
    line = `FAIL  ${scenario.name} (--seed=${seed}): ${error instanceof Error ? error.stack : error}`;
  }
  const times = rounds === 1 ? "" : `${rounds} rounds, `;
  console.log(`${line} (${times}${((performance.now() - start) / 1000).toFixed(1)} s)`);
  await Deno.remove(dir, { recursive: true });
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
