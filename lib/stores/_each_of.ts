/** EachOf: gives out a user's sessions while other requests give some of them new keys. */
import { Slices } from "./_pause.ts";

/** How often the sessions are listed at most. */
const MAX_PASSES = 50;

/**
 * Gives out what is stored under each listed key. A session that was listed and is gone when its turn comes may have a
 * new key, so the keys are listed again until none is missing.
 *
 * @param list Lists the keys.
 * @param read Looks up what is stored under a key; `undefined` if the key is gone.
 * @throws {Error} if sessions keep getting new keys all the time.
 */
export async function* eachOf<T>(
  list: () => Iterable<string> | Promise<Iterable<string>>,
  read: (key: string) => T | undefined | Promise<T | undefined>,
): AsyncGenerator<readonly [key: string, stored: T]> {
  const slices = new Slices();
  const seen = new Set<string>();
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let isMissing = false;
    for (const key of await list()) {
      if (seen.has(key)) continue;
      seen.add(key);
      const stored = await read(key);
      if (stored === undefined) isMissing = true;
      else yield [key, stored];
      await slices.next();
    }
    if (!isMissing) return;
  }
  throw new Error("The sessions of a user got new keys all the time");
}
