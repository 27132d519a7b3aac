/** The store that lib/README.md shows passes the suite, word for word. */
import { assert } from "@std/assert";
import { testStore } from "../../lib/store_suite.ts";
import type { SessionStore } from "../../lib/store.ts";

const readme = Deno.readTextFileSync(new URL("../../lib/README.md", import.meta.url));
const [, code = ""] = /^```ts\n((?:(?!^```)[^])*class TableStore(?:(?!^```)[^])*)^```$/m.exec(readme) ?? [];
assert(code !== "", "lib/README.md must show a TableStore");
const { TableStore } = await import(`data:application/typescript,${encodeURIComponent(code)}`) as {
  TableStore: new (options: object) => SessionStore;
};

const folder = Deno.makeTempDirSync({ prefix: "sessions-own-store-" });
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
let runs = 0;

testStore({
  name: "the store of lib/README.md",
  open: (options) => new TableStore({ ...options, path: `${folder}/${runs}.db` }),
  clear: () => void runs++,
  counts: true,
});
