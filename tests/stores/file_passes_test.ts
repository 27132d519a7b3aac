/** The passes of the file store's sweep: what the times of a file do not tell is found all the same; and what close waits for. */
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { replacing } from "../support/failing.ts";
import { filesIn, MINUTE, pause, record, sweepRound, test } from "./file_place.ts";

test("a deadline before the idle limit is found by a look into the file", async (place) => {
  const { clock, dir, store } = place;
  const { created, idle, expires } = record(clock, 0, 60 * MINUTE);
  await store.create(newId(), { data: {}, created, idle, expires, deadline: created + MINUTE });
  // The first pass looks into every file; it is not over yet.
  await sweepRound(store, 3);
  assertEquals(filesIn(dir).length, 1);
  clock.pass(120);
  await sweepRound(store, 20);
  assertEquals(filesIn(dir), []);
});

test("a session made before a clock was set back goes with the next pass", async ({ clock, create, dir, store }) => {
  await create(1, 60 * MINUTE);
  await sweepRound(store, 3);
  assertEquals(filesIn(dir).length, 1);
  clock.pass(-24 * 3600);
  await sweepRound(store, 3);
  assertEquals(filesIn(dir), []);
});

test("close waits for the count that is under way", async ({ create, open }) => {
  for (let n = 0; n < 20; n++) await create(n);
  const counting = open();
  let time = 0;
  let looks = 0;
  await replacing(performance, "now", () => () => time += 10, async () => {
    await replacing(Deno, "readDirSync", (original) => (...args) => {
      looks++;
      return original.apply(Deno, args);
    }, async () => {
      await counting.ready();
      await counting.close();
      const before = looks;
      await pause(100);
      assertEquals(looks, before);
    });
  });
});
