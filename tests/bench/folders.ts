/** Folders with many session files, as the file store writes them. */

/** The key that signs the cookies. */
export const KEY = "a key of the benchmark of at least 32 bytes";

/**
 * Writes session files: copies, under new keys, of one that the server made in the folder. No visitor has a cookie for
 * them.
 *
 * @param expires When they end, or have ended, in milliseconds since 1970.
 */
export function fill(dir: string, count: number, expires: number): void {
  const [shard, name] = anyFile(dir);
  const digits = shard.length;
  const bytes = new TextEncoder().encode(
    JSON.stringify({ ...JSON.parse(Deno.readTextFileSync(`${dir}/${shard}/${name}`)), expires }),
  );
  for (let number = 0; number < 16 ** digits; number++) {
    Deno.mkdirSync(`${dir}/${number.toString(16).padStart(digits, "0")}`, { mode: 0o700, recursive: true });
  }
  const length = digits + name.length - ".json".length;
  for (let made = 0; made < count; made++) {
    const key = crypto.getRandomValues(new Uint8Array(length / 2)).toHex();
    const path = `${dir}/${key.slice(0, digits)}/${key.slice(digits)}.json`;
    const file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    file.writeSync(bytes);
    file.utimeSync(expires / 1000, expires / 1000);
    file.close();
  }
}

/** The content of any session file. */
export function anyRecord(dir: string): string {
  return Deno.readTextFileSync(`${dir}/${anyFile(dir).join("/")}`);
}

/** How many session files have an mtime before `time`. The mtime is the end of the session. */
export function countEnded(dir: string, time: number): number {
  let count = 0;
  for (const [shard, name] of files(dir)) {
    if (Deno.statSync(`${dir}/${shard}/${name}`).mtime!.getTime() < time) count++;
  }
  return count;
}

function anyFile(dir: string): [shard: string, name: string] {
  for (const file of files(dir)) return file;
  throw new Error(`There is no session file below ${dir}`);
}

function* files(dir: string): Generator<[shard: string, name: string]> {
  for (const shard of Deno.readDirSync(dir)) {
    if (!/^[0-9a-f]+$/.test(shard.name)) continue;
    for (const { name } of Deno.readDirSync(`${dir}/${shard.name}`)) {
      if (/^[0-9a-f]+\.json$/.test(name)) yield [shard.name, name];
    }
  }
}
