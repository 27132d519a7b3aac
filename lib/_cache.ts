/** Cache: a map that forgets the values that were not used lately, so that it never outgrows its bytes. */

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
}

/** A map of bounded size in two generations. A read moves a value to the young one; when full, that becomes the old. */
export class Cache<Value> {
  #young = new Map<string, Entry<Value>>();
  #old = new Map<string, Entry<Value>>();
  #youngBytes = 0;
  #half: number;

  /** @param bytes About how much the values may take in all; 0 keeps nothing. */
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

  /** @param bytes About how much this value takes, its key included. */
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
