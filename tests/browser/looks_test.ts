/** The looks of the pages in a real browser: axe, small and large windows, light, dark, large text, system colours. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { pictures, sourcesOfPictures } from "./pictures.ts";
import { type BrowserName, test, visitAll } from "./scene.ts";

/** How many pixels wider a page is than its window, without the scroll bar. */
const OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

test("axe finds nothing wrong with any page in any state, light or dark", async (scene) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await scene.open("/", { colorScheme, bypassCSP: true });
    await visitAll(page, scene, async (state) => {
      assertEquals(await scene.findViolations(page), [], `${state}, ${colorScheme}`);
    });
  }
});

for (const browser of ["Chromium", "Firefox"] satisfies BrowserName[]) {
  test("every page fits windows of 320 and 1,280 pixels, with room for fingers", async (scene) => {
    for (const width of [320, 1280]) {
      const page = await scene.open("/", { viewport: { width, height: 640 } });
      await visitAll(page, scene, async (state) => {
        const at = `${state} at ${width}`;
        assertEquals(await page.evaluate(OVERHANG), 0, at);
        const boxes = await page.evaluate<{ left: number; right: number; width: number; height: number }[]>(
          `[...document.querySelectorAll("a, button, input, summary, h1, p")].map((element) => element.getBoundingClientRect().toJSON())`,
        );
        for (const box of boxes) assert(box.left >= 0 && box.right <= width, `${at}: ${JSON.stringify(box)}`);
        const targets = await page.evaluate<number[]>(
          `[...document.querySelectorAll("a, button, input, summary")].map((element) => element.getBoundingClientRect().height)`,
        );
        assert(targets.every((height) => height >= 44 && height < 60), `${at}: ${targets}`);
      });
    }
  }, { browser });
}

test("the pages are light or dark as the visitor's system is", async ({ open }) => {
  const brightness = async (colorScheme: string) => {
    const page = await open("/", { colorScheme });
    const color = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
    return Math.max(...color.match(/\d+/g)!.map(Number));
  };
  assert(await brightness("light") > 200);
  assert(await brightness("dark") < 60);
});

for (const browser of ["Chromium", "Firefox"] satisfies BrowserName[]) {
  test("text of twice and four times the size fits the window, in lines that can be read", async (scene) => {
    for (const [width, size, letters] of [[320, 200, 6], [640, 200, 12], [640, 400, 6], [320, 400, 3]] as const) {
      const page = await scene.open("/", { viewport: { width, height: 640 } });
      await visitAll(page, scene, async (state) => {
        const at = `${state} at ${width}, ${size} %`;
        await page.evaluate(`document.documentElement.style.fontSize = "${size}%"`);
        assertEquals(await page.evaluate(OVERHANG), 0, at);
        // An em is about as wide as two letters.
        const widths = await page.evaluate<number[]>(
          `[...document.querySelectorAll("main p, main h1")].map((element) => {
            const { width, fontSize, paddingLeft, paddingRight } = getComputedStyle(element);
            return 2 * (parseFloat(width) - parseFloat(paddingLeft) - parseFloat(paddingRight)) / parseFloat(fontSize);
          })`,
        );
        assert(Math.min(...widths) >= letters, `${at}: ${widths}`);
      });
    }
  }, { browser });

  test("without the style sheet nothing covers anything, and an error is set apart", async (scene) => {
    const page = await scene.open("/", { viewport: { width: 320, height: 640 }, bypassCSP: true });
    await visitAll(page, scene, async (state) => {
      await page.evaluate(`document.querySelector("link[rel=stylesheet]").remove()`);
      // Each block begins below the end of the previous one.
      const blocks = await page.evaluate<{ top: number; bottom: number; html: string }[]>(
        `[...document.querySelectorAll("h1, p, input, button, a.button, summary")].map((element) => {
          const { top, bottom } = element.getBoundingClientRect();
          return { top, bottom, html: element.outerHTML };
        })`,
      );
      for (const [i, { top, html }] of blocks.entries()) {
        assert(i === 0 || top >= blocks[i - 1]!.bottom - 1 || !/^<(p|h1)/.test(html), `${state}: ${html}`);
      }
      if (state !== "error") return;
      const weight = `getComputedStyle(document.getElementById("username-problem")).fontWeight`;
      assertEquals(await page.evaluate(weight), "700");
    });
  }, { browser });
}

test("in the system's own colours everything with a ground has a border", async (scene) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await scene.open("/", { colorScheme, forcedColors: "active" });
    await visitAll(page, scene, async (state) => {
      const borders = await page.evaluate<string[]>(
        `[...document.querySelectorAll("main, .alert, .button, button, input")].map((element) => {
          const { borderTopColor, backgroundColor } = getComputedStyle(element);
          return [backgroundColor, "rgba(0, 0, 0, 0)"].includes(borderTopColor) ? element.outerHTML : "";
        })`,
      );
      assertEquals(borders.filter((element) => element !== ""), [], `${state}, ${colorScheme}`);
      if (state !== "error") return;
      const sign = `getComputedStyle(document.querySelector(".problem"), "::before").content`;
      assertMatch(await page.evaluate<string>(sign), /^"!"/);
    });
  }
});

Deno.test("looks: the README's pictures were taken of the current pages", () => {
  assertEquals(Deno.readTextFileSync(new URL("sources.txt", pictures)), sourcesOfPictures());
});
