/** Concurrent changes of one session in one process: one write makes all of them, and each has its own outcome. */
import { assertEquals } from "@std/assert";
import { RecordTooLargeError } from "../../lib/errors.ts";
import type { SessionRecord } from "../../lib/record.ts";
import type { Change } from "../../lib/store.ts";
import { UpdateBatcher } from "../../lib/stores/_update_batcher.ts";

const RECORD: SessionRecord = { data: { n: 0 }, created: 0, idle: 1, expires: 1, deadline: 1 };
const nOf = (record: SessionRecord | undefined) => record?.data["n"] as number;
const add = (m: number): Change => (record) => ({ ...record, data: { n: nOf(record) + m } });

/** A session in memory whose writes can be made to fail, or to change their minds. */
class Place {
  record: SessionRecord | undefined = RECORD;
  writes = 0;
  most = Infinity;
  failure: Error | undefined;
  /** How often a write that was refused runs its change before. */
  refusals = 0;
  readonly batcher = new UpdateBatcher(async (_key, change) => {
    this.writes++;
    await new Promise((resolve) => setTimeout(resolve));
    if (this.failure) throw this.failure;
    if (this.record === undefined) return undefined;
    const runs = [change(this.record)];
    for (let n = 0; n < this.refusals; n++) runs.push(change({ ...this.record, data: { n: 1000 } }));
    if (nOf(runs[0]) > this.most) throw new RecordTooLargeError("too large");
    return this.record = runs[0]!;
  });

  all(changes: readonly Change[], key = "key"): Promise<PromiseSettledResult<SessionRecord | undefined>[]> {
    return Promise.allSettled(changes.map((change) => this.batcher.update(key, change)));
  }
}

const values = (outcomes: PromiseSettledResult<SessionRecord | undefined>[]) =>
  outcomes.map((outcome) => outcome.status === "fulfilled" ? nOf(outcome.value) : outcome.reason.message);

Deno.test("update batcher: 1,000 concurrent changes take two writes, in order", async () => {
  const place = new Place();
  const outcomes = await place.all(Array.from({ length: 1000 }, () => add(1)));
  assertEquals(values(outcomes), Array.from({ length: 1000 }, (_, index) => index + 1));
  assertEquals([place.writes, nOf(place.record)], [2, 1000]);
});

Deno.test("update batcher: a change that throws is refused alone", async () => {
  const place = new Place();
  const own = new RangeError("sold out");
  const fail = () => {
    throw own;
  };
  const outcomes = await place.all([add(1), fail, add(2), fail, add(3)]);
  assertEquals(values(outcomes), [1, "sold out", 3, "sold out", 6]);
  assertEquals(place.writes, 2);
  assertEquals((outcomes[1] as PromiseRejectedResult).reason === own, true);
});

Deno.test("update batcher: if all changes throw, each caller gets its own error", async () => {
  const place = new Place();
  const fail = (message: string) => () => {
    throw new Error(message);
  };
  assertEquals(values(await place.all([fail("a"), fail("b"), fail("c")])), ["a", "b", "c"]);
  assertEquals(nOf(place.record), 0);
});

Deno.test("update batcher: changes too large for one write are made one by one", async () => {
  const place = new Place();
  place.most = 6;
  assertEquals(values(await place.all([add(1), add(2), add(9), add(3)])), [1, 3, "too large", 6]);
});

Deno.test("update batcher: a failure of the store reaches every caller, once", async () => {
  const place = new Place();
  place.failure = new Error("away");
  assertEquals(values(await place.all([add(1), add(2), add(3)])), ["away", "away", "away"]);
  assertEquals(place.writes, 2);
});

Deno.test("update batcher: a failure ends the changes made one by one", async () => {
  const place = new Place();
  place.most = 3;
  let runs = 0;
  const away: Change = (record) => {
    if (++runs === 2) place.failure = new Error("away");
    return record;
  };
  assertEquals(values(await place.all([add(1), add(2), away, add(9), add(9)])), [1, 3, 3, "away", "away"]);
  assertEquals(place.writes, 5);
});

Deno.test("update batcher: each caller gets the record of the stored run", async () => {
  const place = new Place();
  place.refusals = 3;
  assertEquals(values(await place.all([add(1), add(2), add(3)])), [1, 3, 6]);
});

Deno.test("update batcher: changes of a missing session make nothing", async () => {
  const place = new Place();
  place.record = undefined;
  assertEquals(values(await place.all([add(1), add(2)])), [undefined, undefined]);
});

Deno.test("update batcher: sessions do not wait for each other", async () => {
  let finish = () => {};
  const batcher = new UpdateBatcher(async (key, change) => {
    if (key === "slow") await new Promise<void>((resolve) => finish = resolve);
    return change(RECORD);
  });
  const slow = batcher.update("slow", add(1));
  assertEquals(nOf(await batcher.update("fast", add(2))), 2);
  finish();
  assertEquals(nOf(await slow), 1);
});
