/** Only the library is published to JSR, with documents that link to nothing else. */
import { assert, assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url);

/** The paths of the files that `deno publish` would publish. */
async function published(): Promise<string[]> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stderr);
  assert(success, text);
  return [...text.matchAll(/^\s+file:\/\/(\S+)/gm)].map(([, path = ""]) => path.slice(root.pathname.length));
}

Deno.test("publish: it is the library alone, and no document links out of it", async () => {
  const files = await published();
  for (const name of ["deno.json", "LICENSE", "lib/README.md", "lib/mod.ts"]) assert(files.includes(name), name);
  assertEquals(files.filter((path) => /^(tests|templates|main)|^lib\/(server|commands)\/|\.lock$/.test(path)), []);
  for (const document of files.filter((path) => path.endsWith(".md"))) {
    const text = await Deno.readTextFile(new URL(document, root));
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      const { pathname } = new URL(target, new URL(document, root));
      assert(files.includes(pathname.slice(root.pathname.length)), `${document} links to ${target}`);
    }
  }
});
