/** Mutants: versions of a source file, each with one small fault that a programmer could make. */

/** A source file with one fault. */
export interface Mutant {
  /** The line, from 1. */
  readonly line: number;
  /** The kind of the fault. */
  readonly kind: Kind;
  /** The line as it was, and as it is with the fault, both trimmed. */
  readonly before: string;
  readonly after: string;
  /** The whole file with the fault. */
  readonly source: string;
}

/** The kinds of faults. */
export type Kind =
  | "condition turned"
  | "comparison changed"
  | "line dropped"
  | "await dropped"
  | "lines swapped"
  | "constant off";

/** A change of a line: the kind of fault, the pattern, and its replacement. */
type Edit = readonly [kind: Kind, pattern: RegExp, replace: (...match: string[]) => string];

const EDITS: readonly Edit[] = [
  ["condition turned", /\bif \((.+)\) (?=\S)/, (_, condition) => `if (!(${condition})) `],
  [
    "condition turned",
    /^(\s*(?:return|const \w+ =) .*?)( && | \|\| )/,
    (_, head, sign) => head + (sign === " && " ? " || " : " && "),
  ],
  [
    "comparison changed",
    / (<=|>=|<|>) (?=[\w(#.])/,
    (_, sign) => ` ${{ "<": "<=", "<=": "<", ">": ">=", ">=": ">" }[sign]} `,
  ],
  ["comparison changed", / (===|!==) /, (_, sign) => sign === "===" ? " !== " : " === "],
  ["await dropped", /\bawait (?!Promise\.race)/, () => ""],
  ["constant off", /\b(\d+)(?=[;,)]| \*)/, (_, digits) => String(Number(digits) + 1)],
  ["constant off", /\b(true|false)\b(?=[;,)])/, (_, word) => word === "true" ? "false" : "true"],
];

/** A line with one whole statement. */
const STATEMENT =
  /^\s+(?!return\b|const\b|let\b|import\b|export\b|type\b|case\b|break\b|continue\b|readonly\b|\/\/|\*)[\w#.!]+.*[;]$/;
/** A member without a value, or an assignment of a plain value. */
const PLAIN = /^\s+(?:#?\w+[!?]?(?::.*)?|this\.#?\w+ = \w+);$/;
/** A name in a line; `this` and `await` are not names. */
const NAME = /#?\b(?!this\b|await\b)[a-zA-Z_]\w*/g;
/** Lines that are no code, or only declare types and imports. */
const QUIET = /^\s*(?:\/\/|\/?\*|import\b|export (?:type|interface|\*|\{)|type\b|interface\b|readonly\b|@)/;

/**
 * All mutants of a file.
 *
 * @param source The file's text.
 */
export function mutantsOf(source: string): Mutant[] {
  const lines = source.split("\n");
  const mutants: Mutant[] = [];
  const add = (index: number, kind: Kind, changed: readonly string[], after: string) =>
    mutants.push({
      line: index + 1,
      kind,
      before: lines[index]!.trim(),
      after: after.trim(),
      source: changed.join("\n"),
    });
  let endOfType: RegExp | undefined;
  for (const [index, line] of lines.entries()) {
    if (/^(?:export )?interface\b/.test(line)) endOfType = /^\}/;
    else if (/^(?:export )?type\b/.test(line)) endOfType = /^(?:\}|.*;)$/;
    const isQuiet = endOfType !== undefined || QUIET.test(line);
    if (endOfType?.test(line)) endOfType = undefined;
    if (isQuiet) continue;
    for (const [kind, pattern, replace] of EDITS) {
      const after = line.replace(pattern, replace);
      if (after === line || kind === "await dropped" && isAwaitedByCaller(lines, index)) continue;
      add(index, kind, lines.with(index, after), after);
    }
    if (!STATEMENT.test(line) || /^ {2}#|^\s+\w+[!?]?: /.test(line)) continue;
    add(index, "line dropped", lines.with(index, ""), "");
    const next = lines[index + 1] ?? "";
    const isBeside = STATEMENT.test(next) && !(PLAIN.test(line) && PLAIN.test(next)) && !isIndependent(line, next) &&
      /^\s*/.exec(next)![0] === /^\s*/.exec(line)![0];
    if (isBeside) add(index, "lines swapped", lines.with(index, next).with(index + 1, line), next);
  }
  return mutants;
}

/** Whether the order of two lines makes no difference: no name is in both, and one of them has no call. */
function isIndependent(line: string, next: string): boolean {
  const names = new Set(line.match(NAME));
  return !next.match(NAME)?.some((name) => names.has(name)) && !(line.includes("(") && next.includes("("));
}

/** Whether a line returns a promise that it awaits, outside of any `try`: the caller awaits the same promise. */
function isAwaitedByCaller(lines: readonly string[], index: number): boolean {
  if (!/^\s*return (?:\S.* [?:] )?await [^:]*[;{(]$/.test(lines[index]!)) return false;
  const start = lines.findLastIndex((line, at) => at < index && /^(?: {2})?[\w#].*\{$/.test(line));
  return !lines.slice(start, index).some((line) => /\btry \{$/.test(line));
}
