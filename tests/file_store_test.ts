/** The file store: the suite, and what only files have. */
import { FileStore } from "../lib/stores/file.ts";
import { testStore } from "./store_suite.ts";

let dir: string | undefined;
testStore({
  name: "file store",
  open: async (options) => new FileStore({ dir: dir ??= await Deno.makeTempDir(), ...options }),
  clear: async () => {
    await Deno.remove(dir!, { recursive: true });
    dir = undefined;
  },
  counts: true,
});
