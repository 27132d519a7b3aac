/**
 * Several processes over one folder, each with sessions in memory, started, stopped (SIGSTOP), continued and killed at
 * random, while sessions are changed and ended: no one may serve what another had been told to be over.
 */
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { pause } from "./file_place.ts";

const PROCESSES = 3;

/** One process, asked by lines. */
class Process {
  #child: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #waiting: ((answer: unknown) => void)[] = [];
  #ended: Promise<void>;
  /** Resolves when it has joined. */
  readonly ready: Promise<unknown>;
  isStopped = false;

  constructor(dir: string) {
    const program = new URL("file_process.ts", import.meta.url).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-lock", "--allow-read", "--allow-write", program, dir],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.ready = new Promise((resolve) => this.#waiting.push(resolve));
    this.#ended = this.#listen();
  }

  async #listen(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#waiting.shift()!(JSON.parse(line));
    }
    // What it was asked when it died has no answer.
    for (const answer of this.#waiting) answer("dead");
  }

  ask(line: string): Promise<unknown> {
    const answer = new Promise<unknown>((resolve) => this.#waiting.push(resolve));
    this.#input.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
    return answer;
  }

  stop(): void {
    this.isStopped = true;
    this.#child.kill("SIGSTOP");
  }

  goOn(): void {
    this.isStopped = false;
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#ended;
    await this.#input.close().catch(() => {});
  }
}

/** What came of it. */
export interface Outcome {
  readonly ended: number;
  readonly changed: number;
  readonly reads: number;
  readonly stops: number;
  readonly starts: number;
}

/**
 * Plays that many rounds.
 *
 * @param random From 0 up to 1.
 * @throws {AssertionError} if a process served a state that was already out of date when it was asked.
 */
export async function playRoster(dir: string, rounds: number, random: () => number): Promise<Outcome> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const outcome = { ended: 0, changed: 0, reads: 0, stops: 0, starts: 0 };
  const maker = new FileStore({ dir });
  const processes: Process[] = [];
  const start = () => {
    outcome.starts++;
    const process = new Process(dir);
    processes.push(process);
    return process;
  };
  const make = async () => {
    const key = newId();
    const now = Date.now();
    const life = { created: now, idle: 600_000, expires: now + 600_000, deadline: now + 900_000 };
    await maker.create(key, { data: { n: 0 }, ...life });
    return key;
  };
  /** Asks processes for a session. */
  const see = (asked: readonly Process[], key: string, n: number | null) =>
    asked.map(async (process) => {
      const seen = await process.ask(`read ${key}`);
      if (seen === "dead") return;
      outcome.reads++;
      assertEquals(seen, n, "served after another process had said otherwise");
    });

  const pending: Promise<void>[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      const dice = random();
      const running = processes.filter(({ isStopped }) => !isStopped);
      const stopped = processes.filter(({ isStopped }) => isStopped);
      if (dice < 0.4 && processes.length > 1) {
        const [process] = processes.splice(Math.floor(random() * processes.length), 1);
        await process!.kill();
      } else if (running.length > 1 && (dice < 0.55 || (outcome.stops === 0 && round > rounds / 3))) {
        outcome.stops++;
        pick(running).stop();
      } else if (dice < 0.8 && stopped.length > 0) pick(stopped).goOn();
      if (!processes.some(({ isStopped }) => !isStopped)) await start().ready;

      // A newcomer changes something while the others have it in memory, perhaps before they know of it.
      const key = await make();
      const others = processes.filter(({ isStopped }) => !isStopped);
      await Promise.all(others.map((process) => process.ask(`know ${key}`)));
      await pause(60 + 300 * random() * (random() < 0.3 ? 1 : 0));
      await Promise.all(others.map((process) => process.ask(`read ${key}`)));
      const isNew = random() < 0.6 && processes.length < PROCESSES;
      const actor = isNew ? start() : pick(others);
      if (random() < 0.3) {
        const n = 1 + round;
        if (await actor.ask(`update ${key} ${n}`) === n) {
          outcome.changed++;
          await Promise.all(see(processes.filter(({ isStopped }) => !isStopped), key, n));
        }
      }
      if (await actor.ask(`delete ${key}`) === "dead") continue;
      outcome.ended++;
      // Those that are stopped answer when they go on.
      pending.push(...see(processes, key, null));
    }
    for (const process of processes) if (process.isStopped) process.goOn();
    await Promise.all(pending);
  } finally {
    for (const process of processes) await process.kill();
    await maker.close();
  }
  return outcome;
}
