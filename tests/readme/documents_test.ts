/** Documents: their links lead somewhere, the tests that they name exist, and the README is short. */
import { assert, assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url).pathname;

/** The paths of the project's files with an ending. */
function files(ending: string, folder = ""): string[] {
  return [...Deno.readDirSync(root + folder)].flatMap(({ name, isDirectory }) => {
    if (/^(\.git|dist|session_data|node_modules|target)$/.test(name)) return [];
    const path = folder + name;
    return isDirectory ? files(ending, `${path}/`) : path.endsWith(ending) ? [path] : [];
  });
}

const read = (path: string) => Deno.readTextFileSync(root + path);

Deno.test("documents: every link to a file or a heading leads somewhere", () => {
  for (const document of files(".md")) {
    const folder = document.replace(/[^/]*$/, "");
    for (const [, target = ""] of read(document).matchAll(/\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"/g)) {
      if (/^https?:/.test(target) || target === "") continue;
      const [path = "", heading] = target.split("#");
      const text = path === "" ? read(document) : readAny(folder + path);
      if (text === undefined) throw new Error(`${document} links to ${target}, which is not there`);
      if (heading === undefined) continue;
      const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
        title.toLowerCase().replace(/[^\w\s-]/g, "").replace(/\s/g, "-")
      );
      assert(headings.includes(heading), `${document}: ${target}`);
    }
  }
});

function readAny(path: string): string | undefined {
  try {
    return Deno.statSync(root + path).isDirectory ? "" : read(path);
  } catch {
    return undefined;
  }
}

Deno.test("documents: the README takes at most 9 kB", () => {
  assert(read("README.md").length <= 9_000);
});

Deno.test("documents: every test that SECURITY.md names exists", () => {
  const sources = files("_test.ts").map(read).concat(
    files(".ts").filter((path) => path.includes("lib/_suite")).map(read),
  ).join("\n");
  // A point of a list ends with the name of its test, if it has one.
  const rows = read("SECURITY.md").split(/^- |^#|\n\n/m);
  const named = rows.flatMap((row) => /`([^`]+)`\s*$/.exec(row)?.[1]?.replace(/\s+/g, " ") ?? []);
  assert(named.length > 20);
  // In the tests of a suite, the name of a store or a browser comes first.
  const isThere = (name: string) => sources.includes(name) || sources.includes(name.replace(/^[\w ]+: /, ""));
  assertEquals(named.filter((name) => !isThere(name)), []);
});

Deno.test("documents: no source file is longer than 400 lines, no test name than 80", () => {
  for (const path of files(".ts")) {
    const text = read(path);
    assert(text.split("\n").length <= 401, path);
    assert(/^(#!.*\n)?\/\*\*/.test(text), `${path} must begin with a comment that says its job`);
  }
  for (const path of files("_test.ts")) {
    for (const [, name = ""] of read(path).matchAll(/Deno\.test\("([^"]+)"/g)) assert(name.length <= 80, name);
  }
});
