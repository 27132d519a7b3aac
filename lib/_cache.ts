/** Cache: a map of bounded size. It drops the values that were not used recently. */

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
}

/**
 * A map with two generations of values. A write or a read puts a value into the young generation. When that is full, it
 * becomes the old generation, and the previous old one is dropped.
 */
export class Cache<Value> {
  #young = new Map<string, Entry<Value>>();
  #old = new Map<string, Entry<Value>>();
  #youngBytes = 0;
  #half: number;

  /** @param bytes About how many bytes all values may take; 0 caches nothing. */
  constructor(bytes: number) {
    this.#half = bytes / 2;
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young.value;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.set(key, old.value, old.bytes);
    return old.value;
  }

  /** @param bytes About how many bytes this value takes, with its key. */
  set(key: string, value: Value, bytes: number): void {
    this.delete(key);
    if (bytes > this.#half) return;
    if (this.#youngBytes + bytes > this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, { value, bytes });
    this.#youngBytes += bytes;
  }

  delete(key: string): void {
    this.#youngBytes -= this.#young.get(key)?.bytes ?? 0;
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
