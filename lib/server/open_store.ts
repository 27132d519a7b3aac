/** Opens the store that the settings name. The shared ones are loaded, client and all, only when one is asked for. */
import { resolve } from "node:path";
import type { Config, SessionType } from "./config.ts";
import type { Log } from "../log.ts";
import type { SessionStore } from "../store.ts";
import { FileStore } from "../stores/file/store.ts";
import { MemoryStore } from "../stores/memory.ts";
import { NullStore } from "../stores/null.ts";

/** What the module of a shared store exports, under the name `open`. */
export type OpenSharedStore = (options: SharedStoreOptions) => Promise<SessionStore>;

/** What a shared store is made of. */
export interface SharedStoreOptions {
  /** Where the server or the database is. */
  readonly url: string;
  /** Live sessions at most, where the engine can count them. */
  readonly max: number;
  /** Told of lost connections and the like. */
  readonly log: Log;
  /** The clock, in milliseconds since 1970, where the engine does not go by its own: `Date.now` unless given. */
  readonly now?: () => number;
}

/**
 * Opens the store that the settings name.
 *
 * @param config The settings.
 * @param log Told of what goes wrong in the background.
 * @throws {Error} if the folder cannot be written or the server not reached.
 */
export async function openStore({ type, dir, max, url }: Config, log: Log): Promise<SessionStore> {
  switch (type) {
    case "filesystem": {
      // Deno makes a relative path absolute at every call, which costs as much as a quarter of looking at the file.
      const store = new FileStore({ dir: resolve(dir), max, log });
      store.check();
      return store;
    }
    case "memory":
      return new MemoryStore({ max });
    case "null":
      return new NullStore();
    case "sqlite": {
      // Its client comes with Deno.
      const { open } = await import("../stores/sqlite.ts");
      return await open({ url: url!, max, log });
    }
    default: {
      const { open } = await load(type);
      return await open({ url: url!, max, log });
    }
  }
}

async function load(type: SessionType): Promise<{ open: OpenSharedStore }> {
  // A computed name keeps the clients out of the program's module graph. A bundle has its modules in ".js" files.
  const extension = import.meta.url.slice(-".ts".length);
  try {
    return await import(new URL(`../stores/${type}${extension}`, import.meta.url).href);
  } catch (error) {
    // What stands in the default lock file is downloaded by everybody, so the clients have lock files of their own.
    if (!/lockfile/.test(String(error))) throw error;
    throw new Error(
      `the client for "${type}" is not in the lock file: start with "deno task start", or "--lock=lib/stores/${type}.lock"`,
    );
  }
}
