/** Many sessions: a million that are stored, and many expired ones that are swept. */
import { countEnded, fill } from "../folders.ts";
import { contender, inTurn, median, printLine, printTable, printTitle, sample, say, thousands } from "../measure.ts";
import { verdict, withRange } from "../measure.ts";
import { options } from "../options.ts";
import { residentMegabytes } from "../processes.ts";
import { load } from "../load.ts";
import { ours } from "../servers.ts";
import { FORM, register, registerMany, settle, stop, subfolder } from "./common.ts";

const HOUR = 3_600_000;
const ACTIVE = 10_000;
const EXPIRED = 100_000;

/** How much more memory a million sessions may take, in megabytes. */
const MORE_MEMORY = 32;
/** How much a sweep may add to the 99th percentile, in milliseconds. */
const MORE_P99 = 5;

/** Speed and memory with 1,000,000 stored sessions, compared with 100. */
export async function measureMillion(): Promise<void> {
  const many = await folderWith(1_000_000 - ACTIVE, ACTIVE);
  const few = await folderWith(0, 100);
  await settle();
  const subjects = [await ours({ SESSION_FILE_DIR: many.dir }), await ours({ SESSION_FILE_DIR: few.dir })] as const;
  const contenders = [
    contender("1,000,000 stored", subjects[0], { cookies: many.cookies.slice(0, 100) }),
    contender("100 stored", subjects[1], { cookies: few.cookies, target: 0.95 }),
  ];
  await inTurn(contenders);
  printTable("GET / of a registered visitor, a million sessions stored", contenders);

  // Every active visitor sends requests. One visitor registers, so that the store counts all sessions.
  const memory: number[] = [];
  for (const [index, { cookies }] of [many, few].entries()) {
    const subject = subjects[index]!;
    await register(subject);
    await load({ url: subject.origin, seconds: options.seconds, cookies });
    memory.push(residentMegabytes(subject.pids[0]!));
  }
  const [withMany, withFew] = memory as [number, number];
  const more = withMany - withFew;
  printLine(
    `Memory: ${withMany.toFixed(0)} MB, ${withFew.toFixed(0)} MB; at most ${MORE_MEMORY} MB more: ` +
      verdict(more <= MORE_MEMORY),
  );
  await stop(subjects);
}

/**
 * `POST /add` while expired sessions are swept, compared with none. Each new session makes the server check twelve
 * files, so the registrations cause the sweep.
 */
export async function measureSweep(): Promise<void> {
  const p99 = { with: [] as number[], without: [] as number[] };
  let swept = 0;
  for (let round = 0; round < options.rounds; round++) {
    for (const kind of round % 2 === 0 ? ["with", "without"] as const : ["without", "with"] as const) {
      const { dir } = await folderWith(0, 1);
      if (kind === "with") fill(dir, EXPIRED, Date.now() - HOUR);
      await settle();
      const subject = await ours({ SESSION_FILE_DIR: dir });
      // For the first new session the store counts all files.
      await register(subject);
      p99[kind].push(
        (await sample(subject, { url: `${subject.origin}/add`, form: FORM, seconds: options.seconds })).p99,
      );
      await stop([subject]);
      if (kind === "with") swept += EXPIRED - countEnded(dir, Date.now());
    }
    say(`Round ${round + 1}: p99 ${p99.with[round]} ms while swept, else ${p99.without[round]}`);
  }
  const more = p99.with.map((milliseconds, round) => milliseconds - p99.without[round]!);
  printTitle("p99 of POST /add while expired sessions are swept, in ms");
  printLine(`with ${thousands(swept / options.rounds)} swept per round: ${withRange(p99.with)}`);
  printLine(`none to sweep: ${withRange(p99.without)}`);
  printLine(`more: ${withRange(more)}; at most ${MORE_P99}: ${verdict(median(more) <= MORE_P99)}`);
}

let folders = 0;

/** Makes a folder with sessions of active visitors and with others that are live. No server uses it. */
async function folderWith(others: number, active: number): Promise<{ dir: string; cookies: string[] }> {
  const dir = await subfolder(`many-${folders++}`);
  const maker = await ours({ SESSION_FILE_DIR: dir });
  const cookies = await registerMany(maker, active);
  await maker.stop();
  if (others > 0) {
    say(`Writing ${thousands(others)} session files`);
    fill(dir, others, Date.now() + HOUR);
  }
  return { dir, cookies };
}
