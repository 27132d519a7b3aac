/** The file store: real processes over one folder, stopped, continued and killed at random. */
import { assert } from "@std/assert";
import { playRoster } from "./file_roster_play.ts";

Deno.test("file store: of processes that come, stop and die, none serves what is over", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const { ended, reads } = await playRoster(dir, 25, Math.random);
    assert(ended > 10 && reads > 10);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
