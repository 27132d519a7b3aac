/** The keys: those in the settings, or the key in a file, which is made at the first start and read at later ones. */
import type { Log } from "../log.ts";
import type { Config } from "./config.ts";
import { problemWithKey, warnIfOpen } from "./key_check.ts";
import { reasonOf } from "../_reason.ts";
import { foreignIn } from "../stores/file/foreign.ts";

/**
 * The keys that sign the cookie, the first of them new ones.
 *
 * @param config The settings. Without a key in them, one is kept in the folder of the sessions, which is made if
 * missing.
 * @param log Called when others may reach the file with the keys.
 * @throws {Error} naming the setting, if a key can neither be read nor made.
 */
export function keysOf({ secretKey, secretKeyFile, fallbackKeys, dir, type }: Config, log: Log): string[] {
  if (secretKey !== undefined) return [secretKey, ...fallbackKeys];
  if (secretKeyFile !== undefined) return [...readKeyFile(secretKeyFile, log), ...fallbackKeys];
  try {
    const { key, path, isNew } = readSecretKey(dir);
    const problem = problemWithKey(key);
    if (problem !== undefined) throw new Error(`"${path}" ${problem}: replace it, or remove it to have one made`);
    warnIfOpen(path, log);
    // The file store warns of its own folder.
    if (type !== "filesystem") warnIfOpen(dir, log);
    if (isNew) console.error(`"SECRET_KEY" is not set: made a key, kept in ${path}`);
    return [key, ...fallbackKeys];
  } catch (error) {
    throw new Error(
      `"SESSION_FILE_DIR" must be a folder for the key that is made where "SECRET_KEY" is not set: received "${dir}": ` +
        reasonOf(error),
    );
  }
}

/**
 * The keys of a file with one per line. Secrets of containers are readable for all, so it warns only of write access.
 */
function readKeyFile(path: string, log: Log): string[] {
  const must = `"SECRET_KEY_FILE" must be a file with keys, one per line: received "${path}"`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
    const { mode } = Deno.statSync(path);
    if (mode !== null && (mode & 0o022) !== 0) {
      log("warn", "Others on this machine can write the file with the keys", path);
    }
  } catch (error) {
    throw new Error(`${must}: ${reasonOf(error)}`);
  }
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (lines.length === 0) throw new Error(`${must}: it has none`);
  for (const [index, line] of lines.entries()) {
    const problem = problemWithKey(line);
    if (problem !== undefined) throw new Error(`${must}: key ${index + 1} ${problem}`);
  }
  return lines;
}

/** A key, and whether it is new. */
interface SecretKey {
  readonly key: string;
  readonly path: string;
  /** Whether it was made just now. */
  readonly isNew: boolean;
}

/**
 * Reads the secret key kept in `dir`, or makes one. Of several processes that start at the same time, one makes it.
 *
 * @param dir The folder, which is made if missing.
 * @throws {Error} if the key can neither be read nor made, or other things lie in the folder.
 */
function readSecretKey(dir: string): SecretKey {
  const path = `${dir}/secret.key`;
  const existing = readIfThere(path);
  if (existing !== undefined) return { key: existing, path, isNew: false };

  const foreign = foreignIn(dir);
  if (foreign !== undefined) throw new Error(`"${foreign}" lies there, which does not belong to sessions`);
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const key = crypto.getRandomValues(new Uint8Array(32)).toBase64({ alphabet: "base64url", omitPadding: true });
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  Deno.writeTextFileSync(beside, `${key}\n`, { createNew: true, mode: 0o600 });
  try {
    // Unlike a rename, a link never replaces an existing file.
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
