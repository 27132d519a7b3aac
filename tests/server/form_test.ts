/** Reading a form: what is taken, what is refused with which status, and that no more is read than a form may take. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_FORM_BYTES, readForm } from "../../lib/server/form.ts";
import { HttpError } from "../../lib/server/http_error.ts";

const FORM = "application/x-www-form-urlencoded";
const MULTIPART = "multipart/form-data; boundary=b";

function post(body: BodyInit | null, type: string | undefined = FORM, headers: Record<string, string> = {}): Request {
  const request = new Request("http://localhost/add", { method: "POST", body, headers });
  request.headers.delete("content-type");
  if (type !== "") request.headers.set("content-type", type);
  return request;
}

/** A body that arrives in chunks; tells how many were asked for, and whether the rest was called off. */
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

function part(disposition: string, value = "Ada"): string {
  return `--b\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${value}\r\n`;
}

Deno.test("form: a form is read in either encoding, however its type is spelled", async () => {
  assertEquals(await field(post("username=Ada+Lovelace%2C%20Zo%C3%AB")), "Ada Lovelace, Zoë");
  assertEquals(await field(post("username=Ada", "Application/X-WWW-Form-Urlencoded ; charset=UTF-8")), "Ada");
  assertEquals(await field(post(`${part('name="username"', "Zoë")}--b--\r\n`, MULTIPART)), "Zoë");
  assertEquals(await field(post(`${part("name=username")}--b--`, "Multipart/Form-Data; BOUNDARY=b")), "Ada");
});

Deno.test("form: what is no form is answered 415", async () => {
  const types = ["", "text/plain", "application/json", "text/html", "form", "multipart/mixed; boundary=b", ";", ","];
  types.push(`x-${FORM}`, `${FORM}, text/plain`, `text/plain; ${FORM}`, `${FORM}x`);
  for (const type of types) assertEquals(await status(post("username=Ada", type)), 415, type);
  assertEquals(await status(post(null, "")), 415);
});

Deno.test("form: an empty form is a form without fields", async () => {
  assertEquals([...await readForm(post(null))], []);
  assertEquals([...await readForm(post(""))], []);
  assertEquals([...await readForm(post("--b--\r\n", MULTIPART))], []);
});

Deno.test("form: broken escapes and foreign charsets are taken for what they are", async () => {
  const values = { "%": "%", "%zz": "%zz", "%C3": "\ufffd", "%ff%fe": "\ufffd\ufffd", "a%00b": "a\0b", "%25zz": "%zz" };
  for (const [sent, value] of Object.entries(values)) assertEquals(await field(post(`username=${sent}`)), value);
  assertEquals(await field(post("username=Zo%EB", `${FORM}; charset=iso-8859-1`)), "Zo\ufffd");
  assertEquals(await field(post("username=+A", `${FORM}; charset=utf-7`)), " A");
  assertEquals(await field(post("_charset_=utf-16&username=A")), "A");
  assertEquals([...(await readForm(post("=&==&&username&a=b=c"))).keys()], ["", "", "username", "a"]);
  assertEquals((await readForm(post("__proto__=1&constructor=2"))).get("username"), null);
});

Deno.test("form: of two fields of a name the first one counts, and a file is a file", async () => {
  assertEquals(await field(post("username=first&username=second")), "first");
  const file = await field(post(`${part('name="username"; filename="x"')}--b--\r\n`, MULTIPART));
  assert(file instanceof File);
});

Deno.test("form: a broken multipart form is answered 400, or has no fields", async () => {
  assertEquals(await status(post("username=Ada", MULTIPART)), 400);
  assertEquals(await status(post(null, MULTIPART)), 400);
  assertEquals(await status(post(`${part('name="username"')}--b--`, "multipart/form-data")), 400);
  assertEquals(await status(post(`${part('name="username"')}--b--`, "multipart/form-data; boundary=")), 400);
  assertEquals(await status(post("--b\r\n\0: \x01\r\n\r\nx\r\n--b--", MULTIPART)), 400);
  assertEquals([...await readForm(post(part('name="username"').slice(0, -2), MULTIPART))], [], "cut off");
  assertEquals([...await readForm(post("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", MULTIPART))], []);
});

Deno.test("form: a form that fills its 16 KiB is taken, one byte more is answered 413", async () => {
  assertEquals(MAX_FORM_BYTES, 16 * 1024);
  const name = "username=";
  const full = name + "x".repeat(MAX_FORM_BYTES - name.length);
  assertEquals((await field(post(full)) as string).length, MAX_FORM_BYTES - name.length);
  assertEquals(await status(post(`${full}x`)), 413);
  const { body } = stream(16, new Uint8Array(1024).fill(97));
  assertEquals([...(await readForm(post(body))).keys()].length, 1, "streamed");
});

Deno.test("form: of a form declared too long, nothing is read", async () => {
  for (const declared of [MAX_FORM_BYTES + 1, 1e9, "9".repeat(300)]) {
    const { body, seen } = stream(1, new Uint8Array(1));
    assertEquals(await status(post(body, FORM, { "content-length": String(declared) })), 413);
    assertEquals(seen.pulled, 0);
  }
});

Deno.test("form: of one that is too long and does not say so, no more is read than needed", async () => {
  for (const headers of [{}, { "content-length": "-1" }, { "content-length": "x" }]) {
    const { body, seen } = stream(100_000, new Uint8Array(1024));
    assertEquals(await status(post(body, FORM, headers as Record<string, string>)), 413);
    assertEquals([seen.pulled, seen.cancelled], [17, true]);
  }
});

Deno.test("form: a form that is longer than it declared is answered 413 if it is too long", async () => {
  const { body } = stream(17, new Uint8Array(1024));
  assertEquals(await status(post(body, FORM, { "content-length": "5" })), 413);
});

Deno.test("form: one chunk much longer than a form may be is answered 413", async () => {
  const { body } = stream(1, new Uint8Array(10 * 1024 * 1024));
  assertEquals(await status(post(body)), 413);
});

Deno.test("form: one that arrives too slowly is answered 408, its rest not waited for", async () => {
  const { body, seen } = stream(40, new Uint8Array(1), 20);
  assertEquals(await status(post(body), 100), 408);
  assertEquals(seen.cancelled, true);
  await new Promise((resolve) => setTimeout(resolve, 30)); // The chunk under way.
});

Deno.test("form: one that never arrives is answered 408, its length declared or not", async () => {
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

Deno.test("form: a hostile multipart form is read or refused with a status", async () => {
  const boundary = "a".repeat(70);
  const bodies = [
    "--b\r\n".repeat(3276),
    "\r\n".repeat(8192),
    "-".repeat(MAX_FORM_BYTES),
    part("name=a", "").repeat(300),
  ];
  bodies.push(`--b\r\n${"a: b\r\n".repeat(2700)}\r\nx\r\n--b--`, `--b\r\na: ${"x".repeat(16_000)}`);
  for (const body of bodies) await readForm(post(body, MULTIPART)).catch((error) => assert(error instanceof HttpError));
  const near = `--${boundary}\r\n\r\n\r\n${`\r\n--${boundary.slice(1)}`.repeat(220)}`;
  await readForm(post(near, `multipart/form-data; boundary=${boundary}`)).catch((error) =>
    assert(error instanceof HttpError)
  );
});
