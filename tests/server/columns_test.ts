/** Columns: the width of strings in a terminal. */
import { assert, assertEquals } from "@std/assert";
import { row } from "../../lib/commands/session_table.ts";
import { fit } from "../../lib/commands/columns.ts";

Deno.test("columns: a string is filled to its width in a terminal", () => {
  const widths: [text: string, columns: number][] = [
    ["Ada", 3],
    ["Ame\u0301lie", 6],
    ["o\u0308\u0323", 1],
    ["線上", 4],
    ["ｱｲｳ", 3],
    ["ＡＢ", 4],
    ["\u1112\u1161\u11ab", 2],
    ["한글", 4],
    ["👋", 2],
    ["👋🏽", 2],
    ["❤", 1],
    ["❤\uFE0F", 2],
    ["👩\u200D👩\u200D👧", 2],
    ["🇯🇵", 2],
    ["1\uFE0F\u20E3", 2],
    ["12", 2],
    ["नमस्ते", 4],
    ["\u0301", 1],
    ["𠮷", 2],
  ];
  for (const [text, columns] of widths) {
    const spaces = / *$/.exec(fit(text, 10))![0].length;
    assertEquals(10 - spaces, columns, text);
  }
});

Deno.test("columns: a string that is too long is cut between characters", () => {
  assertEquals(fit("abcdef", 4), "abc…");
  assertEquals(fit("abcd", 4), "abcd");
  assertEquals(fit("線上使用", 5), "線上…");
  assertEquals(fit("線上使用", 4), "線… ");
  assertEquals(fit("👩\u200D👩\u200D👧👋", 3), "👩\u200D👩\u200D👧…");
});

Deno.test("columns: characters that a terminal acts on are not shown", () => {
  assertEquals(fit("a\n\tb\x1b[2J\u202Ec\u2028\u200B\x9B", 20).trimEnd(), "a??b?[2J?c???");
  assert(fit("x" + "\u0301".repeat(500), 5).length < 20, "marks do not pile up");
});

Deno.test("columns: sizes under 10,000 bytes are in bytes, others in kB", () => {
  const sizeOf = (length: number) => {
    const times = { created: 0, idle: 1, expires: 1, deadline: 1 };
    const data = { a: "x".repeat(length - '{"a":""}'.length) };
    return /\d+ k?B/.exec(row("name", { data, ...times }, 0))?.[0];
  };
  assertEquals([8, 1023, 9999, 10_000, 102_400].map(sizeOf), ["8 B", "1023 B", "9999 B", "10 kB", "100 kB"]);
});
