/** The log: the form of a line, and how repeated events are held back. */
import { assertEquals } from "@std/assert";
import { createLog, LEVELS } from "../../lib/log.ts";
import { Clock } from "../../lib/testing.ts";

function logging(least: (typeof LEVELS)[number]) {
  const lines: string[] = [];
  const clock = new Clock();
  return { lines, clock, log: createLog(least, (line) => lines.push(line), clock.now) };
}

Deno.test("log: a line has a time, a level, an event and its detail", () => {
  const { lines, log } = logging("info");
  log("warn", "A thing was refused", "the reason");
  log("info", "Another thing happened");
  assertEquals(lines, [
    "2030-01-01T00:00:00.000Z warn A thing was refused: the reason",
    "2030-01-01T00:00:00.000Z info Another thing happened",
  ]);
});

Deno.test("log: at debug every line is written", () => {
  const { lines, log } = logging("debug");
  for (let i = 0; i < 3; i++) log("debug", "Answered", `request ${i}`);
  assertEquals(lines.map((line) => line.slice(-9)), ["request 0", "request 1", "request 2"]);
});

Deno.test("log: levels below the least one are left out", () => {
  for (const [index, least] of LEVELS.entries()) {
    const { lines, log } = logging(least);
    for (const level of LEVELS) log(level, level);
    assertEquals(lines.map((line) => line.split(" ")[1]), LEVELS.slice(0, index + 1));
  }
});

Deno.test("log: a repeated event is written once in ten seconds, with its count", () => {
  const { lines, clock, log } = logging("info");
  for (let i = 0; i < 1000; i++) log("warn", "A flood", `wave ${i}`);
  log("warn", "Another event");
  clock.time += 9_999;
  log("warn", "A flood");
  assertEquals(lines.length, 2);
  clock.time += 1;
  log("warn", "A flood");
  clock.time += 10_000;
  log("warn", "A flood");
  assertEquals(lines.map((line) => line.slice(25)), [
    "warn A flood: wave 0",
    "warn Another event",
    "warn A flood (and 1000 times since the last line)",
    "warn A flood",
  ]);
});

Deno.test("log: it remembers a bounded number of different events", () => {
  const { lines, log } = logging("info");
  for (let i = 0; i < 2500; i++) log("info", `A user logged in: session ${i}`);
  assertEquals(lines.length, 2500);
  log("info", "A user logged in: session 2499");
  assertEquals(lines.length, 2500, "the last ones are held back");
});

Deno.test("log: a clock that is set back holds no line back", () => {
  const { lines, clock, log } = logging("info");
  log("warn", "An event");
  clock.time -= 24 * 60 * 60 * 1000;
  log("warn", "An event");
  assertEquals(lines.length, 2);
});

Deno.test("log: any detail is written in one line without control characters", () => {
  const { lines, log } = logging("info");
  log("error", "A failure", "first\r\n2030-01-01T00:00:00.000Z info forged\n\x1b[2Jtab\tend\u2028\u0085x");
  assertEquals(lines, [
    "2030-01-01T00:00:00.000Z error A failure: first 2030-01-01T00:00:00.000Z info forged [2Jtab end x",
  ]);
});

Deno.test("log: a line that cannot be written throws no error", () => {
  const log = createLog("info", () => {
    throw new Error("No space left on device");
  });
  log("error", "A failure");
});
