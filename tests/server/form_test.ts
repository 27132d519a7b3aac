/** Reading a form: which forms are accepted, the status of each refusal, and that reading stops at the limit. */
import { assertEquals, assertRejects } from "@std/assert";
import { MAX_FORM_BYTES, readForm } from "../../lib/server/form.ts";
import { HttpError } from "../../lib/server/http_error.ts";

const FORM = "application/x-www-form-urlencoded";

function post(body: BodyInit | null, type: string | undefined = FORM, headers: Record<string, string> = {}): Request {
  const request = new Request("http://localhost/add", { method: "POST", body, headers });
  request.headers.delete("content-type");
  if (type !== "") request.headers.set("content-type", type);
  return request;
}

/** A body that arrives in chunks. `seen` has the number of requested chunks, and whether the rest was cancelled. */
function stream(chunks: number, chunk: Uint8Array, pause = 0) {
  const seen = { pulled: 0, cancelled: false };
  const body = new ReadableStream({
    async pull(controller) {
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      if (seen.cancelled) return;
      if (seen.pulled++ < chunks) controller.enqueue(chunk);
      else controller.close();
    },
    cancel: () => void (seen.cancelled = true),
  }, { highWaterMark: 0 });
  return { body, seen };
}

async function field(request: Request): Promise<unknown> {
  return (await readForm(request)).get("username");
}

async function status(request: Request, deadline?: number): Promise<number> {
  return (await assertRejects(() => readForm(request, deadline), HttpError) as HttpError).status;
}

Deno.test("form: a form is read with every spelling of its type", async () => {
  const text = "username=Ada+Lovelace%2C%20Zo%C3%AB";
  const types = [
    FORM,
    `Application/X-WWW-Form-Urlencoded ; charset=UTF-8`,
    `${FORM};`,
    `${FORM}\t;\t`,
    `${FORM};;a="b;c"`,
  ];
  types.push(`\t ${FORM} \t`, `${FORM}; charset="`, `${FORM};${" ".repeat(100)}\xa0`);
  for (const type of types) assertEquals(await field(post(text, type)), "Ada Lovelace, Zoë", type);
});

Deno.test("form: a body of another type is answered 415 before it is read", async () => {
  const types = ["", "text/plain", "application/json", "text/html", "form", "multipart/mixed; boundary=b", ";", ","];
  types.push(`x-${FORM}`, `${FORM}, text/plain`, `text/plain; ${FORM}`, `${FORM}x`, `${FORM} x`, `"${FORM}"`);
  // Multipart forms are refused before they are parsed: Deno's parser takes more than linear time for some parameters.
  types.push("multipart/form-data; boundary=b", "multipart/form-data", `multipart/form-data;${" ".repeat(55_000)}b=b`);
  // White space in HTTP is the space and the tab alone.
  types.push(`\xa0${FORM}`, `${FORM}\xa0`, `${FORM}\x0b; charset=utf-8`, `${FORM}\x85;`, `\xef\xbb\xbf${FORM}`);
  // A request with two Content-Type headers is refused.
  types.push(`${FORM}; charset=utf-8, text/plain`, `${FORM}, ${FORM}`, `${FORM};,`);
  types.push(`${FORM};${" ".repeat(300)}x`, `${FORM.replaceAll("o", "\xba")}`, "application/ x-www-form-urlencoded");
  for (const type of types) {
    const { body, seen } = stream(1, new Uint8Array(1));
    assertEquals([await status(post(body, type)), seen.pulled], [415, 0], type.slice(0, 80));
  }
  assertEquals(await status(post(null, "")), 415);
});

Deno.test("form: an empty form is a form without fields", async () => {
  assertEquals([...await readForm(post(null))], []);
  assertEquals([...await readForm(post(""))], []);
});

Deno.test("form: broken escapes and other charsets never fail, and are read as UTF-8", async () => {
  const values = { "%": "%", "%zz": "%zz", "%C3": "\ufffd", "%ff%fe": "\ufffd\ufffd", "a%00b": "a\0b", "%25zz": "%zz" };
  for (const [sent, value] of Object.entries(values)) assertEquals(await field(post(`username=${sent}`)), value);
  assertEquals(await field(post("username=Zo%EB", `${FORM}; charset=iso-8859-1`)), "Zo\ufffd");
  assertEquals(await field(post("username=+A", `${FORM}; charset=utf-7`)), " A");
  assertEquals(await field(post("_charset_=utf-16&username=A")), "A");
  assertEquals([...(await readForm(post("=&==&&username&a=b=c"))).keys()], ["", "", "username", "a"]);
  assertEquals((await readForm(post("__proto__=1&constructor=2"))).get("username"), null);
});

Deno.test("form: the first of two fields with the same name counts", async () => {
  assertEquals(await field(post("username=first&username=second")), "first");
});

Deno.test("form: a form of 16 KiB is accepted, and one byte more is answered 413", async () => {
  assertEquals(MAX_FORM_BYTES, 16 * 1024);
  const name = "username=";
  const full = name + "x".repeat(MAX_FORM_BYTES - name.length);
  assertEquals((await field(post(full)) as string).length, MAX_FORM_BYTES - name.length);
  assertEquals(await status(post(`${full}x`)), 413);
  const { body } = stream(16, new Uint8Array(1024).fill(97));
  assertEquals([...(await readForm(post(body))).keys()].length, 1, "streamed");
});

Deno.test("form: nothing is read of a form that is declared too long", async () => {
  for (const declared of [MAX_FORM_BYTES + 1, 1e9, "9".repeat(300)]) {
    const { body, seen } = stream(1, new Uint8Array(1));
    assertEquals(await status(post(body, FORM, { "content-length": String(declared) })), 413);
    assertEquals(seen.pulled, 0);
  }
});

Deno.test("form: a form that is too long and undeclared is read only to the limit", async () => {
  for (const headers of [{}, { "content-length": "-1" }, { "content-length": "x" }]) {
    const { body, seen } = stream(100_000, new Uint8Array(1024));
    assertEquals(await status(post(body, FORM, headers as Record<string, string>)), 413);
    assertEquals([seen.pulled, seen.cancelled], [17, true]);
  }
});

Deno.test("form: a form in very many pieces is read only to the limit", async () => {
  const few = stream(64, new Uint8Array(1).fill(97));
  assertEquals([...(await readForm(post(few.body))).keys()], ["a".repeat(64)]);
  const many = stream(10_000, new Uint8Array(1).fill(97));
  const error = await assertRejects(() => readForm(post(many.body)), HttpError);
  assertEquals([error.status, error.headers], [413, { connection: "close" }]);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals([many.seen.pulled, many.seen.cancelled], [65, true]);
});

Deno.test("form: a form that is longer than it declared is answered 413 if it is too long", async () => {
  const { body } = stream(17, new Uint8Array(1024));
  assertEquals(await status(post(body, FORM, { "content-length": "5" })), 413);
});

Deno.test("form: one chunk that is much too long is answered 413", async () => {
  const { body } = stream(1, new Uint8Array(10 * 1024 * 1024));
  assertEquals(await status(post(body)), 413);
});

Deno.test("form: a form that arrives too slowly is answered 408 before its end", async () => {
  const { body, seen } = stream(40, new Uint8Array(1), 20);
  assertEquals(await status(post(body), 100), 408);
  assertEquals(seen.cancelled, true);
  await new Promise((resolve) => setTimeout(resolve, 30)); // The last `pull` must end.
});

Deno.test("form: a form that never arrives is answered 408, with a declared length or not", async () => {
  for (const headers of [{}, { "content-length": "5" }]) {
    const body = new ReadableStream({ pull: () => new Promise(() => {}) });
    assertEquals(await status(post(body, FORM, headers as Record<string, string>), 50), 408);
  }
});

Deno.test("form: a form whose sender goes away is answered 400", async () => {
  for (const headers of [{}, { "content-length": "15" }]) {
    let pulled = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (pulled++ === 0) controller.enqueue(new Uint8Array(9));
        else controller.error(new TypeError("connection closed before message completed"));
      },
    });
    assertEquals(await status(post(body, FORM, headers as Record<string, string>)), 400);
  }
});
