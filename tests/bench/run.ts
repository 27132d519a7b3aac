/** `deno task bench`: measures the rows that were chosen, and prints them. README.md describes it. */
import { CONNECTIONS, tool } from "./load.ts";
import { busyBefore, describe, slowFiles, spreadWarnings } from "./machine.ts";
import type { Sample } from "./measure.ts";
import { options, ROWS } from "./options.ts";
import { versions } from "./peers.ts";
import { folder } from "./rows/common.ts";
import { measureHostile } from "./rows/hostile.ts";
import { measureLogin } from "./rows/login.ts";
import { measureAdd, measureAnonymous, measureHeaders, measureUser } from "./rows/pages.ts";
import { measureCores, measureNeighbours, measureSync } from "./rows/processes.ts";
import { measureStart } from "./rows/start.ts";
import { measureStores } from "./rows/stores.ts";
import { measureMillion, measureSweep } from "./rows/sweep.ts";

const measures: Record<typeof ROWS[number], () => Promise<Sample[] | void>> = {
  user: measureUser,
  anonymous: measureAnonymous,
  headers: measureHeaders,
  add: measureAdd,
  login: measureLogin,
  cores: measureCores,
  sync: measureSync,
  stores: measureStores,
  million: measureMillion,
  sweep: measureSweep,
  neighbours: measureNeighbours,
  start: measureStart,
  hostile: measureHostile,
};

const warnings: string[] = [];
try {
  for (const warning of [await busyBefore(), slowFiles(folder)]) if (warning !== undefined) warn(warning);
  await printHead();
  for (const row of ROWS) {
    if (!options.only.includes(row)) continue;
    const bare = await measures[row]();
    if (bare) spreadWarnings(bare).forEach(warn);
  }
  if (warnings.length > 0) console.log("");
  for (const warning of warnings) console.log(`Warning: ${warning}`);
} finally {
  // The files are removed at the end, because some file systems make files slowly after many were removed.
  console.error("Removing the temporary files");
  await Deno.remove(folder, { recursive: true });
}

/** Prints the machine, the programs and how to read the tables. */
async function printHead(): Promise<void> {
  for (const line of describe()) console.log(line);
  console.log(`Deno ${Deno.version.deno}; ${tool.name} ${tool.version}, ${CONNECTIONS} connections`);
  for (const line of await versions()) console.log(`Peer: ${line}`);
  console.log(
    `Rounds: ${options.rounds} of ${options.seconds} s each, in turn; medians, with lowest and highest in brackets`,
  );
  console.log("µs per request: processor time of all threads and processes of the server");
  console.log('"Is worth": how many times as many requests for the same processor time, and in the same time');
}

function warn(text: string): void {
  warnings.push(text);
  console.error(`Warning: ${text}`);
}
