/** EachOf: yields a user's sessions while other requests give some of them new keys. */
import { TimeSlice } from "./_pause.ts";

/** How many times the sessions are listed at most. */
const MAX_PASSES = 50;

/**
 * Yields the stored content of each listed key. If a listed key is gone when its turn comes, its session may have a new
 * key. Then the keys are listed again, until none is missing.
 *
 * @param list Lists the keys.
 * @param read Returns the stored content of a key; `undefined` if the key is gone.
 * @throws {Error} if sessions keep getting new keys.
 */
export async function* eachOf<T>(
  list: () => Iterable<string> | Promise<Iterable<string>>,
  read: (key: string) => T | undefined | Promise<T | undefined>,
): AsyncGenerator<readonly [key: string, stored: T]> {
  const slice = new TimeSlice();
  const seen = new Set<string>();
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let isMissing = false;
    for (const key of await list()) {
      if (seen.has(key)) continue;
      seen.add(key);
      const stored = await read(key);
      if (stored === undefined) isMissing = true;
      else yield [key, stored];
      await slice.yieldIfOver();
    }
    if (!isMissing) return;
  }
  throw new Error("The sessions of a user kept getting new keys: try again");
}
