/** Arguments: what the program can be asked to do. */
import { parseArgs } from "node:util";

/** What is said of arguments that are none. */
export const USAGE = `Usage: session-server                     serves; settings come from the environment
       session-server sessions list [--user NAME] [--json]
       session-server sessions revoke ID | --user NAME
       session-server sessions sweep
       session-server --help | --version
(From a copy of the project: deno task start, deno task sessions list, and so on.)`;

/** What to do. */
export type Command =
  | { readonly name: "serve" }
  | { readonly name: "help" }
  | { readonly name: "version" }
  | SessionsCommand;

/** What to do with sessions. */
export type SessionsCommand =
  | { readonly name: "sweep" }
  | { readonly name: "list"; readonly user: string | undefined; readonly asJson: boolean }
  | { readonly name: "revoke"; readonly id: string }
  | { readonly name: "revoke user"; readonly user: string };

/**
 * Reads the arguments.
 *
 * @param args The arguments.
 * @returns What to do, or `undefined` if they are none of the program's.
 */
export function parseArguments(args: readonly string[]): Command | undefined {
  const [first, ...rest] = args;
  if (first === undefined) return { name: "serve" };
  if (rest.length === 0 && first === "--help") return { name: "help" };
  if (rest.length === 0 && first === "--version") return { name: "version" };
  return first === "sessions" ? parseSessions(rest) : undefined;
}

function parseSessions(args: string[]): SessionsCommand | undefined {
  const parsed = parseStrictly(args);
  if (parsed === undefined) return undefined;
  const { positionals: [verb, id, ...more], values: { user: users = [], json } } = parsed;
  const [user] = users;
  if (more.length > 0 || users.length > 1 || user?.trim() === "") return undefined;
  if (verb === "list" && id === undefined) return { name: "list", user, asJson: json === true };
  if (json !== undefined) return undefined;
  if (verb === "sweep" && id === undefined && user === undefined) return { name: "sweep" };
  if (verb !== "revoke") return undefined;
  if (id !== undefined && user === undefined) return { name: "revoke", id };
  if (id === undefined && user !== undefined) return { name: "revoke user", user };
  return undefined;
}

function parseStrictly(args: string[]) {
  try {
    const options = { user: { type: "string", multiple: true }, json: { type: "boolean" } } as const;
    return parseArgs({ args, options, allowPositionals: true });
  } catch {
    return undefined;
  }
}
