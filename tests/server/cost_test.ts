/** The cost of long input from a visitor is proportional to its length. The tests count steps, and measure no time. */
import { assertEquals, assertRejects } from "@std/assert";
import { type CostlyRequest, costlyRequests } from "../support/costly_requests.ts";
import { bytes } from "../support/fuzz.ts";
import { assertLinear } from "../support/steps.ts";
import { HOME, serve } from "./app_place.ts";

/** The most bytes of a request that are examined. */
const MOST = 64_000;

/** Regular expressions that repeat one class of characters, and so read a string of any length only once. */
const ONCE = ["prefetch", "[\\s\\p{Cc}]+", "\\p{Cc}", "[&<>\"']"];

/** Whether a regular expression takes linear time on a string of any length: it is known to, or it repeats nothing. */
function isLinear(pattern: string): boolean {
  return ONCE.includes(pattern) || (pattern.startsWith("^") && !/[*+]|,\}/.test(pattern));
}

/** A request in the form that the app gets. */
function requestOf({ method, host, target, fields, body, piece }: CostlyRequest): Request {
  const headers = new Headers();
  for (const [name, value, times = 1] of fields) for (let time = 0; time < times; time++) headers.append(name, value);
  const sent = body === undefined ? null : piece === undefined ? bytes(body) : inPieces(body, piece);
  const request = new Request(HOME, { method, headers, body: sent });
  // The address is not checked, as in a request from the network.
  return Object.defineProperty(request, "url", { value: `http://${host}${target}` });
}

function inPieces(body: string, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= body.length) return controller.close();
      controller.enqueue(bytes(body.slice(at, at + size)));
      at += size;
    },
  }, { highWaterMark: 0 });
}

Deno.test("cost: the cost of a request is proportional to its length, in each of its parts", async (test) => {
  const { app, browser } = serve();
  await browser.post("/add", { username: "Ada" });
  const names = costlyRequests(MOST, browser.cookie).map(({ kind, name }) => `${kind}: ${name}`);
  assertEquals(new Set(names).size, names.length, "each has a name of its own");
  for (const [index, name] of names.entries()) {
    await test.step(name, async () => {
      const make = (size: number) => {
        const request = requestOf(costlyRequests(size, browser.cookie)[index]!);
        return async () => await (await app(request)).text();
      };
      const { longPatterns } = await assertLinear(name, make, MOST);
      assertEquals([...longPatterns].filter((pattern) => !isLinear(pattern)), []);
    });
  }
});

Deno.test("cost: the test finds work that grows with the square of its input", async () => {
  const work: Record<string, (text: string) => unknown> = {
    "each character is looked for": (text) => [...text].map((char) => text.indexOf(char, text.length / 2)),
    "each copies all before it": (text) => [...text].reduce<string[]>((all, char) => [...all, char], []),
    "each is joined to all before it": (text) => {
      let all = new Uint8Array();
      for (const char of text) {
        const more = new Uint8Array(all.length + 1);
        more.set(all);
        more.set(bytes(char), all.length);
        all = more;
      }
    },
    "marks are put in order": (text) => text.normalize("NFC"),
    "the rest is cut off again and again": (text) => {
      for (let rest = text; rest.length > 0;) rest = rest.slice(1);
    },
  };
  for (const [name, does] of Object.entries(work)) {
    await assertRejects(() => assertLinear(name, (size) => () => does("x".repeat(size)), 2000), Error, "steps for");
  }
  await assertLinear("once", (size) => () => "x".repeat(size).split("").join(";").toLowerCase(), 4000);
});
