/** Arguments: the command of each command line, and the word that the error names. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Command, HELP, parseArguments, UsageError } from "../../lib/commands/arguments.ts";
import { SETTINGS } from "../../lib/server/settings.ts";

const parse = (line: string) => parseArguments(line.split(" ").filter((word) => word !== ""));

Deno.test("arguments: each command is understood", () => {
  const commands: [line: string, command: Command][] = [
    ["", { name: "serve" }],
    ["health", { name: "health" }],
    ["--version", { name: "version" }],
    ["sessions list", { name: "list", user: undefined, asJson: false }],
    ["sessions list --json --user Ada", { name: "list", user: "Ada", asJson: true }],
    ["sessions list --user=--x", { name: "list", user: "--x", asJson: false }],
    ["sessions revoke 12ab", { name: "revoke", session: "12ab" }],
    ["sessions revoke --user help", { name: "revoke user", user: "help" }],
    ["sessions sweep", { name: "sweep" }],
    ["sessions copy --to-type redis --to-url redis://a", { name: "copy", type: "redis", url: "redis://a" }],
  ];
  for (const [line, command] of commands) assertEquals(parse(line), command, line);
});

Deno.test("arguments: help is given before and after every command", () => {
  const commands = ["", "health", "sessions", "sessions list", "sessions revoke", "sessions sweep", "sessions copy"];
  for (const command of commands) {
    for (const help of ["-h", "--help", "help"]) {
      assertEquals(parse(`${command} ${help}`), { name: "help" }, command);
      assertEquals(parse(`${help} ${command}`), { name: "help" }, command);
    }
    assertEquals(parse(`${command} --version`), { name: "version" }, command);
  }
  assertEquals(parse("sessions list --user Ada --help"), { name: "help" });
});

Deno.test("arguments: the help names every command and every setting", () => {
  for (const name of ["health", "list", "revoke", "sweep", "copy", "help", "--version", ...Object.keys(SETTINGS)]) {
    assert(HELP.includes(name), name);
  }
});

Deno.test("arguments: the word that is not understood is named", () => {
  const wrong: [line: string, word: string][] = [
    ["--port=9", "--port=9"],
    ["-p", "-p"],
    ["serve", "serve"],
    ["constructor", "constructor"],
    ["health now", "now"],
    ["--help x", "x"],
    ["--version --help", "--version"],
    ["--user Ada", "--user"],
    ["sessions show", "show"],
    ["sessions constructor", "constructor"],
    ["sessions list x", "x"],
    ["sessions list --all", "--all"],
    ["sessions list --json=yes", "--json=yes"],
    ["sessions revoke a b", "b"],
    ["sessions revoke a --json", "--json"],
    ["sessions sweep --user a", "--user"],
    ["sessions copy a --to-type redis", "a"],
  ];
  for (const [line, word] of wrong) {
    assertThrows(() => parse(line), UsageError, `"${word}" is not understood`);
  }
  assertThrows(() => parseArguments([""]), UsageError, '"" is not understood');
});

Deno.test("arguments: the error names a missing or repeated argument", () => {
  const wrong: [line: string, message: string][] = [
    ["sessions", '"sessions" needs one of list, revoke, sweep, copy'],
    ["sessions revoke", '"sessions revoke" needs either a handle, the value of a cookie, or --user NAME'],
    ["sessions revoke a --user b", '"sessions revoke" needs either a handle'],
    ["sessions revoke --user", '"--user" needs a value'],
    ["sessions list --user=", '"--user" needs a value'],
    ["sessions revoke --user=Ada --user=Bob", '"--user" is given twice'],
    ["sessions copy", '"sessions copy" needs --to-url'],
    ["sessions copy --to-url", '"--to-url" needs a value'],
  ];
  for (const [line, message] of wrong) assertThrows(() => parse(line), UsageError, message);
});
