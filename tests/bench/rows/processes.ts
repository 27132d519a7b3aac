/** Several processes: two at one port, or a second one that uses the same folder. */
import { type Contender, contender, inTurn, printMissing, printTable, printTitle, sample } from "../measure.ts";
import { options } from "../options.ts";
import { processorTime } from "../processes.ts";
import { Missing, ours, oursTogether, type Subject } from "../servers.ts";
import { FORM, post, register, stop, subfolder } from "./common.ts";
import { readyForMore } from "./pages.ts";

/** The most log-ins and log-outs of the other process per second. */
const LOG_INS_PER_SECOND = 100;

/** Two processes at one port, compared with one. */
export async function measureCores(): Promise<void> {
  const title = "Two processes at one port";
  try {
    const together = await oursTogether(2, { SESSION_FILE_DIR: await subfolder("cores-two") });
    const alone = await ours({ SESSION_FILE_DIR: await subfolder("cores-one") });
    const cookies = [[await register(together)], [await register(alone)]];
    const contenders = [
      contender("two processes", together, { cookies: cookies[0] }),
      contender("one process", alone, { cookies: cookies[1] }),
    ];
    await inTurn(contenders);
    printTable(`${title}: GET / of a registered visitor`, contenders);
    const [one, other] = together.pids.map((pid) => processorTime([pid])) as [number, number];
    if (Math.min(one, other) < Math.max(one, other) / 10) throw new Error("One of the two processes had no work");
    await stop([together, alone]);
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    printTitle(title);
    printMissing("REUSE_PORT=true", `needs ${error.message}`);
  }
}

/** The cost of waiting for the disk. */
export async function measureSync(): Promise<void> {
  const full = await readyForMore(await subfolder("sync-full"), { SESSION_SYNC: "full" });
  const normal = await readyForMore(await subfolder("sync-normal"));
  const contenders = [
    contender("SESSION_SYNC=full", full, { form: FORM, path: "/add" }),
    contender("SESSION_SYNC=normal", normal, { form: FORM, path: "/add" }),
  ];
  await inTurn(contenders);
  printTable("POST /add of a new visitor, with SESSION_SYNC", contenders);
  await stop([full, normal]);
}

/** `GET /` of a registered visitor while another process uses the same folder, idle or working. */
export async function measureNeighbours(): Promise<void> {
  const contenders: Contender[] = [];
  const running: Subject[] = [];
  for (const kind of ["alone", "beside an idle process", "beside a working process"]) {
    const dir = await subfolder(`neighbours-${running.length}`);
    const subject = await ours({ SESSION_FILE_DIR: dir });
    running.push(subject);
    const cookies = [await register(subject)];
    const one = contender(kind, subject, { cookies });
    contenders.push(one);
    if (kind === "alone") continue;
    const neighbour = await ours({ SESSION_FILE_DIR: dir });
    running.push(neighbour);
    if (kind !== "beside a working process") continue;
    const what = { url: subject.origin, seconds: options.seconds, cookies };
    contenders[2] = { ...one, send: () => whileWorking(neighbour, () => sample(subject, what)) };
  }
  await inTurn(contenders);
  printTable(`GET / of a registered visitor, shared folder (work: ${LOG_INS_PER_SECOND} log-ins/s)`, contenders);
  await stop(running);
}

async function whileWorking<T>(neighbour: Subject, send: () => Promise<T>): Promise<T> {
  let isOver = false;
  const work = async () => {
    while (!isOver) {
      await post(`${neighbour.origin}/remove`, await register(neighbour));
      await new Promise((resolve) => setTimeout(resolve, 1000 / LOG_INS_PER_SECOND));
    }
  };
  const working = work();
  try {
    return await send();
  } finally {
    isOver = true;
    await working;
  }
}
