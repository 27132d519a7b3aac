/**
 * Opens the store that the settings name. A shared store and its client are loaded only if the settings name that
 * store.
 */
import { resolve } from "node:path";
import type { Config } from "./config.ts";
import type { Log } from "../log.ts";
import { reasonOf } from "../_reason.ts";
import type { SessionStore } from "../store.ts";
import { FileStore } from "../stores/file/store.ts";
import { MemoryStore } from "../stores/memory.ts";
import { NullStore } from "../stores/null.ts";
import { type StoreEntry, type StoreOption, STORES } from "../stores/table.ts";

/** The options of all stores. Each store gets only the options that it has. */
interface Options extends Record<StoreOption, unknown> {
  readonly dir: string;
  readonly max: number;
  readonly sync: Config["sync"];
  readonly log: Log;
}

type StoreClass = new (options: Options) => SessionStore;

/** The stores that take no address. The program always includes them. */
const INCLUDED: Readonly<Record<string, StoreClass>> = { FileStore, MemoryStore, NullStore };

/**
 * Opens the store that the settings name.
 *
 * @param config The settings.
 * @param log Called with each failure in the background.
 * @throws {Error} if the store cannot be used; the message names the setting.
 */
export async function openStore(config: Config, log: Log): Promise<SessionStore> {
  const entry: StoreEntry = STORES[config.type];
  const Store = INCLUDED[entry.className] ?? await load(entry);
  let store: SessionStore | undefined;
  try {
    store = new Store(optionsOf(entry, config, log));
    await store.ready?.();
    return store;
  } catch (error) {
    await store?.close?.().catch(() => {});
    const needed = entry.schemes.length > 0
      ? '"SESSION_URL" must be the address of a store that can be used'
      : `"SESSION_FILE_DIR" must be a folder that can be read and written: received "${config.dir}"`;
    throw new Error(`the session store does not work: ${needed}: ${reasonOf(error)}`);
  }
}

function optionsOf(entry: StoreEntry, { dir, url, max, prefix, table, sync }: Config, log: Log): Options {
  // The path is made absolute once. Deno would do so at every call, which costs a quarter of a `Deno.statSync`.
  const all: Options = { dir: resolve(dir), url, max, prefix, table, collection: table, sync, log };
  const names = [...entry.options, "log"] as (keyof Options)[];
  return Object.fromEntries(names.map((option) => [option, all[option]])) as unknown as Options;
}

async function load({ module, className }: StoreEntry): Promise<StoreClass> {
  // A computed name keeps the clients out of the program's module graph. A bundle has all its modules in one folder.
  const isBundled = import.meta.url.endsWith(".js");
  const path = isBundled ? `./${module.replace("/store.ts", ".js")}` : `../stores/${module}`;
  return (await import(new URL(path, import.meta.url).href))[className];
}
