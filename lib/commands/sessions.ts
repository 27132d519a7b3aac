/** `sessions list|revoke|sweep`: shows and ends sessions, in whichever store the servers use. */
import type { SessionsCommand } from "./arguments.ts";
import { type Config, loadConfig } from "../server/config.ts";
import { openStore } from "../server/open_store.ts";
import { handleOf, isId, keyOf } from "../id.ts";
import { endOf, type SessionRecord } from "../record.ts";
import { isShard } from "../stores/file/names.ts";
import { PROCESSES } from "../stores/file/roster.ts";
import { isDatabase } from "../stores/sqlite_file.ts";
import { SessionManager } from "../session_manager.ts";
import type { SessionStore, StoredSession } from "../store.ts";
import { header, row } from "./session_table.ts";

/** How many digits of a session's handle are shown. */
const SHOWN = 12;
/** How many digits name a session at least. */
const LEAST = 3;

/**
 * Does what was asked.
 *
 * @param command What to do.
 * @throws {Error} if it cannot be done, saying why.
 */
export async function runSessions(command: SessionsCommand): Promise<void> {
  const { config, log } = loadConfig();
  checkThatThereIsSomething(config);
  const store = await openStore(config, log);
  try {
    if (command.name === "list") await list(store, config, command.user, command.asJson);
    else if (command.name === "sweep") await sweep(store, config);
    else if (command.name === "revoke") await revoke(store, config, command.id.trim().toLowerCase());
    else await revokeUser(store, config, nameOf(command.user));
  } finally {
    await store.close?.();
  }
}

/** Opening a store makes what is missing; a command that was given the wrong place should not. */
function checkThatThereIsSomething({ type, dir, url = "" }: Config): void {
  const isInMemory = type === "memory" || type === "null" || type === "denokv" && url === "denokv::memory:";
  if (isInMemory) throw new Error(`with "SESSION_TYPE" ${type} there is nothing that this command could reach`);
  if (type === "filesystem" && !isUsed(dir)) {
    const problem = exists(dir) ? "which no server has used" : "which is not there";
    throw new Error(`"SESSION_FILE_DIR" must be the folder of a server: received "${dir}", ${problem}`);
  }
  const [, path] = /^(?:sqlite|denokv):(.+)$/.exec(url) ?? [];
  if ((type === "sqlite" || type === "denokv") && path !== undefined && !isDatabase(path)) {
    const problem = exists(path) ? "which is no database" : "which is not there";
    throw new Error(`"SESSION_URL" must be the database of a server: received "${url}", ${problem}`);
  }
}

/** Whether something in a folder shows that sessions were kept there. */
function isUsed(dir: string): boolean {
  try {
    return Array.from(Deno.readDirSync(dir)).some(({ name }) => name === PROCESSES || isShard(name));
  } catch (error) {
    // Whatever else is wrong with it, opening it says.
    return !(error instanceof Deno.errors.NotFound);
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    // Whatever else is wrong with it, opening it says.
    return !(error instanceof Deno.errors.NotFound);
  }
}

async function list(store: SessionStore, config: Config, user: string | undefined, asJson: boolean): Promise<void> {
  const found = user === undefined ? listed(store, config) : sessionsOf(store, config, nameOf(user));
  let count = 0;
  if (!asJson) console.log(header());
  for await (const [id, record] of found) {
    if (record === undefined) continue;
    if (!asJson) console.log(row(handleOf(id).slice(0, SHOWN), record, Date.now()));
    else console.log(`${count === 0 ? "[" : ","}${JSON.stringify(shown(id, record))}`);
    count++;
  }
  if (asJson) console.log(count === 0 ? "[]" : "]");
  else console.error(`${count} live session${count === 1 ? "" : "s"}`);
}

/** What is shown of a session: its data's names, and never its id or its data. */
function shown(id: string, record: SessionRecord) {
  const { created, expires, idle, deadline, user = null, data } = record;
  const time = (milliseconds: number) => new Date(milliseconds).toISOString();
  return {
    handle: handleOf(id),
    user,
    created: time(created),
    used: time(expires - idle),
    expires: time(endOf(record)),
    deadline: time(deadline),
    keys: Object.keys(data),
    bytes: new TextEncoder().encode(JSON.stringify(data)).length,
  };
}

async function revoke(store: SessionStore, config: Config, given: string): Promise<void> {
  const key = isId(given) ? keyOf(given) : await find(store, config, given);
  if (!await store.delete(key)) throw new Error("there is no such session (any more)");
  console.log(`Ended session ${handleOf(key).slice(0, SHOWN)}`);
}

/** The id of the session whose handle begins with what was given. */
async function find(store: SessionStore, config: Config, given: string): Promise<string> {
  if (!/^[0-9a-f]{3,16}$/.test(given)) {
    throw new Error(
      `a session is named by the digits that \`list\` shows, ${LEAST} of them or more, or by the 40 of its id`,
    );
  }
  const found: string[] = [];
  for await (const [id] of listed(store, config)) if (handleOf(id).startsWith(given)) found.push(id);
  if (found.length > 1) throw new Error(`${found.length} sessions have a name that starts so: give more digits`);
  if (found[0] === undefined) throw new Error("there is no such session (any more)");
  return found[0];
}

async function revokeUser(store: SessionStore, config: Config, user: string): Promise<void> {
  sessionsOf(store, config, user);
  // The library knows how to leave none out that gets a new id meanwhile. It signs nothing here, so any key will do.
  const keys = [crypto.randomUUID()];
  const { idle, absolute } = config;
  const count = await new SessionManager({ store, keys, idle, absolute }).endAll(user);
  console.log(`Ended ${count} session${count === 1 ? "" : "s"}`);
}

async function sweep(store: SessionStore, { type }: Config): Promise<void> {
  if (store.sweepAll === undefined) return console.log(`Nothing to do: ${type} removes expired sessions by itself`);
  const count = await store.sweepAll();
  console.log(`Removed ${count} expired session${count === 1 ? "" : "s"}`);
}

function listed(store: SessionStore, { type }: Config): AsyncIterable<StoredSession> {
  if (store.list !== undefined) return store.list();
  throw new Error(
    `${type} cannot list what it holds: only \`sessions revoke\` with a whole id of 40 digits works there`,
  );
}

function sessionsOf(store: SessionStore, { type }: Config, user: string): AsyncIterable<StoredSession> {
  if (store.sessionsOf !== undefined) return store.sessionsOf(user);
  throw new Error(`${type} cannot tell which sessions are a user's`);
}

/** A name as the site stores it. */
function nameOf(user: string): string {
  return user.trim().normalize("NFC");
}
