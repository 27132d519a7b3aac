/**
 * `deno task test-load`: runs the tests several times while other processes keep every processor busy, and prints which
 * tests failed. A test that fails under load waits for a time where it should wait for an event.
 *
 *     deno task test-load --runs=10
 */
import { parseArgs } from "node:util";

const { values } = parseArgs({ args: Deno.args, options: { runs: { type: "string", default: "10" } } });
const runs = Number(values.runs);

const busy = Array.from({ length: navigator.hardwareConcurrency }, () => {
  return new Deno.Command(Deno.execPath(), { args: ["eval", "while (true);"] }).spawn();
});
let passed = 0;
try {
  for (let run = 1; run <= runs; run++) {
    const suite = new Deno.Command(Deno.execPath(), {
      args: ["task", "test"],
      env: { NO_COLOR: "1" },
      stderr: "piped",
    });
    const { success, stdout, stderr } = await suite.output();
    if (success) passed++;
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    const failed = success
      ? []
      : text.slice(text.lastIndexOf(" FAILURES ")).match(/^.+ => .+$/gm) ?? [text.slice(-2000)];
    console.log([`run ${run} of ${runs}: ${success ? "passed" : "failed"}`, ...failed].join("\n  "));
  }
} finally {
  for (const process of busy) process.kill("SIGKILL");
}
console.log(`${passed} of ${runs} runs passed`);
Deno.exit(passed === runs ? 0 : 1);
