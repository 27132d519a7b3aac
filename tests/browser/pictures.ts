/**
 * Takes the pictures of the README. Run it after a change of the pages.
 *
 *     deno run --allow-all --lock=tests/browser/deno.lock tests/browser/pictures.ts /usr/bin/chromium
 */
import { createHash } from "node:crypto";
import { play, visitAll } from "./scene.ts";

/** The folder of the pictures. */
export const pictures: URL = new URL("screenshots/", import.meta.url);

/** The hashes of the templates, which show whether the pictures are of the current pages. */
export function sourcesOfPictures(): string {
  const templates = new URL("../../templates/", import.meta.url);
  const names = [...Deno.readDirSync(templates)].map(({ name }) => name).sort();
  const lines = names.map((name) => {
    const hash = createHash("sha256").update(Deno.readFileSync(new URL(name, templates))).digest("hex");
    return `${hash}  templates/${name}\n`;
  });
  return lines.join("");
}

if (import.meta.main) {
  const [chromium] = Deno.args;
  if (chromium === undefined) {
    console.error("Cannot take pictures: give the path of Chromium");
    Deno.exit(2);
  }
  await play(chromium, async (scene) => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await scene.open("/", { colorScheme, viewport: { width: 640, height: 540 } });
      await visitAll(page, scene, async (state) => {
        const path = new URL(`${state}-640-${colorScheme}.png`, pictures).pathname;
        if (state === "error" || state === "registered") await page.screenshot({ path });
      });
    }
  });
  Deno.writeTextFileSync(new URL("sources.txt", pictures), sourcesOfPictures());
}
