/** The database of a Deno KV store: its address, its opening, and its file; the only user of `Deno.openKv`. */
import { fileAt } from "../_sqlite_file.ts";

/** What is needed of a `Deno.Kv`, whose own type is there only for programs checked with `--unstable-kv`. */
export interface Kv {
  /** Reads one entry. */
  get(key: readonly string[]): Promise<KvEntry>;
  /** Reads some entries, ten at most. */
  getMany(keys: readonly (readonly string[])[]): Promise<readonly KvEntry[]>;
  /** Reads the entries whose keys begin so. */
  list(selector: { prefix: readonly string[] }, options?: { batchSize?: number }): AsyncIterable<KvEntry>;
  /** Begins a step of several changes. */
  atomic(): KvAtomic;
  /** Lets go of it. */
  close(): void;
}

/** An entry, or what is known when there is none. */
export interface KvEntry {
  /** Its key. */
  readonly key: readonly unknown[];
  /** What it holds; `null` if there is none. */
  readonly value: unknown;
  /** Its version; `null` if there is none. */
  readonly versionstamp: string | null;
}

/** Several changes that are made as one step, if the checks hold. */
export interface KvAtomic {
  /** Lets the step fail unless entries are still as they were. */
  check(...checks: { key: readonly string[]; versionstamp: string | null }[]): this;
  /** Sets an entry, for some milliseconds. */
  set(key: readonly string[], value: unknown, options: { expireIn: number }): this;
  /** Removes an entry. */
  delete(key: readonly string[]): this;
  /** Makes the changes. */
  commit(): Promise<{ readonly ok: boolean }>;
}

/** How long a look at the database's file is believed by reads, in milliseconds. */
const LOOK_AGE = 250;

/** A database that is opened when it is first needed. */
export class KvDatabase {
  /** What to call it. */
  readonly name: string;
  #path: string | undefined;
  #isFile: boolean;
  #isOwn: boolean;
  #kv: Kv | undefined;
  #opening: Promise<void> | undefined;
  #files = "";
  #lookedAt = -Infinity;

  /**
   * @param url Its address.
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

  /** Opens it, unless it is open. */
  open(): Promise<unknown> | undefined {
    if (this.#kv !== undefined) return undefined;
    return this.#opening ??= this.#open().finally(() => this.#opening = undefined);
  }

  /** The open database, for a read: its files were looked at a moment ago. */
  forRead(): Kv {
    if (performance.now() - this.#lookedAt >= LOOK_AGE) this.look();
    return this.#kv!;
  }

  /** The open database, for a write: its files are looked at before. */
  forWrite(): Kv {
    this.look();
    return this.#kv!;
  }

  /**
   * Checks that the path still names the file that is open. Deno would go on with a file that was moved or replaced,
   * while programs that start later use another one.
   */
  look(): void {
    if (!this.#isFile) return;
    if (this.#filesNow() !== this.#files) {
      throw new Error("its file was moved or replaced while it was in use: put it back, or start the program again");
    }
    this.#lookedAt = performance.now();
  }

  /** Opens a database elsewhere again at the next call: its connection may be dead. */
  reconnect(): void {
    if (!this.#isFile) this.#drop();
  }

  /** Lets go of it, unless the program has opened it. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => {}); // The verb that opened it failed with that.
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

  /** Which files the path names now: the database, and the log of writes that SQLite has beside it. */
  #filesNow(): string {
    return this.#isFile ? `${fileAt(this.#path!)} ${fileAt(`${this.#path}-wal`)}` : "";
  }
}

/** Deno would make it readable for everybody; what SQLite puts beside it has the mode that it has. */
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
    throw new TypeError("The address of a Deno KV must be denokv:PATH or https://HOST/…");
  }
  if (address.username !== "" || address.password !== "") {
    throw new TypeError(
      "The address of a Deno KV must not hold a user or password: the access token goes into DENO_KV_ACCESS_TOKEN",
    );
  }
  return { path: url, name: `Deno KV at ${address.host}`, isRemote: true };
}
