/**
 * Folder: the store's own folder. The store recognizes it by a secret, which is a file in it.
 *
 * The store makes the secret with the first session. It uses a link, because a link never replaces a file. The secret
 * is on the disk before any session is. While a store runs, it never makes a second secret. If the secret is missing,
 * the folder is probably a mount point whose disk is not mounted. If the secret is another one, a wrong folder is in
 * the place of the right one. The store checks the secret before it reports that a session is not there, and before it
 * makes, changes or ends a session.
 *
 * The keys of a user's sessions begin with a hash of the user's name, so they are in the same subfolder. The secret is
 * part of that hash. So names with the same hash cannot be found in advance, and no key shows whose session it is.
 */
import { hash, randomBytes } from "node:crypto";
import { flushFolder, isMissing, isSame, lstat, makeOnce, namesIn, type Stat } from "./calls.ts";
import { foreignIn } from "./foreign.ts";
import { isSession, isShard, SECRET } from "./names.ts";

const FORM = /^[0-9a-f]{64}\n$/;

/** The folder of one store. */
export class Folder {
  #dir: string;
  #path: string;
  #secret: string | undefined;
  #stat: Stat | undefined;
  #wasThere = false;
  #secretMade: Promise<void> | undefined;

  /** @param dir The path of the folder. */
  constructor(dir: string) {
    this.#dir = dir;
    this.#path = `${dir}/${SECRET}`;
  }

  /** Whether the store knows the secret. */
  get knowsSecret(): boolean {
    return this.#secret !== undefined;
  }

  /**
   * The group of a user's sessions: 8 lower-case hex digits.
   *
   * @throws {Error} if the secret is not known yet.
   */
  groupOf(user: string): string {
    if (this.#secret === undefined) throw new Error("The secret of the folder is not known yet");
    return hash("sha256", this.#secret + user, "hex").slice(0, 8);
  }

  /**
   * Checks that `sessionsOf` will find a user's session by its key.
   *
   * @throws {TypeError} if the key does not begin with the user's group.
   */
  checkGroup(key: string, user: string | undefined): void {
    if (user === undefined || key.startsWith(this.groupOf(user))) return;
    throw new TypeError("Cannot store a session of a user: its key must begin with what groupOf() gives for the user");
  }

  /**
   * Makes the folder, unless it is there or has been there.
   *
   * @throws {Error} if the folder is not the store's own, as {@linkcode checkSecret} finds out.
   */
  ensureFolder(): void {
    this.checkSecret();
    // A folder that was there is never made again. Its disk may be unmounted now. When the disk is mounted again, the
    // sessions of the new folder would be hidden.
    if (this.#wasThere) return;
    try {
      Deno.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) throw new Error(`"${this.#dir}" is not a folder`);
      throw error;
    }
    this.#wasThere = true;
  }

  /**
   * Prepares the folder for a new session: checks the folder, makes the secret if there is none yet, and waits until
   * the disk has the secret.
   *
   * @throws {Error} if the folder is not the store's own, as {@linkcode checkSecret} finds out.
   */
  ensureSecret(): Promise<void> {
    this.checkSecret();
    return this.#secretMade ??= this.#makeSecret().catch((error) => {
      this.#secretMade = undefined;
      throw error;
    });
  }

  /**
   * Checks that the folder is the store's own.
   *
   * @throws {Error} if the folder is missing, has another secret, or has other programs' files in it.
   */
  checkSecret(): void {
    const stat = lstat(this.#path);
    if (stat !== undefined && this.#stat !== undefined && isSame(stat, this.#stat)) return;
    const secret = stat && readSecret(this.#path, stat);
    if (secret === undefined) return this.#checkWithout();
    if (this.#secret !== undefined && secret !== this.#secret) {
      throw new Error("another folder is in the place of the sessions' folder: put the right one back");
    }
    this.#secret = secret;
    this.#stat = stat;
    this.#wasThere = true;
  }

  /** Checks a folder that has no secret. */
  #checkWithout(): void {
    if (this.#wasThere) Deno.statSync(this.#dir);
    if (this.#secret !== undefined) {
      throw new Error(`the sessions' folder is not there, because "${SECRET}" is missing: put it back`);
    }
    const foreign = this.#wasThere ? undefined : foreignIn(this.#dir);
    if (foreign !== undefined) {
      throw new Error(`needed a folder for sessions alone, received one with other files in it, such as "${foreign}"`);
    }
    const shards = namesIn(this.#dir).filter(isShard);
    const hasSessions = shards.some((shard) => namesIn(`${this.#dir}/${shard}`).some(isSession));
    // Another process may have made the secret since, and sessions after it.
    if (hasSessions && lstat(this.#path) === undefined) {
      throw new Error(`there are sessions without "${SECRET}", the file that was made with them: put it back`);
    }
  }

  async #makeSecret(): Promise<void> {
    this.ensureFolder();
    // The process that made the secret may have died before the disk had it.
    if (this.knowsSecret) await flushFolder(this.#dir);
    else await makeOnce(this.#dir, SECRET, `${randomBytes(32).toString("hex")}\n`);
    // If several processes make a secret at the same time, all of them use the one that was made first.
    this.checkSecret();
    if (!this.knowsSecret) throw new Error(`"${SECRET}" is missing although it was made`);
  }
}

/** The secret in a file; `undefined` if the file is gone. */
function readSecret(path: string, stat: Stat): string | undefined {
  try {
    const text = stat.isFile && stat.size < 100 ? Deno.readTextFileSync(path) : "";
    if (!FORM.test(text)) throw new Error(`"${SECRET}" is damaged: put back the file that was made with the sessions`);
    return text;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
