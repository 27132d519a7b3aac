/** `sessions copy`: copies the live sessions of one store into another, so that every cookie stays valid. */
import { reasonOf } from "../_reason.ts";
import { storeAddress } from "../server/addresses.ts";
import type { Config } from "../server/config.ts";
import { openStore } from "../server/open_store.ts";
import { SETTINGS, withName } from "../server/settings.ts";
import type { Log } from "../log.ts";
import type { SessionRecord } from "../record.ts";
import { KeyTakenError, type SessionStore } from "../store.ts";
import { print, Progress } from "./output.ts";

/**
 * How many sessions are copied at the same time. One after the other would take long if the store's server is far away.
 */
const AT_ONCE = 16;
/** The command gives up after this many failures in a row. */
const GIVE_UP = 50;

/**
 * The settings of the store to copy into. They are the servers' settings, with another type and address.
 *
 * @param config The settings.
 * @param type The store's type. By default, the address determines it.
 * @param url The store's address.
 * @throws {Error} if sessions cannot be copied into such a store.
 */
export function targetOf(config: Config, type: string | undefined, url: string | undefined): Config {
  const given = type === undefined ? undefined : withName("--to-type", () => SETTINGS.SESSION_TYPE.parse(type.trim()));
  if (given === "filesystem") {
    throw new Error(
      "sessions cannot be copied into filesystem: its file names depend on the user and on a secret of the folder",
    );
  }
  const target = withName("--to-url", () => storeAddress(given, url?.trim()));
  if (target.type === "memory" || target.type === "null" || target.url === "denokv::memory:") {
    throw new Error(`sessions cannot be copied into ${target.url ?? target.type}: it keeps none after this command`);
  }
  return { ...config, ...target };
}

/**
 * Copies every live session, and prints how many were copied.
 *
 * @param store The store to copy from.
 * @param target The settings of the store to copy into.
 * @param log Called with each failure in the background.
 * @throws {Error} if a session could not be copied.
 */
export async function copy(store: SessionStore, target: Config, log: Log): Promise<void> {
  const to = await openStore(target, log).catch((error) => {
    throw new Error(reasonOf(error).replaceAll('"SESSION_URL"', '"--to-url"'));
  });
  const progress = new Progress("Done");
  try {
    const copying = copyAll(store, to, () => progress.add(1)).finally(() => progress.end());
    const { copied, left, failed, reason } = await copying;
    print(`Copied ${copied}, left ${left} that were there already, failed ${failed}`);
    if (failed > 0) throw new Error(`not every session was copied: ${reason}`);
  } finally {
    await to.close?.();
  }
}

/** The result of a copy, as numbers of sessions. */
export interface Outcome {
  readonly copied: number;
  /** Sessions that the target already had. */
  readonly left: number;
  readonly failed: number;
  /** The message of the last failure. */
  readonly reason: string;
}

/**
 * Copies every live session under its key. Sessions that the target already has stay as they are.
 *
 * @param from The store to copy from.
 * @param to The store to copy into.
 * @param onDone Called after each session.
 */
export async function copyAll(from: SessionStore, to: SessionStore, onDone: () => void): Promise<Outcome> {
  if (from.list === undefined) throw new Error("the store of the settings cannot list its sessions");
  const outcome = { copied: 0, left: 0, failed: 0, reason: "" };
  let failedInARow = 0;
  const sessions = from.list();
  const copyEach = async () => {
    for await (const [key, record] of sessions) {
      try {
        outcome[await copyOne(to, key, record)]++;
        failedInARow = 0;
      } catch (error) {
        outcome.failed++;
        outcome.reason = reasonOf(error);
        if (++failedInARow >= GIVE_UP) return;
      }
      onDone();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, copyEach));
  return outcome;
}

async function copyOne(to: SessionStore, key: string, record: SessionRecord): Promise<"copied" | "left"> {
  // The target is read first, because a full store refuses a session that it already has.
  if (await to.read(key) !== undefined) return "left";
  try {
    await to.create(key, record);
    return "copied";
  } catch (error) {
    if (error instanceof KeyTakenError) return "left";
    throw error;
  }
}
