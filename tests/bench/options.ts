/** The options of the bench, from the command line. */

/** All rows, in the order in which they are measured. */
export const ROWS = [
  "user",
  "anonymous",
  "headers",
  "add",
  "login",
  "cores",
  "sync",
  "stores",
  "million",
  "sweep",
  "neighbours",
  "start",
  "hostile",
] as const;

export const options: {
  /** How often each server is loaded, besides a first time that warms it up and does not count. */
  readonly rounds: number;
  /** How long each server is loaded in a round. */
  readonly seconds: number;
  /** The rows to measure. */
  readonly only: readonly string[];
  /** The folder of the checkout whose server is measured, with a slash at its end: this one unless given. */
  readonly server: string;
} = read();

function read(): typeof options {
  const given = new Map(Deno.args.map((argument) => argument.replace(/^--/, "").split("=") as [string, string]));
  const rounds = Number(given.get("rounds") ?? 5);
  const seconds = Number(given.get("seconds") ?? 3);
  const only = given.get("only")?.split(",") ?? ROWS;
  const server = given.get("server")?.replace(/\/*$/, "/") ?? new URL("../..", import.meta.url).pathname;
  const wrong = [...given.keys()].filter((name) => !["rounds", "seconds", "only", "server"].includes(name));
  wrong.push(...only.filter((name) => !(ROWS as readonly string[]).includes(name)));
  if (wrong.length > 0 || !Number.isInteger(rounds) || rounds < 1 || !(seconds >= 1)) {
    console.error(`Options: --rounds=5 --seconds=3 --only=${ROWS.join(",")} --server=FOLDER`);
    Deno.exit(2);
  }
  return { rounds, seconds, only, server };
}
