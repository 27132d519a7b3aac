/** The keys that sign: those of the settings, or the key in a file that the first start makes and later ones read. */
import type { Log } from "../log.ts";
import type { Config } from "./config.ts";
import { problemWithKey } from "./key_check.ts";
import { reasonOf } from "../_reason.ts";
import { foreignIn } from "../stores/file/foreign.ts";
import { warnIfOpen } from "../stores/file/probe.ts";

/**
 * The keys of the cookie's signature. The first one signs new cookies.
 *
 * @param config The settings. If they have no key, a generated key is kept in the folder of the sessions, which is made
 * if it is missing.
 * @param log Called if other users of the machine can access the keys.
 * @throws {Error} if a key can neither be read nor made; the message names the setting.
 */
export function keysOf({ secretKey, secretKeyFile, fallbackKeys, dir, type }: Config, log: Log): string[] {
  if (secretKey !== undefined) return [secretKey, ...fallbackKeys];
  if (secretKeyFile !== undefined) return [...readKeyFile(secretKeyFile, log), ...fallbackKeys];
  try {
    const { key, path, isNew } = readSecretKey(dir);
    const problem = problemWithKey(key);
    if (problem !== undefined) throw new Error(`"${path}" ${problem}: replace the file, or remove it to get a new key`);
    warnIfOpen(path, "mode 0600, and a new key in it", log);
    // The file store warns of its own folder.
    if (type !== "filesystem") warnIfOpen(dir, "mode 0700", log);
    if (isNew) console.error(`"SECRET_KEY" is not set: a key was made and is kept in ${path}`);
    return [key, ...fallbackKeys];
  } catch (error) {
    throw new Error(
      '"SESSION_FILE_DIR" must be a folder that can keep a key, because "SECRET_KEY" is not set: ' +
        `received "${dir}": ${reasonOf(error)}`,
    );
  }
}

/**
 * The keys of a file with one key per line. Container secrets are readable by all, so only write access is warned of.
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
  if (lines.length === 0) throw new Error(`${must}: it has no key`);
  for (const [index, line] of lines.entries()) {
    const problem = problemWithKey(line);
    if (problem !== undefined) throw new Error(`${must}: key ${index + 1} ${problem}`);
  }
  return lines;
}

/** A key and its file. */
interface SecretKey {
  readonly key: string;
  readonly path: string;
  /** Whether this start made it. */
  readonly isNew: boolean;
}

/**
 * Reads the secret key in `dir`, or makes one. If several processes start at the same time, all get the same key.
 *
 * @param dir The folder, which is made if it is missing.
 * @throws {Error} if the key can neither be read nor made, or other files are in the folder.
 */
function readSecretKey(dir: string): SecretKey {
  const path = `${dir}/secret.key`;
  const existing = readIfExists(path);
  if (existing !== undefined) return { key: existing, path, isNew: false };

  const foreign = foreignIn(dir);
  if (foreign !== undefined) throw new Error(`"${foreign}" in it does not belong to sessions`);
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const key = crypto.getRandomValues(new Uint8Array(32)).toBase64({ alphabet: "base64url", omitPadding: true });
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  Deno.writeTextFileSync(temporary, `${key}\n`, { createNew: true, mode: 0o600 });
  try {
    // Unlike a rename, a link never replaces an existing file.
    Deno.linkSync(temporary, path);
    return { key, path, isNew: true };
  } catch (error) {
    const keyOfOther = error instanceof Deno.errors.AlreadyExists ? readIfExists(path) : undefined;
    if (keyOfOther === undefined) throw error;
    return { key: keyOfOther, path, isNew: false };
  } finally {
    Deno.removeSync(temporary);
  }
}

function readIfExists(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
