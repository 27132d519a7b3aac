/** The file store's calls: what becomes of their messages. */
import { assertEquals } from "@std/assert";
import { reasonOf } from "../../lib/stores/file/calls.ts";

Deno.test("file calls: a reason names no path, and what Deno must be allowed", () => {
  const reasons = [
    "No space left on device (os error 28): open '/data/abc/1.json'",
    'Requires read access to "/data/abc/1.json", run again with the --allow-read flag',
    "Requires all access to write",
  ].map((message) => reasonOf(new Error(message)));
  assertEquals(reasons, [
    "No space left on device (os error 28)",
    "Requires read access to a file: needed --allow-read",
    "Deno lets no program write",
  ]);
  assertEquals(reasonOf("text"), "text");
});
