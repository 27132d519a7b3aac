/** Key check: refuses keys that are easy to guess. */
import { MIN_KEY_BYTES } from "../signer.ts";

/** The fewest different bytes of a key. A random key in hex or base64 has more. */
const MIN_DISTINCT_BYTES = 8;

/** The keys in the examples of the documents, which are public. */
const SAMPLES: ReadonlySet<string> = new Set([
  "only for trying it out: a secret of 32 bytes or more",
  "only for trying it out: 32 bytes or more",
  "a secret key of at least 32 bytes",
  "a new key of at least 32 bytes, as it must be",
  "an old key of at least 32 bytes, as it must be",
]);

/**
 * The reason why a key cannot be used, if there is one. It never repeats the key.
 *
 * @param key The key, trimmed.
 */
export function problemWithKey(key: string): string | undefined {
  const bytes = new TextEncoder().encode(key);
  if (bytes.length < MIN_KEY_BYTES) return `must be at least ${MIN_KEY_BYTES} bytes: received ${bytes.length}`;
  const distinct = new Set(bytes).size;
  if (distinct < MIN_DISTINCT_BYTES) {
    return `must be a key of ${MIN_DISTINCT_BYTES} different bytes or more: received ${distinct}`;
  }
  if (SAMPLES.has(key)) return "must be your own key: received a key from the documents";
  // Later the key will be one of "SECRET_KEY_FALLBACKS", which are separated by commas.
  if (key.includes(",")) return "must be a key without a comma: commas separate keys";
  return undefined;
}
