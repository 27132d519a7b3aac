/** Runs the programs that the README shows, as they stand there: type-checked, started, and asked. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server } from "../support/server.ts";

const root = new URL("../..", import.meta.url).pathname;

/** The README's program that has `mark` in it. */
async function program(mark: string): Promise<string> {
  const readme = await Deno.readTextFile(`${root}README.md`);
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!);
  const found = blocks.filter((block) => block.includes(mark));
  assertEquals(found.length, 1, `README.md has one program with ${mark} in it`);
  return found[0]!;
}

/** Starts the README's program that has `mark` in it, where its reader would have put it: beside `lib`. */
async function withProgram(mark: string, test: (browser: Browser) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  await Deno.symlink(`${root}lib`, `${dir}/lib`);
  await Deno.copyFile(`${root}deno.json`, `${dir}/deno.json`);
  await Deno.writeTextFile(`${dir}/program.ts`, await program(mark));
  const env = { DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0" };
  const flags = ["--check", "--allow-all", `--lock=${root}tests/deno.lock`];
  const command = ["sh", "-c", 'cd "$0" && exec "$@"', dir, Deno.execPath(), "run", ...flags, "program.ts"];
  try {
    const server = await Server.start(env, command);
    try {
      await test(new Browser(server.origin));
    } finally {
      await server.kill();
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("README: the program with Deno.serve keeps a cart for each visitor", async () => {
  await withProgram("Deno.serve(sessions.wrap(", async (browser) => {
    assertEquals(await browser.get("/"), '{"cart":[]}');
    assertEquals(browser.setCookies, []);
    await browser.get("/?add=tea");
    assertEquals(await browser.get("/?add=milk"), '{"cart":["tea","milk"]}');
    assertEquals(await new Browser(browser.origin).get("/"), '{"cart":[]}');
  });
});

Deno.test("README: the program with Hono knows a visitor who logged in", async () => {
  await withProgram("new Hono<", async (browser) => {
    assertEquals(await browser.get("/"), "Hello, stranger");
    assertEquals(await browser.post("/log-in/Ada"), 303);
    assertEquals(await browser.get("/"), "Hello, Ada");
    const before = browser.cookie;
    await browser.post("/log-in/Bob");
    assert(browser.cookie !== before);
    assertEquals(await browser.get("/"), "Hello, Bob");
  });
});
