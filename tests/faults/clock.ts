/** A scenario of clocks, on a separate machine: file systems that keep whole seconds, and a clock that is set. */
import { assertEquals } from "@std/assert";
import { type Disk, Machine, makeDisks, missingForMachine } from "./machine.ts";
import type { Scenario, Stage } from "./scenario.ts";

const DISKS: readonly Disk[] = [
  { name: "seconds", system: "ext4", options: ["-q", "-F", "-I", "128"] },
  { name: "two_seconds", system: "vfat", options: [] },
];

/** Disks with coarse times, and a clock that is set. */
export const clock: Scenario = {
  name: "clock",
  rounds: 1,
  waits: true,
  async play({ dir }: Stage) {
    const missing = await missingForMachine(DISKS);
    if (missing !== undefined) return `not played: needed ${missing}`;
    await makeDisks(dir, DISKS);
    const disks = DISKS.map(({ name }) => name);
    const machine = new Machine(dir, DISKS, "clock_worker.ts", { disks });
    try {
      await machine.hears('{"ready":true}');
    } finally {
      await machine.cut();
    }
    const said = machine.lines<{ disk?: string }>();
    for (const disk of disks) {
      assertEquals(said.filter((line) => line.disk === disk), [
        { disk, born: 300, first: 300, used: 300, swept: 0, after: 300 },
        { disk, dead: 0 },
        { disk, ahead: 50, usable: 0, again: 50, listed: 50 },
      ]);
    }
    return "ext4 with times of 1 s and vfat with 2 s: 2 × 300 made, used and not swept, 2 × 300 made while the clock " +
      "steps, 0 expired when new; 2 × 50 from a clock a day ahead are gone and take no room";
  },
};
