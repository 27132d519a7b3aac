/** The database of a Deno KV store: its address, its opening, and calls that end in time; the only user of `Deno.openKv`. */
import { CALL_DEADLINE } from "../_deadline.ts";
import { DeadlineError, within } from "../_deadline.ts";

/** What is needed of a `Deno.Kv`, whose own type is there only for programs checked with `--unstable-kv`. */
export interface Kv {
  /** Reads one entry. */
  get(key: readonly string[]): Promise<KvFound>;
  /** Reads the entries whose keys begin so. */
  list(selector: { prefix: readonly string[] }, options?: { batchSize?: number }): AsyncIterable<KvFound>;
  /** Begins a step of several changes. */
  atomic(): KvAtomic;
  /** Lets go of it. */
  close(): void;
}

/** An entry, or what is known when there is none. */
export interface KvFound {
  /** Its key. */
  readonly key: readonly unknown[];
  /** What it holds; `null` if there is none. */
  readonly value: unknown;
  /** Its version; `null` if there is none. */
  readonly versionstamp: string | null;
}

/** Several changes that are made as one step, if the checks hold. */
export interface KvAtomic {
  /** Asks that entries are still as they were. */
  check(...checks: { key: readonly string[]; versionstamp: string | null }[]): this;
  /** Sets an entry, for some milliseconds. */
  set(key: readonly string[], value: unknown, options: { expireIn: number }): this;
  /** Removes an entry. */
  delete(key: readonly string[]): this;
  /** Makes the changes. */
  commit(): Promise<{ readonly ok: boolean }>;
}

/** How often the database's file is looked at, in milliseconds. */
const LOOK_AGE = 500;

/** A database that is opened when it is first needed, and anew when that may help. */
export class KvDatabase {
  /** What to call it. */
  readonly name: string;
  #path: string | undefined;
  #isRemote: boolean;
  #isFile: boolean;
  #given: Kv | undefined;
  #opened: Promise<Kv> | undefined;
  #file: { at: number; ino: number | null } = { at: 0, ino: null };

  /**
   * @param url Its address.
   * @param given The database, if the program has opened it.
   */
  constructor(url: string | undefined, given: Kv | undefined) {
    const { path, name, isRemote } = parse(url);
    this.#path = path;
    this.name = name;
    this.#isRemote = isRemote;
    this.#isFile = !isRemote && path !== undefined && path !== ":memory:";
    this.#given = given;
  }

  /** Does one thing with it, within the deadline. */
  async call<T>(work: (kv: Kv) => Promise<T>): Promise<T> {
    if (this.#given !== undefined) return await within(this.name, work(this.#given), CALL_DEADLINE);
    const opened = this.#opened ??= this.#open();
    try {
      const kv = await within(this.name, opened);
      await this.#look(opened);
      return await within(this.name, work(kv), CALL_DEADLINE);
    } catch (error) {
      // The connection may be dead without anybody having said so; a new one will tell. What was sent Deno goes on
      // trying all the same: it may be done when the database is back, unless the session was changed by then.
      if (this.#isRemote && error instanceof DeadlineError) this.#drop(opened);
      throw error;
    }
  }

  /** Lets go of it, unless the program has opened it. */
  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) return;
    this.#drop(opened);
    await within(this.name, opened, CALL_DEADLINE).catch(() => {});
  }

  async #open(): Promise<Kv> {
    try {
      const { openKv } = (globalThis as { Deno?: { openKv?: (path?: string) => Promise<Kv> } }).Deno ?? {};
      if (openKv === undefined) {
        throw new Error('it needs Deno, started with "--unstable-kv" or with "unstable": ["kv"] in deno.json');
      }
      if (this.#isFile) await makeFile(this.#path!);
      const kv = await openKv(this.#path);
      this.#file = { at: performance.now(), ino: await this.#ino() };
      return kv;
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  /** Deno would go on with a file that was removed or replaced, while programs that start later use another one. */
  async #look(opened: Promise<Kv>): Promise<void> {
    if (performance.now() - this.#file.at < LOOK_AGE) return;
    this.#file.at = performance.now();
    if (await this.#ino() === this.#file.ino) return;
    this.#drop(opened);
    throw new Error(`${this.name}: its file was removed or replaced; the next use opens what is there by then`);
  }

  async #ino(): Promise<number | null> {
    if (!this.#isFile) return null;
    return await Deno.stat(this.#path!).then(({ ino }) => ino, () => null);
  }

  /** Closes it once it is open, which can take long. */
  #drop(opened: Promise<Kv>): void {
    if (this.#opened === opened) this.#opened = undefined;
    opened.then((kv) => kv.close()).catch(() => {}); // It was never opened, or is closed already.
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
  if (address === null) {
    throw new TypeError("The address of a Deno KV must be denokv:PATH or https://HOST/…");
  }
  if (address.username !== "" || address.password !== "") {
    throw new TypeError(
      "The address of a Deno KV must not hold a user or password: the access token goes into DENO_KV_ACCESS_TOKEN",
    );
  }
  return { path: url, name: `Deno KV at ${address.host}`, isRemote: true };
}
