/** The secret key file: made at the first start, read at every later one. */

/** A key, and where it came from. */
export interface SecretKey {
  readonly key: string;
  readonly path: string;
  /** Whether it was made just now. */
  readonly isNew: boolean;
}

/**
 * Reads the secret key kept in `dir`, or makes one. Of several processes that start at once, one makes it.
 *
 * @param dir A folder that exists.
 * @throws {Error} if it can neither be read nor made.
 */
export function readSecretKey(dir: string): SecretKey {
  const path = `${dir}/secret.key`;
  const existing = readIfThere(path);
  if (existing !== undefined) return { key: existing, path, isNew: false };

  const key = crypto.getRandomValues(new Uint8Array(32)).toBase64({ alphabet: "base64url", omitPadding: true });
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  Deno.writeTextFileSync(beside, `${key}\n`, { createNew: true, mode: 0o600 });
  try {
    // Unlike a rename, a link never replaces what is there.
    Deno.linkSync(beside, path);
    return { key, path, isNew: true };
  } catch (error) {
    const made = error instanceof Deno.errors.AlreadyExists ? readIfThere(path) : undefined;
    if (made === undefined) throw error;
    return { key: made, path, isNew: false };
  } finally {
    Deno.removeSync(beside);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
