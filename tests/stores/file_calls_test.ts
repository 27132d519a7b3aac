/** The file store's calls: what becomes of their messages. */
import { assertEquals } from "@std/assert";
import type { Log } from "../../lib/log.ts";
import { probe } from "../../lib/stores/file/probe.ts";
import { replacing } from "../support/failing.ts";
import { isHeld, reasonOf } from "../../lib/stores/file/calls.ts";

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

Deno.test("file calls: a file that is gone is held by no process", async () => {
  const dir = await Deno.makeTempDir();
  assertEquals(isHeld(`${dir}/gone`), false);
  await Deno.remove(dir);
});

Deno.test("file calls: a clock that is two seconds off is named, and its times do not count", async () => {
  const dir = await Deno.makeTempDir();
  for (const [off, isWell] of [[0, true], [1000, true], [-1000, true], [4000, false], [-4000, false]] as const) {
    const logged: string[] = [];
    const log: Log = (_level, event) => void logged.push(event);
    await replacing(Date, "now", (now) => () => now() + off, async () => {
      assertEquals(await probe({ dir, log }), isWell);
    });
    assertEquals(logged.length, isWell ? 0 : 1);
  }
  await Deno.remove(dir);
});
