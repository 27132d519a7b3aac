/** `deno task sessions list | revoke ID | sweep`: shows and ends sessions, in whichever store the servers use. */
import { type Environment, readConfig, SETTINGS } from "../server/config.ts";
import { createLog } from "../log.ts";
import type { SessionStore } from "../store.ts";
import { openStore } from "../server/open_store.ts";

const USAGE = "Usage: deno task sessions list | revoke ID | sweep";

/** How much of an id is shown: enough to tell sessions apart, too little to be anybody. */
const SHOWN = 12;
const ID = /^[0-9a-f]{32}$/;

async function run([command, ...args]: string[]): Promise<void> {
  if (args.length !== (command === "revoke" ? 1 : 0)) throw new Error(USAGE);
  const work = new Map(Object.entries({ list, revoke, sweep })).get(command ?? "");
  if (work === undefined) throw new Error(USAGE);
  const env: Environment = {};
  for (const name of SETTINGS) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  const config = readConfig(env);
  if (config.type === "memory" || config.type === "null") {
    throw new Error(`with "SESSION_TYPE" ${config.type} there is nothing that this command could reach`);
  }
  const store = await openStore(config, createLog(config.logLevel));
  try {
    await work(store, config.type, args[0] ?? "");
  } finally {
    await store.close?.();
  }
}

async function list(store: SessionStore, type: string): Promise<void> {
  if (store.list === undefined) throw new Error(`${type} cannot list what it holds`);
  console.log(
    ["ID".padEnd(SHOWN), "MADE".padEnd(20), "ENDS IF UNUSED".padEnd(20), "ENDS".padEnd(20), "DATA"].join("  "),
  );
  let count = 0;
  for await (const [id, { created, expires, ends, data }] of store.list()) {
    const keys = Object.keys(data).map((key) => key.replace(/[\s\p{C}]/gu, "?")).join(", ");
    const { length } = new TextEncoder().encode(JSON.stringify(data));
    const times = [created, expires, ends].map((time) => new Date(time).toISOString().replace(/\.\d+/, ""));
    console.log([id.slice(0, SHOWN), ...times, `${keys || "nothing"} (${length} bytes)`].join("  "));
    count++;
  }
  console.error(`${count} live session${count === 1 ? "" : "s"}`);
}

async function revoke(store: SessionStore, type: string, given: string): Promise<void> {
  const id = ID.test(given) ? given : await find(store, type, given);
  if (await store.delete(id) === undefined) throw new Error("there is no such session, or no more");
  console.log(`Ended session ${id.slice(0, SHOWN)}`);
}

/** The id that starts with what was given. */
async function find(store: SessionStore, type: string, given: string): Promise<string> {
  if (!/^[0-9a-f]{4,31}$/.test(given)) throw new Error("an id is 32 digits from 0 to f, of which the first will do");
  if (store.list === undefined) throw new Error(`${type} cannot list what it holds: give all 32 digits of the id`);
  const found: string[] = [];
  for await (const [id] of store.list()) if (id.startsWith(given)) found.push(id);
  if (found.length > 1) throw new Error(`${found.length} sessions have an id that starts so: give more digits`);
  if (found[0] === undefined) throw new Error("there is no such session, or no more");
  return found[0];
}

async function sweep(store: SessionStore, type: string): Promise<void> {
  if (store.sweepAll === undefined) return console.log(`Nothing to do: ${type} removes expired sessions by itself`);
  const count = await store.sweepAll();
  console.log(`Removed ${count} expired session${count === 1 ? "" : "s"}`);
}

try {
  await run(Deno.args);
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  console.error(reason === USAGE ? USAGE : `Cannot do that: ${reason}`);
  Deno.exit(1);
}
