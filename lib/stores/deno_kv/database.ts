/** KvDatabase: the database of a Deno KV store, with its address and its file. Only this file uses `Deno.openKv`. */
import { fileAt } from "../_sqlite_file.ts";

/** The parts of a `Deno.Kv` that the store uses. Deno's own type exists only if a program uses `--unstable-kv`. */
export interface Kv {
  /** Reads one entry. */
  get(key: readonly string[]): Promise<KvEntry>;
  /** Reads up to ten entries. */
  getMany(keys: readonly (readonly string[])[]): Promise<readonly KvEntry[]>;
  /** Reads the entries whose keys begin with the prefix. */
  list(selector: { prefix: readonly string[] }, options?: { batchSize?: number }): AsyncIterable<KvEntry>;
  /** Begins an atomic step of several changes. */
  atomic(): KvAtomic;
  /** Closes the database. */
  close(): void;
}

/** The result of a read: an entry, or only the key if there is no entry. */
export interface KvEntry {
  /** The key. */
  readonly key: readonly unknown[];
  /** The value; `null` if there is no entry. */
  readonly value: unknown;
  /** The version; `null` if there is no entry. */
  readonly versionstamp: string | null;
}

/** Several changes that are made in one step, if the checks succeed. */
export interface KvAtomic {
  /** Makes the step fail if an entry has another version. */
  check(...checks: { key: readonly string[]; versionstamp: string | null }[]): this;
  /** Sets an entry, which expires after some milliseconds. */
  set(key: readonly string[], value: unknown, options: { expireIn: number }): this;
  /** Removes an entry. */
  delete(key: readonly string[]): this;
  /** Makes the changes. `ok` is `false` if a check failed. */
  commit(): Promise<{ readonly ok: boolean }>;
}

/** How long reads rely on the last check of the database's file, in milliseconds. */
const LOOK_AGE = 250;

/** A database. It is opened at its first use. */
export class KvDatabase {
  /** The name of the database, for messages. */
  readonly name: string;
  #path: string | undefined;
  #isFile: boolean;
  #isOwn: boolean;
  #kv: Kv | undefined;
  #opening: Promise<void> | undefined;
  #files = "";
  #lookedAt = -Infinity;
  #isClosed = false;

  /**
   * @param url The address of the database.
   * @param given The database, if the program has opened it.
   */
  constructor(url: string | undefined, given: Kv | undefined) {
    const { path, name, isRemote } = parse(url);
    this.#path = path;
    this.name = name;
    this.#isFile = given === undefined && !isRemote && path !== undefined && path !== ":memory:";
    this.#isOwn = given === undefined;
    this.#kv = given;
  }

  /** Opens the database, unless it is open. */
  open(): Promise<unknown> | undefined {
    if (this.#isClosed) return Promise.reject(new Error("the store is closed"));
    if (this.#kv !== undefined) return undefined;
    return this.#opening ??= this.#open().finally(() => this.#opening = undefined);
  }

  /** The open database, for a read. Its file is checked, unless it was checked within `LOOK_AGE`. */
  forRead(): Kv {
    if (this.#isClosed || performance.now() - this.#lookedAt >= LOOK_AGE) this.look();
    return this.#kv!;
  }

  /** The open database, for a write. Its file is always checked. */
  forWrite(): Kv {
    this.look();
    return this.#kv!;
  }

  /**
   * Checks that the path still names the open file. Deno would continue to use a file that was moved or replaced, but
   * programs that start later would use the file at the path.
   */
  look(): void {
    if (this.#isClosed) throw new Error("the store is closed");
    if (this.#filesNow() !== this.#files) {
      throw new Error("its file was moved or replaced while it was in use: put it back, or start the program again");
    }
    this.#lookedAt = performance.now();
  }

  /**
   * Makes the next call open a remote database again, because its connection may be dead. A database in memory stays
   * open: closing it would lose its sessions.
   */
  reconnect(): void {
    if (!this.#isFile && this.#path !== ":memory:") this.#drop();
  }

  /** Closes the database, unless the program has opened it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => {}); // The verb that opened it has thrown this error.
    this.#drop();
  }

  async #open(): Promise<void> {
    const { openKv } = (globalThis as { Deno?: { openKv?: (path?: string) => Promise<Kv> } }).Deno ?? {};
    if (openKv === undefined) {
      throw new Error('it needs Deno, started with "--unstable-kv" or with "unstable": ["kv"] in deno.json');
    }
    if (this.#isFile) await makeFile(this.#path!);
    this.#kv = await openKv(this.#path);
    this.#files = this.#filesNow();
  }

  #drop(): void {
    if (!this.#isOwn) return;
    this.#kv?.close();
    this.#kv = undefined;
  }

  /** The identity of the files at the path: the database, and SQLite's write-ahead log beside it. */
  #filesNow(): string {
    return this.#isFile ? `${fileAt(this.#path!)} ${fileAt(`${this.#path}-wal`)}` : "";
  }
}

/**
 * Creates the file, which only its owner may read. Deno would let all users read it. SQLite gives the files beside it
 * the same mode.
 */
async function makeFile(path: string): Promise<void> {
  const folder = /^(.*[/\\])[^/\\]*$/.exec(path)?.[1];
  if (folder !== undefined) await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  (await Deno.open(path, { create: true, append: true, mode: 0o600 })).close();
}

function parse(url: string | undefined): { path: string | undefined; name: string; isRemote: boolean } {
  if (url === undefined) return { path: undefined, name: "Deno KV", isRemote: false };
  const file = /^denokv:(?!\/\/)(.+)$/s.exec(url)?.[1];
  if (file !== undefined) return { path: file, name: `Deno KV at "${file}"`, isRemote: false };
  const address = /^https?:\/\//.test(url) ? URL.parse(url) : null;
  if (address === null || address.hash !== "") {
    throw new TypeError("the address must be denokv:PATH or https://HOST/…");
  }
  if (address.username !== "" || address.password !== "") {
    throw new TypeError(
      "the address must not hold a user or password: the access token goes into DENO_KV_ACCESS_TOKEN",
    );
  }
  return { path: url, name: `Deno KV at ${address.host}`, isRemote: true };
}
