/** Runs the programs of the library's documents that need packages, if TEST_README is "all". */
import { assert } from "@std/assert";

const root = new URL("../../", import.meta.url).pathname;
const lock = `${root}tests/readme/recipes.lock`;

/** A program in a document: the heading above it, its language, and its text. */
interface Recipe {
  readonly title: string;
  readonly language: string;
  readonly program: string;
}

function recipesOf(document: string): Recipe[] {
  const text = Deno.readTextFileSync(root + document);
  return [...text.matchAll(/^```(js|ts) ignore recipe\n(.*?)^```$/gms)].map(({ index, 1: language, 2: program }) => ({
    title: `${document}: ${/^## (.*)$/m.exec(text.slice(text.lastIndexOf("\n## ", index)))?.[1]}`,
    language: language!,
    program: program!,
  }));
}

Deno.test({
  name: "recipes: every program of the documents runs",
  ignore: Deno.env.get("TEST_README") !== "all",
  fn: async (t) => {
    const recipes = ["lib/RECIPES.md", "lib/MIGRATING.md"].flatMap(recipesOf);
    assert(recipes.length >= 4);
    const dir = await Deno.makeTempDir({ prefix: "session-server-recipes-" });
    try {
      for (const { title, language, program } of recipes) {
        await t.step(title, async () => {
          const file = `${dir}/recipe.${language}`;
          await Deno.writeTextFile(file, program);
          const args = [
            "run",
            "--allow-all",
            "--quiet",
            `--config=${root}deno.json`,
            `--lock=${lock}`,
            "--frozen",
            file,
          ];
          const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } })
            .output();
          assert(success, new TextDecoder().decode(stderr));
        });
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
