/** The most expensive requests of each kind, at the greatest length that the server accepts. */
import { newId } from "../../lib/id.ts";
import type { RawRequest } from "./raw_http.ts";

/** A request that is long in one part. */
export interface CostlyRequest extends RawRequest {
  /** The name of the long part. */
  readonly kind: string;
  readonly name: string;
}

const FORM = "application/x-www-form-urlencoded";
/** The bytes of the other parts: the request line, the other fields, and the framing. */
const REST = 400;

/**
 * Makes the requests.
 *
 * @param size The most bytes that a request may have.
 * @param cookie A valid cookie, as `session=…`.
 */
export function costlyRequests(size: number, cookie: string): CostlyRequest[] {
  const room = size - REST;
  const fill = (unit: string, most = room) => unit.repeat(Math.floor(most / unit.length));
  const each = (make: (index: number) => string) => {
    const count = Math.floor(room / (make(0).length + 2));
    return Array.from({ length: count }, (_, index) => make(index)).join("; ");
  };
  const get = { method: "GET", target: "/", host: "localhost" };
  const post = { method: "POST", target: "/add", host: "localhost" };
  const look = (name: string, field: string, value: string): CostlyRequest => ({
    ...get,
    kind: field,
    name,
    fields: [...(field === "cookie" ? [] : [["cookie", cookie] as const]), [field, value]],
  });
  const line = (kind: string, name: string, part: Partial<RawRequest>): CostlyRequest => ({
    ...get,
    kind,
    name,
    fields: [["cookie", cookie]],
    ...part,
  });
  const form = (name: string, body: string): CostlyRequest => ({
    ...post,
    kind: "form",
    name,
    fields: [["content-type", FORM]],
    body: `username=${body}`,
  });
  const type = (name: string, value: string): CostlyRequest => ({
    ...post,
    kind: "content-type",
    name,
    fields: [["content-type", value]],
    body: "username=Ada",
  });
  const signature = "A".repeat(43);
  const inForm = Math.min(room, 16 * 1024 - "username=".length);
  return [
    look("cookies that are forged", "cookie", each(() => `session=${newId()}.${signature}`)),
    look("the same forged cookie", "cookie", fill(`session=${newId()}.${signature}; `)),
    look("the right cookie, often", "cookie", fill(`${cookie}; `)),
    look("a cookie of the name without an id", "cookie", fill("session=; ")),
    look("a long cookie of the name", "cookie", `session=${fill("a")}`),
    look("a long cookie that ends like a signed one", "cookie", `session=${fill("a", room - 60)}.${signature}`),
    look("semicolons in Cookie", "cookie", fill(";")),
    look("names in Cookie that are almost the name", "cookie", fill("\xa0session=a;")),
    look("white space in Cookie", "cookie", fill(" \t")),
    look("a long Referer", "referer", `http://localhost/${fill("a", room - 200)}`),
    look("a Referer of slashes", "referer", `http://localhost${fill("/", room - 200)}`),
    look("a Referer of bytes", "referer", fill("\xff", room - 200)),
    look("a long Origin", "origin", `http://${fill("a", room - 200)}`),
    look("a long Sec-Purpose", "sec-purpose", fill("prefetc", room - 200)),
    look("encodings in Accept-Encoding", "accept-encoding", fill("gzip;q=0.1,", room - 200)),
    { ...look("a long Purpose, to log out", "purpose", `${fill("prefetc", room - 200)}h`), target: "/remove" },
    line("host", "a long host", { host: fill("a", room - 200) }),
    line("host", "a host of labels", { host: fill("a.", room - 200) }),
    line("host", "a host of white space", { host: `a${fill(" ", room - 200)}b` }),
    line("target", "a long path", { target: `/${fill("a", room - 200)}` }),
    line("target", "a path of slashes", { target: fill("/", room - 200) }),
    line("target", "a long address of another host", { target: `http://${fill("a.", room - 200)}/` }),
    line("target", "a long query", { target: `/?${fill("%41&", room - 200)}` }),
    // Its address is parsed, to compare its host with that of the Origin.
    {
      ...form("a long query, to register", "Ada"),
      kind: "target",
      target: `/add?${fill("%41&", room - 200)}`,
      fields: [["content-type", FORM], ["origin", "http://localhost"]],
    },
    {
      ...look("a long proof", "secure-session-response", `"${fill("a.", room - 200)}"`),
      kind: "proof",
      method: "POST",
      target: "/bound/register",
    },
    line("method", "a long method", { method: fill("A", room - 200) }),
    type("white space in a multipart form's type", `multipart/form-data;${fill(" ")}boundary=b`),
    type("white space in a form's type", `${FORM};${fill(" ")}x`),
    type("parameters of a form's type", `${FORM}${fill(';a="b"')}`),
    { ...type("a multipart form with a long head", "multipart/form-data; boundary=b"), body: `--b\r\na:${fill(" ")}b` },
    form("fields of a form", fill("&a", inForm)),
    form("fields of a form with values", fill("&a=b", inForm)),
    form("escapes in a form", fill("%41", inForm)),
    form("broken escapes in a form", fill("%%4", inForm)),
    form("marks in a name", fill("\xcc\x81\xcc\x96", inForm)),
    form("marks in a name of the greatest length that is composed", fill("%CC%81%CC%96", 1024 * 6)),
    form("characters that grow when they are composed", fill("%EF%B7%BA", inForm)),
    form("white space around a name", fill("%C2%A0", inForm)),
    form("characters that a page escapes", fill("%22", inForm)),
    form("control characters in a name", fill("%01", inForm)),
    form("halves of surrogate pairs in a name", fill("\xed\xa0\x80", inForm)),
    form("a form that is too long", fill("a")),
    { ...form("a long body of another type", fill("a")), fields: [["content-type", "text/plain"]] },
    // A piece takes six bytes in HTTP/1.1.
    { ...form("a form in pieces of a byte", fill("a", Math.floor(room / 6))), piece: 1 },
    ...["x", "cookie", "referer", "origin", "sec-fetch-site"].map((name) =>
      line("many fields", name, { fields: [["cookie", cookie], [name, fill("a", Math.floor(room / 90) - 40), 80]] })
    ),
  ];
}
