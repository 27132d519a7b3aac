/** One process of several over one folder: does with a FileStore what the lines on standard input say, one at a time. */
import { FileStore } from "../../lib/stores/file/store.ts";

const [dir = ""] = Deno.args;
const store = new FileStore({ dir });
await store.ready();

/** What was asked, with the answer. */
function say(answer: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(answer ?? null)}\n`));
}

// Reads sessions all the time, so that they are in memory.
const known: string[] = [];
let next = 0;
setInterval(() => void (known.length > 0 && store.read(known[next++ % known.length]!)), 1);

const decoder = new TextDecoderStream();
let rest = "";
say("ready");
for await (const text of Deno.stdin.readable.pipeThrough(decoder)) {
  const lines = (rest + text).split("\n");
  rest = lines.pop()!;
  for (const line of lines) {
    const [verb, key = "", n = ""] = line.split(" ");
    if (verb === "know") {
      known.push(key);
      if (known.length > 20) known.shift();
      await store.read(key);
      say(true);
    }
    if (verb === "read") say((await store.read(key))?.data["n"]);
    if (verb === "update") say((await store.update(key, (r) => ({ ...r, data: { n: Number(n) } })))?.data["n"]);
    if (verb === "delete") say(await store.delete(key));
  }
}
Deno.exit(0);
