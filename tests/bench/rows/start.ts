/** The time from the start of the process to its first answer. All packages are in Deno's cache. */
import { median, printLine, printTitle, verdict, withRange } from "../measure.ts";
import { options } from "../options.ts";
import { deno, ours } from "../servers.ts";
import { subfolder } from "./common.ts";

/** How much longer our server may take than an empty one, in milliseconds. */
const MORE = 150;

export async function measureStart(): Promise<void> {
  const dir = await subfolder("start");
  const times = { ours: [] as number[], empty: [] as number[] };
  for (let round = 0; round <= 2 * options.rounds; round++) {
    for (const kind of ["ours", "empty"] as const) {
      const before = performance.now();
      const subject = kind === "ours" ? await ours({ SESSION_FILE_DIR: dir }) : await deno("empty.ts", []);
      // The first round warms the caches.
      if (round > 0) times[kind].push(performance.now() - before);
      await subject.stop();
    }
  }
  const more = times.ours.map((milliseconds, round) => milliseconds - times.empty[round]!);
  printTitle("Start to first answer, in ms");
  printLine(`ours: ${withRange(times.ours)}; an empty server: ${withRange(times.empty)}`);
  printLine(`more: ${withRange(more)}; at most ${MORE}: ${verdict(median(more) <= MORE)}`);
}
