/** `sessions list|revoke|sweep|copy`: shows, ends, removes and copies the sessions of the servers' store. */
import { handleOf, keyOf } from "../id.ts";
import { endOf, type SessionRecord } from "../record.ts";
import { type Config, loadConfig } from "../server/config.ts";
import { openStore } from "../server/open_store.ts";
import { SessionManager } from "../session_manager.ts";
import type { SessionStore, StoredSession } from "../store.ts";
import { isShard } from "../stores/file/names.ts";
import { PROCESSES } from "../stores/file/roster.ts";
import { isDatabase } from "../stores/_sqlite_file.ts";
import type { SessionsCommand } from "./arguments.ts";
import { copy, targetOf } from "./copy.ts";
import { print, Progress, ReaderGone } from "./output.ts";
import { header, row } from "./session_table.ts";

/** How many digits of a session's handle are shown. */
const SHOWN = 12;
/** How long the command searches for other spellings of a name, in milliseconds. */
const SPELLING_DEADLINE = 2000;

/**
 * Runs a command about sessions.
 *
 * @param command The command.
 * @throws {Error} if the command fails; the message gives the reason.
 */
export async function runSessions(command: SessionsCommand): Promise<void> {
  const { config, log } = loadConfig();
  checkThatStoreExists(config);
  const target = command.name === "copy" ? targetOf(config, command.type, command.url) : undefined;
  const store = await openStore(config, log);
  try {
    if (target !== undefined) await copy(store, target, log);
    else if (command.name === "list") await list(store, config, command.user, command.asJson);
    else if (command.name === "sweep") await sweep(store, config);
    else if (command.name === "revoke") await revoke(store, config, command.session.trim());
    else if (command.name === "revoke user") await revokeUser(store, config, command.user);
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error;
  } finally {
    await store.close?.();
  }
}

/** Checks that the store exists. Opening a store creates it, and a command must not create one at a wrong address. */
function checkThatStoreExists({ type, dir, url = "" }: Config): void {
  const isInMemory = type === "memory" || type === "null" || url === "denokv::memory:";
  if (isInMemory) {
    throw new Error(
      `a command cannot reach sessions that are only in a server's memory or nowhere: "SESSION_TYPE" is ${type}`,
    );
  }
  if (type === "filesystem" && !hasStoreFiles(dir)) {
    const problem = exists(dir) ? "which no server has used" : "which does not exist";
    throw new Error(`"SESSION_FILE_DIR" must be the folder of a server: received "${dir}", ${problem}`);
  }
  const [, path] = /^(?:sqlite|denokv):(.+)$/.exec(url) ?? [];
  if (path !== undefined && !isDatabase(path)) {
    const problem = exists(path) ? "which is not a database" : "which does not exist";
    throw new Error(`"SESSION_URL" must be the database of a server: received "${url}", ${problem}`);
  }
}

/** Whether a folder has the files of a store. */
function hasStoreFiles(dir: string): boolean {
  try {
    return Array.from(Deno.readDirSync(dir)).some(({ name }) => name === PROCESSES || isShard(name));
  } catch (error) {
    // Any other error is reported when the store is opened.
    return !(error instanceof Deno.errors.NotFound);
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    // Any other error is reported when the store is opened.
    return !(error instanceof Deno.errors.NotFound);
  }
}

async function list(store: SessionStore, config: Config, user: string | undefined, asJson: boolean): Promise<void> {
  // If standard output is a terminal, the lines show the progress.
  const progress = Deno.stdout.isTerminal() ? undefined : new Progress("Listed");
  const found = user === undefined ? allSessions(store, config) : sessionsOf(store, config, namesOf(user));
  let count = 0;
  try {
    if (!asJson) print(header());
    for await (const [key, record] of found) {
      // The record of a newer version can be ended, but not read.
      if (record === undefined) continue;
      if (!asJson) print(row(handleOf(key).slice(0, SHOWN), record, Date.now()));
      else print(`${count === 0 ? "[" : ","}${escaped(JSON.stringify(publicParts(key, record)))}`);
      count++;
      progress?.add(1);
    }
    if (asJson) print(count === 0 ? "[]" : "]");
  } finally {
    progress?.end();
  }
  if (!asJson) console.error(plural(count, "live session"));
}

/** The parts of a session that may be shown. They include the names of its data, but neither its key nor its data. */
function publicParts(key: string, record: SessionRecord) {
  const { created, expires, idle, deadline, user = null, binding, data } = record;
  const time = (milliseconds: number) => new Date(milliseconds).toISOString();
  return {
    handle: handleOf(key),
    user,
    created: time(created),
    used: time(expires - idle),
    expires: time(endOf(record)),
    deadline: time(deadline),
    bound: binding !== undefined,
    keys: Object.keys(data),
    bytes: new TextEncoder().encode(JSON.stringify(data)).length,
  };
}

async function revoke(store: SessionStore, config: Config, given: string): Promise<void> {
  const key = await find(store, config, given.toLowerCase());
  if (!await store.delete(key)) throw new Error("there is no such session, or it has ended");
  print(`Ended session ${handleOf(key).slice(0, SHOWN)}`);
}

/** The key of a session, by its id, by the value of its cookie, or by the first digits of its handle. */
async function find(store: SessionStore, config: Config, given: string): Promise<string> {
  const [id] = /[0-9a-f]{40}/.exec(given) ?? [];
  if (id !== undefined) return keyOf(id);
  if (!/^[0-9a-f]{3,16}$/.test(given)) {
    throw new Error(
      "a session must be named by the digits that `list` shows, at least 3 of them, or by the value of its cookie",
    );
  }
  const found: string[] = [];
  for await (const [key] of allSessions(store, config)) if (handleOf(key).startsWith(given)) found.push(key);
  if (found.length > 1) {
    throw new Error(`${found.length} sessions have a handle that begins with these digits: give more digits`);
  }
  if (found[0] === undefined) throw new Error("there is no such session, or it has ended");
  return found[0];
}

async function revokeUser(store: SessionStore, config: Config, user: string): Promise<void> {
  // This call is only a check: it throws if the store cannot find the sessions of a user.
  sessionsOf(store, config, []);
  // The manager also finds sessions that get a new id in between. It signs nothing here, so its key does not matter.
  const { idle, absolute } = config;
  const manager = new SessionManager({ store, keys: [crypto.randomUUID()], idle, absolute });
  let count = 0;
  for (const name of namesOf(user)) count += await manager.endAll(name);
  if (count === 0) throw new Error(`there is no session of "${printable(user)}"${await otherSpellings(store, user)}`);
  print(`Ended ${plural(count, "session")}`);
}

/**
 * The end of the error message: other spellings of the name that have sessions. The search stops after a short time.
 */
async function otherSpellings(store: SessionStore, user: string): Promise<string> {
  const fold = (name: string) => name.trim().normalize("NFKC").toLowerCase();
  const wanted = fold(user);
  const found = new Set<string>();
  const start = performance.now();
  for await (const [, { user }] of store.list?.() ?? []) {
    if (user !== undefined && fold(user) === wanted) found.add(`"${printable(user)}"`);
    if (performance.now() - start > SPELLING_DEADLINE) break;
  }
  return found.size === 0 ? "" : `: there are sessions of ${[...found].join(", ")}`;
}

async function sweep(store: SessionStore, { type }: Config): Promise<void> {
  if (store.sweepAll === undefined) return print(`Nothing to do: ${type} removes expired sessions automatically`);
  const progress = new Progress("Removed");
  const count = await store.sweepAll((removed) => progress.add(removed)).finally(() => progress.end());
  print(`Removed ${plural(count, "expired session")}`);
}

function allSessions(
  store: SessionStore,
  { type }: Config,
): AsyncIterable<readonly [key: string, record: SessionRecord]> {
  if (store.list !== undefined) return store.list();
  throw new Error(`${type} cannot list its sessions: only \`sessions revoke\` with the value of a cookie works there`);
}

function sessionsOf(store: SessionStore, { type }: Config, names: readonly string[]): AsyncIterable<StoredSession> {
  const find = store.sessionsOf?.bind(store);
  if (find === undefined) throw new Error(`${type} cannot find the sessions of a user`);
  return (async function* () {
    for (const name of names) yield* find(name);
  })();
}

/** The names to search for: the name in the form that the site stores, and exactly as the operator typed it. */
function namesOf(user: string): string[] {
  return [...new Set([user.trim().normalize("NFC"), user])];
}

/** Escapes the characters of JSON that a terminal acts on, or that change the direction of a line. */
function escaped(json: string): string {
  return json.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (characters) => {
    return Array.from({ length: characters.length }, (_, index) => {
      return `\\u${characters.charCodeAt(index).toString(16).padStart(4, "0")}`;
    }).join("");
  });
}

/** A name in a form that is safe to show in a terminal. */
function printable(name: string): string {
  return escaped(JSON.stringify(name)).slice(1, -1);
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
