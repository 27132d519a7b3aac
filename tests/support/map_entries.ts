/** An engine in memory for stores with compare-and-set. A test can lose its answers. */
import type { Entries, Entry, EntryWrite, NewEntry } from "../../lib/stores/entries.ts";

/** Called in place of each write. Returns the engine's answer, or throws if the answer is lost. */
export type Around = (write: () => boolean, writes: readonly EntryWrite[]) => Promise<boolean>;

/** An engine in memory. Several stores can use one map. */
export class MapEntries implements Entries {
  around: Around = (write) => Promise.resolve(write());
  constructor(readonly entries = new Map<string, NewEntry>()) {}

  get(key: string): Promise<Entry | undefined> {
    return Promise.resolve(this.entries.get(key));
  }
  put(write: EntryWrite): Promise<boolean> {
    return this.around(() => this.#set(write), [write]);
  }
  putBoth(from: EntryWrite, to: EntryWrite): Promise<boolean> {
    return this.around(() => this.#set(from, to), [from, to]);
  }
  async *list(): AsyncGenerator<Entry> {
    yield* [...this.entries.values()];
  }
  async *ofUser(user: string): AsyncGenerator<Entry> {
    // Like real engines, it misses entries that are added during the iteration, and returns others as they are by then.
    for (const key of [...this.entries.keys()]) {
      const entry = this.entries.get(key);
      if (entry?.user === user) yield entry;
    }
  }
  getMany(keys: readonly string[]): Promise<Entry[]> {
    return Promise.resolve(keys.flatMap((key) => this.entries.get(key) ?? []));
  }
  putMany(writes: readonly EntryWrite[]): Promise<boolean> {
    return this.around(() => writes.map((write) => this.#set(write)).every(Boolean), writes);
  }
  #set(...writes: EntryWrite[]): boolean {
    if (!writes.every(({ entry, seen }) => this.entries.get(entry.key)?.version === seen)) return false;
    for (const { entry } of writes) this.entries.set(entry.key, entry);
    return true;
  }
}

/** Changes the stored string of a session's record, without the store. */
export function rewriteText(entries: Map<string, NewEntry>, key: string, edit: (text: string) => string): void {
  const entry = entries.get(key)!;
  const [head = "", text = ""] = entry.content.split("\n");
  entries.set(key, { ...entry, version: `${entry.version}x`, content: `${head}\n${edit(text)}` });
}
