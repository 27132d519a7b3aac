/** Reasons: the words of an error in the log. */
import { assertEquals } from "@std/assert";
import { reasonOf } from "../../lib/_reason.ts";

Deno.test("reason: of several errors it is the first one's", () => {
  const refused = [new Error("connection refused by ::1"), new Error("connection refused by 127.0.0.1")];
  assertEquals(reasonOf(new AggregateError(refused)), "connection refused by ::1");
  assertEquals(reasonOf(new AggregateError([], "all failed")), "all failed");
});

Deno.test("reason: it is one line, and has words even where an error has none", () => {
  const coded = Object.assign(new Error(), { code: "ECONNREFUSED" });
  assertEquals([new Error("a\n  b"), coded, new RangeError(), "thrown"].map(reasonOf), [
    "a b",
    "ECONNREFUSED",
    "RangeError",
    "thrown",
  ]);
});
