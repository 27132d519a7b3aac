/** Reasons: the words of an error in the log. */
import { assertEquals } from "@std/assert";
import { reasonOf } from "../../lib/_reason.ts";

Deno.test("reason: several errors have the reason of the first one", () => {
  const refused = [new Error("connection refused by ::1"), new Error("connection refused by 127.0.0.1")];
  assertEquals(reasonOf(new AggregateError(refused)), "connection refused by ::1");
  assertEquals(reasonOf(new AggregateError([], "all failed")), "all failed");
});

Deno.test("reason: it is one line, and is never empty", () => {
  const coded = Object.assign(new Error(), { code: "ECONNREFUSED" });
  assertEquals([new Error("a\n  b"), coded, new RangeError(), "thrown"].map(reasonOf), [
    "a b",
    "ECONNREFUSED",
    "RangeError",
    "thrown",
  ]);
});
