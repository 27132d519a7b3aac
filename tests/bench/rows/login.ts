/** The cost of a log-in, compared with making a session: the library alone, without a server. */
import { median, printLine, printMissing, printTitle, say, withRange } from "../measure.ts";
import { options } from "../options.ts";
import { subfolder } from "./common.ts";

const KINDS = [
  ["guest", "a session is made"],
  ["stranger-logs-in", "log-in without a session"],
  ["guest-logs-in", "log-in with a session"],
] as const;

export async function measureLogin(): Promise<void> {
  const micros = KINDS.map((): number[] => []);
  printTitle("Log-in, with the library alone: µs of processor time");
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, [kind]] of KINDS.entries()) {
      const dir = await subfolder(`login-${kind}-${round}`);
      const args = ["run", "--config", `${options.server}deno.json`, "-A", `${import.meta.dirname}/../login.ts`];
      const command = new Deno.Command(Deno.execPath(), { args: [...args, kind, dir, options.server] });
      const { success, stdout, stderr } = await command.output();
      if (!success) {
        printMissing("log-in", new TextDecoder().decode(stderr).trim().split("\n")[0]!);
        return;
      }
      micros[index]!.push(Number(new TextDecoder().decode(stdout)));
      say(`Round ${round + 1}: ${micros[index]!.at(-1)!.toFixed(0)} µs: ${kind}`);
    }
  }
  for (const [index, [, name]] of KINDS.entries()) {
    const ratios = micros[index]!.map((time, round) => time / micros[0]![round]!);
    printLine(
      `${name.padEnd(26)}${withRange(micros[index]!)}${
        index === 0 ? "" : `, ${median(ratios).toFixed(2)} times as much`
      }`,
    );
  }
}
