/** A scenario of power cuts: a machine dies at a random moment. Every change that it acknowledged must be there. */
import { assertEquals } from "@std/assert";
import { type Disk, Machine, makeDisks, missingForMachine } from "./machine.ts";
import { type Scenario, type Stage, wait } from "./scenario.ts";

/** A line of the program in the machine: a session that a store has, a change that begins, or that it is done. */
interface Line {
  readonly at: "files" | "sqlite";
  readonly found?: string;
  readonly lane?: number;
  readonly verb?: "create" | "update" | "touch" | "move" | "delete";
  readonly id?: string;
  readonly to?: string;
  readonly n?: number;
  readonly expires?: number;
  readonly done?: number;
  readonly trouble?: string;
}

interface Found {
  readonly n: number;
  readonly expires: number;
}

/** Each store has its own disk, because a sync of one store would also save the changes of the other. */
const DISKS: readonly Disk[] = [
  { name: "files", system: "ext4", options: ["-q", "-F"] },
  { name: "sqlite", system: "ext4", options: ["-q", "-F"] },
];

/** The expected contents of a store: every acknowledged change. A change that was under way may be done or not. */
class Expected {
  readonly sessions = new Map<string, Found>();
  readonly ended = new Set<string>();
  acknowledged = 0;
  #underWay = new Map<number, Line>();

  constructor(found: readonly Line[]) {
    for (const { found: id, n, expires } of found) this.sessions.set(id!, { n: n!, expires: expires! });
  }

  hear(line: Line): void {
    const lane = line.lane!;
    if (line.verb !== undefined) {
      this.#underWay.set(lane, line);
      return;
    }
    const { verb, id = "", to = "", n = 0, expires = 0 } = this.#underWay.get(lane)!;
    this.#underWay.delete(lane);
    this.acknowledged++;
    const before = this.sessions.get(id);
    if (verb === "create") this.sessions.set(id, { n, expires });
    if (verb === "update") this.sessions.set(id, { ...before!, n });
    if (verb === "touch") this.sessions.set(id, { ...before!, expires });
    if (verb === "move") this.sessions.set(to, { ...before!, n });
    if (verb === "move" || verb === "delete") {
      this.sessions.delete(id);
      this.ended.add(id);
    }
  }

  /** Counts the acknowledged changes that are missing in the store, and the ended sessions that are there. */
  compare(found: ReadonlyMap<string, Found>): { lost: number; revived: number } {
    let lost = 0;
    for (const [id, { n, expires }] of this.sessions) {
      const line = [...this.#underWay.values()].find((line) => line.id === id);
      const is = found.get(id) ?? (line?.verb === "move" ? found.get(line.to!) : undefined);
      if (is === undefined ? line?.verb !== "delete" : (is.n !== n && is.n !== line?.n) || is.expires < expires) lost++;
    }
    return { lost, revived: [...this.ended].filter((id) => found.has(id)).length };
  }
}

/** Cuts the power several times. Counts the changes of each store that were acknowledged, lost and revived. */
async function cuts(dir: string, sync: "normal" | "full", rounds: number, random: () => number) {
  const outcome = {
    files: { acknowledged: 0, lost: 0, revived: 0 },
    sqlite: { acknowledged: 0, lost: 0, revived: 0 },
  };
  const expected: Partial<Record<"files" | "sqlite", Expected>> = {};
  await makeDisks(dir, DISKS);
  for (let round = 0; round <= rounds; round++) {
    const seed = Math.floor(random() * 2 ** 31);
    const machine = new Machine(dir, DISKS, "power_worker.ts", { seed, sync });
    try {
      await machine.hears('{"ready":true}');
      if (round < rounds) {
        for (const at of ["files", "sqlite"]) await machine.hears(`"at":"${at}","lane"`);
        await wait(100 + 1200 * random());
      }
    } finally {
      await machine.cut();
    }
    const lines = machine.lines<Line>();
    assertEquals(lines.flatMap(({ trouble = [] }) => trouble), []);
    for (const at of ["files", "sqlite"] as const) {
      const own = lines.filter((line) => line.at === at);
      const found = own.filter((line) => line.found !== undefined);
      const before = expected[at];
      if (before !== undefined) {
        const { lost, revived } = before.compare(
          new Map(found.map(({ found, n, expires }) => [found!, { n: n!, expires: expires! }])),
        );
        outcome[at].acknowledged += before.acknowledged;
        outcome[at].lost += lost;
        outcome[at].revived += revived;
      }
      const now = expected[at] = new Expected(found);
      for (const line of own) if (line.lane !== undefined) now.hear(line);
    }
  }
  return outcome;
}

/** The power is cut while both stores write, with `sync: "full"`. */
export const powerCut: Scenario = {
  name: "power-cut",
  rounds: 20,
  slow: 10,
  async play({ dir, rounds, random }: Stage) {
    const missing = await missingForMachine(DISKS);
    if (missing !== undefined) return `not played: needed ${missing}`;
    await Deno.mkdir(`${dir}/full`);
    await Deno.mkdir(`${dir}/normal`);
    const { files, sqlite } = await cuts(`${dir}/full`, "full", rounds, random);
    assertEquals([files.lost, files.revived, sqlite.lost, sqlite.revived], [0, 0, 0, 0], "acknowledged, but not done");
    // Without `sync: "full"` a cut must lose changes. Otherwise the cuts would show nothing.
    const normal = await cuts(`${dir}/normal`, "normal", 1, random);
    const cost = normal.files.lost + normal.files.revived;
    if (cost === 0) throw new Error('A cut without sync: "full" lost no change, so the cuts show nothing');
    return `${files.acknowledged} acknowledged changes of files and ${sqlite.acknowledged} of SQLite: 0 lost, 0 revived; ` +
      `without sync: "full", one cut undid ${cost} of ${normal.files.acknowledged} and ` +
      `${normal.sqlite.lost + normal.sqlite.revived} of ${normal.sqlite.acknowledged}`;
  },
};
