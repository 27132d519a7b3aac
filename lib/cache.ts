/** Cache: a map that forgets what was not used lately, so that it never outgrows its bytes. */

/** A map of bounded size in two generations: what is read moves to the young one; a full young one becomes the old. */
export class Cache<Value> {
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();
  #youngBytes = 0;
  #half: number;

  /** @param bytes About how much the values may take in all; 0 keeps nothing. */
  constructor(bytes: number) {
    this.#half = bytes / 2;
  }

  get(key: string): Value | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** @param bytes About how much this value takes, its key included. */
  set(key: string, value: Value, bytes: number): void {
    if (bytes > this.#half) return this.delete(key);
    if (this.#youngBytes + bytes > this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
