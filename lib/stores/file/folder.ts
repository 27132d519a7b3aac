/**
 * Folder: the store's own folder, recognised by the secret that lies in it.
 *
 * The secret is made with the first session, by a link, which never replaces a file. It is on the disk before a session
 * is. While a store runs, it never makes a second one: a folder without the secret, or with another one, is a mount
 * point without its disk, or a folder that was put in the place of the right one. The store checks the secret before it
 * reports that a session is not there, and before it makes, changes or ends one.
 *
 * A user's sessions lie side by side because their keys begin with a hash of the user's name. The secret goes into that
 * hash, so names with the same hash cannot be found in advance, and no key tells whose session it is.
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
  #made: Promise<void> | undefined;

  /** @param dir Its path. */
  constructor(dir: string) {
    this.#dir = dir;
    this.#path = `${dir}/${SECRET}`;
  }

  /** Whether the store knows the secret. */
  get isKnown(): boolean {
    return this.#secret !== undefined;
  }

  /**
   * The group of a user's sessions: 8 lower-case hex digits.
   *
   * @throws {Error} before the secret is known.
   */
  groupOf(user: string): string {
    if (this.#secret === undefined) throw new Error("The secret of the folder is not known yet");
    return hash("sha256", this.#secret + user, "hex").slice(0, 8);
  }

  /**
   * Makes sure that a user's session will be found by its key.
   *
   * @throws {TypeError} if the key was not made for the user.
   */
  checkOwner(key: string, user: string | undefined): void {
    if (user === undefined || key.startsWith(this.groupOf(user))) return;
    throw new TypeError("Cannot store a session of a user: its key must begin with what groupOf() gives for the user");
  }

  /**
   * Makes the folder if it is missing and the store has never seen it.
   *
   * @throws {Error} if the folder cannot be the store's.
   */
  open(): void {
    this.check();
    // Never recreate the folder: the new one would hide the old one when its disk is mounted again.
    if (this.#wasThere) return;
    try {
      Deno.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) throw new Error(`"${this.#dir}" is no folder`);
      throw error;
    }
    this.#wasThere = true;
  }

  /**
   * Makes sure that the folder can take a session: checks it, makes the secret if there is none yet, and waits until
   * the disk has it.
   *
   * @throws {Error} if the folder cannot be the store's.
   */
  ready(): Promise<void> {
    this.check();
    return this.#made ??= this.#make().catch((error) => {
      this.#made = undefined;
      throw error;
    });
  }

  /**
   * Checks that the folder is the store's own.
   *
   * @throws {Error} if it is not: if it is missing, is another one, or has other things in it.
   */
  check(): void {
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
      throw new Error(`the sessions' folder is away, as "${SECRET}" is missing: put it back`);
    }
    const foreign = this.#wasThere ? undefined : foreignIn(this.#dir);
    if (foreign !== undefined) {
      throw new Error(`needed a folder of its own, received one with other things in it, such as "${foreign}"`);
    }
    const shards = namesIn(this.#dir).filter(isShard);
    const hasSessions = shards.some((shard) => namesIn(`${this.#dir}/${shard}`).some(isSession));
    // Another process may have made the secret since, and sessions after it.
    if (hasSessions && lstat(this.#path) === undefined) {
      throw new Error(`there are sessions without "${SECRET}", the file that was made with them: put it back`);
    }
  }

  async #make(): Promise<void> {
    this.open();
    // A process may have died after it made the secret and before the disk had it.
    if (this.isKnown) await flushFolder(this.#dir);
    else await makeOnce(this.#dir, SECRET, `${randomBytes(32).toString("hex")}\n`);
    // Where several processes start at the same time, the secret of one of them counts.
    this.check();
    if (!this.isKnown) throw new Error(`"${SECRET}" is missing although it was made`);
  }
}

/** The content of a secret's file; `undefined` if it was removed in between. */
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
