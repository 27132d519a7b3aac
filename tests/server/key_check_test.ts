/** Keys that the server refuses although they are long enough, and keys that others on the machine can read. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readConfig } from "../../lib/server/config.ts";
import { silent } from "../../lib/log.ts";
import { problemWithKey } from "../../lib/server/key_check.ts";
import { keysOf } from "../../lib/server/secret_key.ts";
import { Signer } from "../../lib/signer.ts";
import { replacing } from "../support/failing.ts";
import { Server, withFolder } from "../support/server.ts";

const GOOD = "a key for tests of at least 32 bytes";
const ROOT = new URL("../../", import.meta.url);

/** Every document of the repository: its Markdown files, and the comments of the library's modules. */
function* documents(folder: URL = ROOT): Generator<[path: string, text: string]> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const url = new URL(name, folder);
    if (isDirectory && !/^(\.|node_modules|dist|session_data)/.test(name)) yield* documents(new URL(`${url}/`));
    else if (name.endsWith(".md")) yield [url.pathname, Deno.readTextFileSync(url)];
    else if (name.endsWith(".ts") && url.href.startsWith(new URL("lib/", ROOT).href)) {
      yield [url.pathname, (Deno.readTextFileSync(url).match(/^\s*\*.*$/gm) ?? []).join("\n")];
    }
  }
}

Deno.test("key check: the server refuses every key that a document shows", () => {
  const shown = new Map<string, string>();
  for (const [path, text] of documents()) {
    // Keys are in lists, in strings that mention 32 bytes, and in settings.
    const lists = [...text.matchAll(/(?:\bkeys(?:: string\[\])?\s*[:=]\s*|\bring\s*=\s*|new Signer\()\[([^\]]*)\]/g)];
    const strings = lists.flatMap((list) => [...list[1]!.matchAll(/"([^"]*)"/g)].map((match) => match[1]!));
    for (const [, key] of text.matchAll(/"([^"\n]*\b32 bytes[^"\n]*)"/g)) strings.push(key!);
    for (const [, key] of text.matchAll(/SECRET_KEY\w*=(?!\$\()["']?([^"'\s]+)/g)) strings.push(key!);
    for (const key of strings) shown.set(key, path);
  }
  assert(shown.size >= 5, `${shown.size} were found`);
  for (const [key, path] of shown) assert(problemWithKey(key) !== undefined, `"${key}" of ${path} is accepted`);
});

Deno.test("key check: each refused sample is still in a document", () => {
  const texts = [...documents()].map(([, text]) => text);
  const source = Deno.readTextFileSync(new URL("lib/server/key_check.ts", ROOT));
  const [, list = ""] = /SAMPLES[^[]*\[([^\]]*)\]/.exec(source)!;
  const samples = [...list.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
  assert(samples.length > 0);
  for (const sample of samples) assert(texts.some((text) => text.includes(sample)), sample);
});

Deno.test("key check: a key of under eight different bytes is refused, and never repeated", () => {
  const weak = [
    "x".repeat(32),
    "0".repeat(64),
    "ab".repeat(16),
    "1234567".repeat(10),
    "é".repeat(100),
    "\u{1F511}".repeat(20),
  ];
  for (const key of weak) {
    const problem = problemWithKey(key);
    assertMatch(problem!, /^must be a key of 8 different bytes or more: received \d$/, key);
    for (const env of [{ SECRET_KEY: key }, { SECRET_KEY_FALLBACKS: `${GOOD},${key}` }]) {
      const message = refusal(env);
      assert(message.startsWith(`"${Object.keys(env)[0]}" must be a key of 8`), message);
      assert(!message.includes(key.slice(0, 10)), message);
    }
    // The library accepts every key that is long enough.
    new Signer([key], "test");
  }
  for (const key of [GOOD, "12345678".repeat(4), crypto.getRandomValues(new Uint8Array(32)).toBase64()]) {
    assertEquals(problemWithKey(key), undefined);
  }
});

function refusal(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

Deno.test("key check: a sample stops the server's start, in a setting and in secret.key", async () => {
  const sample = "only for trying it out: a secret of 32 bytes or more";
  assertMatch(refusal({ SECRET_KEY: sample }), /^"SECRET_KEY" must be your own key: received a key from the doc/);
  await withFolder(async (dir) => {
    for (const key of [sample, "x".repeat(40)]) {
      await Deno.writeTextFile(`${dir}/secret.key`, `${key}\n`, { mode: 0o600 });
      const { code, stdout, stderr } = await Server.run({ SESSION_FILE_DIR: dir });
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /^Cannot start: [^\n]*secret\.key" must be (a key of|your own key)[^\n]*\n$/);
      assert(!stderr.includes(key));
    }
  });
});

Deno.test({
  name: "key check: the log names a key or a folder that others can read",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (dir) => {
      const data = `${dir}/data`;
      const path = `${data}/secret.key`;
      const warnings = async (env: Record<string, string> = {}) => {
        const server = await Server.start({ SESSION_FILE_DIR: data, ...env });
        assertEquals(await server.stop(), 0);
        return server.stderr.split("\n").filter((line) => line.includes(" warn ")).map((line) => line.slice(25));
      };
      assertEquals(await warnings(), [], "as the server makes them");
      const warning = (path: string, needed: string) =>
        `warn Others on this machine can reach into "${path}": it should have ${needed}`;
      for (const mode of [0o604, 0o640, 0o620]) {
        await Deno.chmod(path, mode);
        assertEquals(await warnings(), [warning(path, "mode 0600, and a new key in it")]);
      }
      await Deno.chmod(path, 0o600);
      for (const env of [{}, { SESSION_TYPE: "memory" }] as Record<string, string>[]) {
        for (const mode of [0o755, 0o710]) {
          await Deno.chmod(data, mode);
          assertEquals(await warnings(env), [warning(data, "mode 0700")]);
        }
      }
    });
  },
});

Deno.test("key check: two first starts at the same time sign with one key", async () => {
  await withFolder(async (dir) => {
    const config = readConfig({ SESSION_FILE_DIR: dir });
    let first: string[] | undefined;
    await replacing(Deno, "linkSync", (original) => (from, to) => {
      // The first start stores its key just before the second one would.
      first = first === undefined ? (first = []) && keysOf(config, silent) : first;
      return original(from, to);
    }, () => Promise.resolve(assertEquals(keysOf(config, silent), first)));
    assertEquals(keysOf(config, silent), first);
  });
});
