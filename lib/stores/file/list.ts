/** List: every live session in a folder, for an operator. */
import type { Log } from "../../log.ts";
import { isLive, type SessionRecord } from "../../record.ts";
import { Slices } from "../_pause.ts";
import { lstat, reasonOf } from "./calls.ts";
import type { Census } from "./census.ts";
import { isSession, keyIn } from "./names.ts";
import { readRecord } from "./record.ts";

/**
 * Reads every session's file. One that cannot be read is logged and left out.
 *
 * @param dir The store's folder.
 * @param census Knows what is in it.
 * @param now The clock, in milliseconds since 1970.
 */
export async function* listSessions(
  dir: string,
  census: Census,
  now: () => number,
  log: Log,
): AsyncGenerator<readonly [key: string, record: SessionRecord]> {
  const slices = new Slices();
  for await (const { shard, names } of census.shards()) {
    for (const name of names) {
      const record = isSession(name) ? read(`${dir}/${shard}`, name, log) : undefined;
      if (record !== undefined && isLive(record, now())) yield [keyIn(shard, name), record];
      await slices.next();
    }
  }
}

/** The record in a file, if it is one. A file that is just being made looks corrupt, so none is put aside here. */
function read(folder: string, name: string, log: Log): SessionRecord | undefined {
  try {
    const path = `${folder}/${name}`;
    const stat = lstat(path);
    const content = stat && readRecord(path, stat);
    return typeof content === "object" ? content : undefined;
  } catch (error) {
    log("error", "A session cannot be read", `${reasonOf(error)} in "${folder}"`);
    return undefined;
  }
}
