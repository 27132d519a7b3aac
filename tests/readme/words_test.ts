/** Words: code and documents have no words that stop readers from other countries (CONTRIBUTING.md). */
import { assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url).pathname;

/** The words, and their replacements. */
const WORDS: readonly [words: RegExp, instead: string][] = [
  [/\banew\b/i, "again"],
  [/\bmeanwhile\b/i, "in between"],
  [/\bwhoever\b/i, "the caller, the operator, a program that …"],
  [/\b(?:anybody|everybody)\b/i, "a user, every program"],
  [/\bby (?:itself|themselves)\b/i, "alone, automatically, without help"],
  [/\b(?:somebody|someone|nobody)\b/i, "another process, another request, no one"],
  [/\btold of\b/i, "called with"],
  [/\b(?<!as )a text\b(?! (?:file|import|of))/i, "a string"],
  [
    /\b(?:line|file|session|request|process|test|row) an? (?:event|session|request|user|process|line|test)\b(?! (?:that|may|can|has|is|was|cookie|ended|store|of)\b)/,
    "one line per event",
  ],
];

/** The lines in which such a word is right: the table of words itself, and the name of a system's user. */
const RIGHT: readonly [file: string, line: string][] = [
  ["CONTRIBUTING.md", "| whoever, somebody, nobody "],
  ["CONTRIBUTING.md", "| anew, meanwhile "],
  [
    "CONTRIBUTING.md",
    "| a text (in types and messages) ",
  ],
  ["CONTRIBUTING.md", "| one line an event, a file a session "],
  [
    "CONTRIBUTING.md",
    "| is told of, says, is asked ",
  ],
  [
    "tests/stores/engines.ts",
    '"-u", "nobody"',
  ],
];

function* filesIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(root + folder)) {
    if (name === "node_modules" || name.startsWith(".")) continue;
    const path = `${folder}${name}`;
    if (isDirectory) yield* filesIn(`${path}/`);
    else if (/\.(?:ts|md|eta|sh|conf)$/.test(name)) yield path;
  }
}

Deno.test("words: no comment, message, test name or document has one that stops readers", () => {
  const found: string[] = [];
  const documents = [...Deno.readDirSync(root)].map(({ name }) => name).filter((name) => name.endsWith(".md"));
  for (
    const file of [
      "main.ts",
      ...documents,
      ...["lib/", "templates/", "tests/"].flatMap((folder) => [...filesIn(folder)]),
    ]
  ) {
    if (file === "tests/readme/words_test.ts") continue;
    for (const [index, line] of Deno.readTextFileSync(root + file).split("\n").entries()) {
      for (const [words, instead] of WORDS) {
        const isRight = RIGHT.some(([where, part]) => where === file && line.includes(part));
        if (words.test(line) && !isRight) found.push(`${file}:${index + 1} write "${instead}": ${line.trim()}`);
      }
    }
  }
  assertEquals(found, []);
});
