/** A scenario of one unreadable subfolder of the file store: all other sessions still work. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FileStore } from "../../lib/stores/file/store.ts";
import { replacing } from "../support/failing.ts";
import { filesIn, life, type Scenario, seededId, type Stage } from "./scenario.ts";

const CALLS = [
  "readDirSync",
  "lstatSync",
  "openSync",
  "readTextFileSync",
  "writeTextFileSync",
  "removeSync",
  "renameSync",
  "utimeSync",
];

/** Runs `test` while every call on paths below `folder` fails. File permissions would not stop root. */
async function refusing(folder: string, test: () => Promise<void>, calls: readonly string[] = CALLS): Promise<void> {
  const [call, ...others] = calls;
  if (call === undefined) return await test();
  await replacing(Deno, call, (original) =>
    function (this: unknown, ...args: unknown[]) {
      const [path] = args;
      if (path === folder || String(path).startsWith(`${folder}/`)) {
        throw new Deno.errors.PermissionDenied(`Permission denied (os error 13): ${call} '${path}'`);
      }
      return original.apply(this, args);
    }, () => refusing(folder, test, others));
}

/** One of the subfolders cannot be read. */
export const shard: Scenario = {
  name: "unreadable-shard",
  rounds: 1,
  async play({ dir, random }: Stage) {
    const MANY = 300;
    const made = new FileStore({ dir });
    const ids = Array.from({ length: MANY }, () => seededId(random));
    for (const id of ids) await made.create(id, { data: {}, ...life(60_000) });
    await made.close();
    const bad = ids[0]!.slice(0, 3);
    const inside = ids.filter((id) => id.startsWith(bad));

    const logged: string[] = [];
    let now = Date.now();
    const store = new FileStore({ dir, now: () => now, log: (...words) => void logged.push(words.join(" ")) });
    await refusing(`${dir}/${bad}`, async () => {
      await store.ready();
      for (let i = 0; i < 20; i++) {
        const id = seededId(random);
        if (!id.startsWith(bad)) await store.create(id, { data: {}, ...life(30_000) });
      }
      const listed = await Array.fromAsync(store.list());
      assert(listed.length >= MANY - inside.length + 19, "the others are listed");
      assert(await store.read(ids.at(-1)!) !== undefined);
      await assertRejects(() => store.read(ids[0]!), Error, "Permission denied");
      now += 120_000;
      assert(await store.sweepAll() >= MANY - inside.length, "the others are swept");
      assert(logged.some((line) => line.includes(`/${bad}"`)), "the log says which");
      assert(!logged.some((line) => /[0-9a-f]{20}/.test(line)), "and holds no id");
    });
    assertEquals(filesIn(dir).length, inside.length);
    assertEquals(await store.sweepAll(), inside.length, "swept when it can be read again");
    assertEquals(filesIn(dir), []);
    await store.close();
    return `${
      MANY - inside.length
    } sessions elsewhere read, listed and swept, new ones made; ${inside.length} swept later`;
  },
};
