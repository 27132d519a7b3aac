/** The least server that can register a visitor: form, id, signature, one file, and our headers. It checks nothing. */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";

const [port, folder, headers] = Deno.args;
const home = new Headers(JSON.parse(headers!));
const key = new TextEncoder().encode("a secret key of at least 32 bytes");
const random = Buffer.alloc(20);

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} }, async (request) => {
  if (request.method === "GET") return new Response();
  const user = new URLSearchParams(await request.text()).get("username");
  const id = crypto.getRandomValues(random).toString("hex");
  const record = JSON.stringify({ user, greet: `Successfully registered username - ${user}.`, at: Date.now() });
  Deno.writeTextFileSync(`${folder}/${id}`, record, { createNew: true, mode: 0o600 });
  const response = new Response(null, { status: 303, headers: home });
  const signature = createHmac("sha256", key).update(id).digest("base64url");
  response.headers.append("set-cookie", `session=${id}.${signature}; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600`);
  return response;
});
