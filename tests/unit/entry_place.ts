/** Entry stores on engines in memory whose answers can be lost, for the tests of the base. */
import { silent } from "../../lib/log.ts";
import type { SessionRecord } from "../../lib/record.ts";
import { EntryStore } from "../../lib/stores/entry_store.ts";
import { Clock } from "../../lib/testing.ts";
import { MapEntries } from "../support/map_entries.ts";

export const clock = new Clock();
export const fresh = (data: SessionRecord["data"] = {}, user?: string): SessionRecord => ({
  data,
  created: clock.time,
  idle: 60_000,
  expires: clock.time + 60_000,
  deadline: clock.time + 600_000,
  user,
});
export const nOf = (record: SessionRecord | undefined) => record?.data["n"];
export const increment = (record: SessionRecord) => ({ ...record, data: { n: nOf(record) as number + 1 } });

/** A store with an engine of its own, and others that share its entries. */
export function place(options: { max?: number; maxBytes?: number; connections?: number } = {}) {
  const engine = new MapEntries();
  const common = { name: "a map", log: silent, now: clock.now, max: 1000, ...options };
  return {
    engine,
    store: new EntryStore(engine, common),
    other: () => new EntryStore(new MapEntries(engine.entries), common),
  };
}

/** Loses the next answer, after the write was done and other work was done in between. */
export function loseNext(engine: MapEntries, between: () => Promise<unknown>, says?: boolean): void {
  const { around } = engine;
  engine.around = async (write) => {
    engine.around = around;
    write();
    await between();
    if (says !== undefined) return says;
    throw new Error("connection reset");
  };
}
