/** A disk that loses power: what the store's calls have done to it, and every state it can be found in afterwards. */
import { decode } from "../../lib/record.ts";
import { replacing } from "../support/failing.ts";
import { pathOf } from "./file_place.ts";

/** What a cut may leave of a file. */
interface Content {
  text: string;
  mtime: number;
}

type Names = Map<string, number>;
type Contents = Map<number, Content>;

/** A call whose effect the disk may not have yet: on the names in a folder, or on what a file holds. */
interface NameCall {
  readonly folder: string;
  readonly apply: (names: Names) => void;
}
interface ContentCall {
  readonly file: number;
  readonly apply: (content: Content) => void;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** Records the calls of a file store in their order, and what of them the disk has for sure. */
export class Disk {
  /** Every call in words, and whatever is noted by `note`. */
  readonly trace: string[] = [];
  /** Called after each call. */
  after: () => void = () => {};
  #dir: string;
  #names: Names = new Map();
  #files = 0;
  #keptNames: Names = new Map();
  #keptContents: Contents = new Map();
  #nameCalls: NameCall[] = [];
  #contentCalls: ContentCall[] = [];

  /** @param dir The store's folder, which is there. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  note(what: string): void {
    this.trace.push(what.replaceAll(`${this.#dir}/`, "").replaceAll(this.#dir, "."));
    this.after();
  }

  /** Does some work while its calls are recorded. */
  async watch(work: () => Promise<void>): Promise<void> {
    const opened = new WeakMap<object, string>();
    const own = (path: string) => path.startsWith(`${this.#dir}/`) && !path.includes(".processes");
    const watched: [object, string, (...args: string[]) => void][] = [
      [Deno, "mkdirSync", (path) => this.#name(path!, (names, file) => names.set(path!, file), "mkdir")],
      [Deno, "writeTextFileSync", (path, text) => {
        const file = this.#name(path!, (names, file) => names.set(path!, file), "write");
        this.#contentCalls.push({ file, apply: (content) => content.text = text! });
      }],
      [Deno, "utimeSync", (path, _, mtime) => {
        const time = (mtime as unknown as Date).getTime();
        this.#contentCalls.push({ file: this.#names.get(path!)!, apply: (content) => content.mtime = time });
        this.note(`utime ${path}`);
      }],
      [Deno, "renameSync", (from, to) =>
        this.#name(to!, (names) => {
          names.set(to!, names.get(from!)!);
          names.delete(from!);
        }, "rename")],
      [Deno, "linkSync", (from, to) => this.#name(to!, (names) => names.set(to!, names.get(from!)!), "link")],
      [Deno, "removeSync", (path) => this.#name(path!, (names) => names.delete(path!), "remove")],
    ];
    let watching = () =>
      replacing(Deno, "open", (original) => async (path, options) => {
        const file = await original(path, options);
        opened.set(file, path);
        return file;
      }, () => {
        const flushed = (path: string) => this.#flush(path);
        return replacing(Deno.FsFile.prototype, "sync", (original) =>
          async function (this: Deno.FsFile) {
            await original.call(this);
            flushed(opened.get(this)!);
          }, work);
      });
    for (const [target, method, record] of watched) {
      const inner = watching;
      watching = () =>
        replacing(target, method, (original) => (...args) => {
          original(...args);
          if (own(args[0])) record(...args);
        }, inner);
    }
    await watching();
  }

  /** What a session would be read as in each of the states that a cut now can leave: every prefix of the calls. */
  *states(): Generator<(key: string) => { n: number | "corrupt" | undefined; expires: number }> {
    for (let names = 0; names <= this.#nameCalls.length; names++) {
      for (let contents = 0; contents <= this.#contentCalls.length; contents++) {
        const found = new Map(this.#keptNames);
        for (const { apply } of this.#nameCalls.slice(0, names)) apply(found);
        const kept = new Map(this.#keptContents);
        for (const { file, apply } of this.#contentCalls.slice(0, contents)) applyTo(kept, file, apply);
        yield (key) => this.#read(key, found, kept);
      }
    }
  }

  #read(key: string, names: Names, contents: Contents): { n: number | "corrupt" | undefined; expires: number } {
    const path = pathOf(this.#dir, key);
    const file = names.has(folderOf(path)) ? names.get(path) : undefined;
    if (file === undefined) return { n: undefined, expires: 0 };
    const { text, mtime } = contents.get(file) ?? { text: "", mtime: 0 };
    const record = decode(text);
    if (typeof record === "string") return { n: "corrupt", expires: 0 };
    return { n: record.data["n"] as number, expires: Math.max(record.expires, mtime) };
  }

  #name(path: string, change: (names: Names, file: number) => void, what: string): number {
    const file = ++this.#files;
    const apply = (names: Names) => change(names, file);
    apply(this.#names);
    this.#nameCalls.push({ folder: folderOf(path), apply });
    this.note(`${what} ${path}`);
    return file;
  }

  #flush(path: string): void {
    const file = this.#names.get(path);
    for (const { apply } of this.#nameCalls.filter(({ folder }) => folder === path)) apply(this.#keptNames);
    this.#nameCalls = this.#nameCalls.filter(({ folder }) => folder !== path);
    for (const call of this.#contentCalls.filter((call) => call.file === file)) {
      applyTo(this.#keptContents, call.file, call.apply);
    }
    this.#contentCalls = this.#contentCalls.filter((call) => call.file !== file);
    this.note(`flush ${path}`);
  }
}

function applyTo(contents: Contents, file: number, apply: (content: Content) => void): void {
  const content = { ...contents.get(file) ?? { text: "", mtime: 0 } };
  apply(content);
  contents.set(file, content);
}
