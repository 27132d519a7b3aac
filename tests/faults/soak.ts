/** A scenario of long use in short time: sessions live for two seconds. Files, memory and handles must not grow. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server } from "../support/server.ts";
import { filesIn, type Scenario, type Stage, wait } from "./scenario.ts";

const CLIENTS = 8;
/** Milliseconds between two requests of a client. A session lives some hundred times longer. */
const PAUSE = 4;

interface Sample {
  readonly files: number;
  readonly handles: number;
  readonly megabytes: number;
}

function look(dir: string, pid: number): Sample {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return {
    files: filesIn(dir).length,
    handles: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    megabytes: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024,
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Clients make, use and end sessions. A round is a second. */
export const soak: Scenario = {
  name: "soak",
  rounds: 240,
  slow: 5,
  async play({ dir, rounds, random }: Stage) {
    const server = await Server.start({ SESSION_FILE_DIR: dir, PERMANENT_SESSION_LIFETIME: "2" });
    const samples: Sample[] = [];
    let isOver = false;
    let made = 0;
    let requests = 0;
    try {
      const client = async () => {
        for (let browser = new Browser(server.origin); !isOver; await wait(PAUSE)) {
          const kind = random();
          requests++;
          if (kind < 0.4) browser = new Browser(server.origin);
          if (kind < 0.6) {
            assertEquals(await browser.post("/add", { username: "Ada" }), 303);
            made++;
          } else if (kind < 0.7) assertEquals(await browser.post("/remove"), 303);
          else assertEquals((await browser.request("/")).status, 200);
        }
      };
      const clients = Array.from({ length: CLIENTS }, client);
      for (let second = 0; second < rounds; second++) {
        await Promise.race([wait(1000), ...clients]);
        samples.push(look(dir, server.process.pid));
      }
      isOver = true;
      await Promise.all(clients);
    } finally {
      isOver = true;
      await server.kill();
    }
    // The first half warms up.
    const half = samples.slice(Math.floor(samples.length / 2));
    const [early, late] = [half.slice(0, half.length / 2), half.slice(half.length / 2)];
    const flat = (what: keyof Sample, most: number) => {
      const [before, after] = [early, late].map((part) => median(part.map((sample) => sample[what])));
      assert(after! <= before! * 1.15 + most, `${what}: ${before} before, ${after} after`);
      return `${before!.toFixed(0)} to ${after!.toFixed(0)}`;
    };
    return `${requests} requests, ${made} sessions; files ${flat("files", 40)}, handles ${flat("handles", 8)}, ` +
      `memory ${flat("megabytes", 15)} MB`;
  },
};
