/** Arguments: turns a command line into a command. An error names the word that was not understood. */
import { parseArgs } from "node:util";
import { explainSettings } from "../server/settings.ts";

/** How the program is called. */
export const USAGE = `Usage: session-server                     serves
       session-server health              exit code 0 if the server is ready, else 1
       session-server sessions list [--user NAME] [--json]
       session-server sessions revoke HANDLE | COOKIE | --user NAME
       session-server sessions sweep
       session-server sessions copy --to-type TYPE --to-url ADDRESS
       session-server help | --version
(From a copy of the project: deno task start, deno task sessions list, and so on.)`;

/** The answer to `help`. */
export const HELP = `${USAGE}

"sessions revoke" takes the first digits of a handle, as "sessions list" shows it, or the value of
a session's cookie. "sessions copy" copies every live session of the store that the settings name
into another store. Cookies stay valid. Stop the servers first: changes made during the copy may be
missing in it.

Settings, from the environment; an empty value counts as unset (defaults in brackets):
${explainSettings()}`;

/** A command. */
export type Command =
  | { readonly name: "serve" }
  | { readonly name: "health" }
  | { readonly name: "help" }
  | { readonly name: "version" }
  | SessionsCommand;

/** A command about sessions. */
export type SessionsCommand =
  | { readonly name: "sweep" }
  | { readonly name: "list"; readonly user: string | undefined; readonly asJson: boolean }
  | { readonly name: "revoke"; readonly session: string }
  | { readonly name: "revoke user"; readonly user: string }
  | { readonly name: "copy"; readonly type: string | undefined; readonly url: string | undefined };

/** Thrown if the arguments are invalid. The message names the word that was not understood, or what is missing. */
export class UsageError extends Error {
  override name = "UsageError";
}

const OPTIONS = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
  user: { type: "string" },
  json: { type: "boolean" },
  "to-type": { type: "string" },
  "to-url": { type: "string" },
} as const;

type Option = keyof typeof OPTIONS;

/** The verbs of `sessions`, and the options that each takes. */
const VERBS: Readonly<Record<string, readonly Option[]>> = {
  list: ["user", "json"],
  revoke: ["user"],
  sweep: [],
  copy: ["to-type", "to-url"],
};

/**
 * Reads the arguments.
 *
 * @param args The arguments.
 * @throws {UsageError} if the arguments are invalid.
 */
export function parseArguments(args: readonly string[]): Command {
  const { words, options } = split(args);
  const infoWords = [...words, ...options.keys()].filter((word) => word === "help" || word === "version");
  const [first, verb, ...more] = words.filter((word) => word !== "help");
  const allowed = allowedFor(first, verb);
  // Only `revoke` can have a third word, which names a session.
  const extraWord = first === "sessions" ? more[verb === "revoke" && infoWords.length === 0 ? 1 : 0] : verb;
  if (extraWord !== undefined) throw misunderstood(extraWord);
  if (infoWords.includes("help") && !options.has("version")) return { name: "help" };
  if (options.has("version") && infoWords.length === 1) return { name: "version" };
  for (const name of options.keys()) if (!allowed.includes(name)) throw misunderstood(`--${name}`);
  if (first !== "sessions") return { name: first === "health" ? "health" : "serve" };
  return sessionsCommand(verb, more[0], options);
}

function allowedFor(first: string | undefined, verb: string | undefined): readonly Option[] {
  if (first === "sessions") {
    if (verb === undefined) return [];
    const allowed = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
    if (allowed === undefined) throw misunderstood(verb);
    return allowed;
  }
  if (first !== undefined && first !== "health") throw misunderstood(first);
  return [];
}

function sessionsCommand(
  verb: string | undefined,
  session: string | undefined,
  options: ReadonlyMap<Option, string>,
): SessionsCommand {
  const user = options.get("user");
  if (verb === "list") return { name: "list", user, asJson: options.has("json") };
  if (verb === "sweep") return { name: "sweep" };
  if (verb === "copy") {
    const [type, url] = [options.get("to-type"), options.get("to-url")];
    if (type === undefined && url === undefined) {
      throw new UsageError('"sessions copy" needs --to-url, the address of the other store');
    }
    return { name: "copy", type, url };
  }
  if (verb === undefined) throw new UsageError(`"sessions" needs one of ${Object.keys(VERBS).join(", ")}`);
  if ((session === undefined) === (user === undefined)) {
    throw new UsageError('"sessions revoke" needs either a handle, the value of a cookie, or --user NAME');
  }
  return user === undefined ? { name: "revoke", session: session! } : { name: "revoke user", user };
}

/** The words of a command line, and the values of its options. */
function split(args: readonly string[]): { words: string[]; options: Map<Option, string> } {
  const words: string[] = [];
  const options = new Map<Option, string>();
  const { tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, index } = token;
    if (!Object.hasOwn(OPTIONS, name)) throw misunderstood(args[index]!);
    const needsValue = OPTIONS[name as Option].type === "string";
    if (needsValue && (value ?? "").trim() === "") throw new UsageError(`"${rawName}" needs a value`);
    if (!needsValue && value !== undefined) throw misunderstood(args[index]!);
    if (options.has(name as Option)) throw new UsageError(`"${rawName}" is given twice`);
    options.set(name as Option, value ?? "");
  }
  return { words, options };
}

function misunderstood(word: string): UsageError {
  return new UsageError(`"${word}" is not understood`);
}
